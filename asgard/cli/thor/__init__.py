"""`asgard thor`: heal a cluster that lost brokers, keep it within its limits. One module per group of commands."""

from asgard.cli.command import group

app = group()

from asgard.cli.thor import archive, elect, heal, look, move, plan, recipe, redrive, replay, rewind  # noqa: E402, F401  (its commands register with `app`)
