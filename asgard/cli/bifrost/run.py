"""`asgard bifrost apply` and `tick`: the queue by hand, and what cron runs."""

from __future__ import annotations

from typing import Annotated

import typer

from asgard.cli.bifrost import app
from asgard.cli.bifrost.options import Config, Where, session
from asgard.cli.command import command
from asgard.core import console
from asgard.core.errors import ExitCode


@command(app, example="asgard bifrost apply\nasgard bifrost apply --mend")
def apply(
    environment: Where = None,
    mend: Annotated[bool, typer.Option("--mend", help="Overwrite changes made by hand; they are shown first.")] = False,
    config: Config = None,
) -> int:
    """Carry out all approved requests in one run (data engineers)."""
    from asgard.compose import bifrost

    with session(config) as (gate, who):
        done = bifrost.apply_queue(gate, who, environment, mend=mend)
        for request in done.failed:
            console.say(f"{request.id} failed: {request.reason}")
        text = f"{len(done.ready)} ready, {len(done.failed)} failed, in {done.ups} runs of odin up"
        document = {
            "ready": [r.id for r in done.ready],
            "failed": {r.id: r.reason for r in done.failed},
            "drift": done.drift,
            "ups": done.ups,
        }
        console.emit(document, text=text)
        return ExitCode.FAILED if done.failed else ExitCode.OK


@command(app, example="asgard bifrost tick")
def tick(config: Config = None) -> int:
    """Do what is due: end grants, expire requests, run the queue, look for missing grants, notify teams. Run it from cron, every minute."""
    from asgard.compose import bifrost_tick

    with session(config, on_time=False) as (gate, who):
        from asgard.bifrost.authorise import What
        from asgard.bifrost.gate import demand

        demand(who, "apply.run", What(), "the queue")
        done = bifrost_tick.tick(gate)
        lines = [f"{name}: {len(value)}" for name, value in vars(done).items() if isinstance(value, list) and value]
        lines += [f"trouble: {trouble}" for trouble in done.troubles]
        console.emit(done, text="\n".join(lines) or "nothing to do")
        return ExitCode.FAILED if done.troubles else ExitCode.OK
