"""`asgard loki`: put load on a cluster, break things on purpose, prove what became of every record. One module for each group of commands."""

from asgard.cli.command import group

app = group()

from asgard.cli.loki import chaos, drill, load, monkey  # noqa: E402, F401  (its commands register with `app`)
