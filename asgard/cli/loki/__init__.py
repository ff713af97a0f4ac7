"""`asgard loki`: put load on a cluster, break things on purpose, prove what happened to every record. One module per group of commands."""

from asgard.cli.command import group

app = group()

from asgard.cli.loki import chaos, drill, load, monkey  # noqa: E402, F401  (its commands register with `app`)
