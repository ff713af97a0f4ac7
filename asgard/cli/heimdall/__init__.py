"""`asgard heimdall`: follow every event, every day. One module per group of commands."""

from asgard.cli.command import group

app = group()

from asgard.cli.heimdall import alerts, audit, canary, collect, lag, read, report, serve, top, volume  # noqa: E402, F401  (its commands register with `app`)
