"""`asgard heimdall top`: the cluster live in a terminal."""

from __future__ import annotations

import sys

from asgard.cli.command import Which, command
from asgard.cli.heimdall import app
from asgard.cli.heimdall.report import SettingsFile
from asgard.cli.moments import Every, every_seconds
from asgard.core.errors import WrongUsage


@command(app, name="top", example="asgard heimdall top --context orders --every 5s")
def top(
    every: Every = "5s",
    settings: SettingsFile = None,
    which: Which = Which(),
) -> None:
    """Show the cluster live in this terminal: brokers, topics, groups, reassignments; sort, filter, open a topic or a group.

    The figures are those of `heimdall lag` and `heimdall serve`. Needs the extra `top`. Changes nothing in the cluster.
    """
    every_s = every_seconds(every, "1s")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise WrongUsage("heimdall top needs a terminal", "asgard heimdall lag --watch prints line by line.")
    try:
        from asgard.heimdall.top.app import Top
    except ImportError as error:
        raise WrongUsage("heimdall top needs the extra `top`", "pip install 'asgard-kafka[top]'") from error
    from asgard.compose import heimdall_top
    from asgard.heimdall import settings as reading

    given = reading.load(settings)
    chosen = which.pick()
    with heimdall_top.feeding(chosen, given, every_s) as feed:
        Top(feed, chosen.name).run()
