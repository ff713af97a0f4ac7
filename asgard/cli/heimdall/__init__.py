"""`asgard heimdall`: see every event's way, every day. One module for each group of commands."""

from asgard.cli.command import group

app = group()

from asgard.cli.heimdall import alerts, audit, canary, collect, lag, read, report, serve, top, volume  # noqa: E402, F401  (its commands register with `app`)
