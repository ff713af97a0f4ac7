"""A request whose command is killed at a moment: nothing is lost, nothing made twice, nothing stuck. Used by a test and by the proof."""

from __future__ import annotations

import json
import pwd
import signal
import subprocess
import sys
from pathlib import Path

from tests.e2e.bifrost_world import PEOPLE, World
from tests.e2e.command import cluster


def moments(world: World, trace: Path, *, again: bool = False) -> list[str]:
    """The moments of a request that runs through."""
    assert run(world, 0, trace, world.name("orders.m1" if again else "orders.m0")) == 0
    return trace.read_text().splitlines()


def run(world: World, moment: int, trace: Path, topic: str) -> int:
    """`request bundle` as linus, killed at a moment; its exit code."""
    trace.unlink(missing_ok=True)
    request = {
        "topics": [{"name": topic, "replication": 1, "partitions": 1}],
        "users": [{"name": f"{topic}-u", "produce": [topic]}],
    }
    environment = {
        **world.home.environment(),
        "SUDO_UID": str(pwd.getpwnam(PEOPLE["linus"]).pw_uid),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    command = [sys.executable, "-m", "tests.e2e.bifrost_killing", "--moment", str(moment), "--trace", str(trace), "--"]
    command += ["bifrost", "request", "bundle", "-f", "-", "--token", topic, "--json"]
    done = subprocess.run(
        command,
        input=json.dumps(request),
        capture_output=True,
        text=True,
        env=environment,
        cwd=world.folder,
        timeout=300,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.returncode


def wrong_after_kill(world: World, moment: int, trace: Path) -> str | None:
    """Kill at a moment, run the same command again, and look at everything; what is wrong, in a sentence."""
    topic = world.name(f"orders.k{moment}")
    code = run(world, moment, trace, topic)
    if code != -signal.SIGKILL:
        return f"moment {moment}: there is no such moment"
    if run(world, 0, trace, topic) != 0:
        return f"moment {moment}: the same command does not go on"
    mine = [r for r in world.run("linus", "requests", "--last", "500").json if topic in r["subject"]]
    if [r["state"] for r in mine] != ["ready"]:
        return f"moment {moment}: requests are {[(r['id'], r['state']) for r in mine]}"
    history = world.run("linus", "requests", mine[0]["id"]).json["history"]
    after = [move["after"] for move in history]
    if after != ["approved", "applying", "ready"]:
        return f"moment {moment}: the request went {after}"
    if world.part.count(f'"name": "{topic}"') != 1:
        return f"moment {moment}: the managed file has the topic {world.part.count(topic)} times"
    known = world.run("linus", "credentials", f"{topic}-u").json
    if [c["state"] for c in known] != ["ready"]:
        return f"moment {moment}: credentials are {known}"
    with cluster(world.cluster.connection) as control:
        if topic not in control.topics([topic]) or f"{topic}-u" not in control.users():
            return f"moment {moment}: the cluster lacks it"
    events = world.home.run("journal", "events", "--json").json
    kinds = [e["kind"] for e in events if e["correlation"] == mine[0]["id"]]
    if set(kinds) != {"bifrost.request.approved", "bifrost.request.started", "bifrost.request.finished"}:
        return f"moment {moment}: the journal has {kinds}"
    return None


def wrong_after_cut_hand_over(world: World, user: str) -> str | None:
    """Kill while credentials are handed over: never shown twice, and the loss is said."""
    trace = world.folder / "trace"
    trace.unlink(missing_ok=True)
    environment = {
        **world.home.environment(),
        "SUDO_UID": str(pwd.getpwnam(PEOPLE["linus"]).pw_uid),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    command = [sys.executable, "-m", "tests.e2e.bifrost_killing", "--moment", "1", "--trace", str(trace), "--"]
    command += ["bifrost", "credentials", user, "--show"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=world.folder, timeout=300, check=False
    )
    if done.returncode != -signal.SIGKILL:
        return f"the hand-over was not cut: {done.returncode} {done.stderr}"
    again = world.run("linus", "credentials", user, "--show", code=4)
    if "was interrupted: they may have been seen" not in again.err:
        return f"after a cut hand-over: {again.err}"
    world.run("linus", "rotate", user, "--overlap", "1h")
    if "password=" not in world.run("linus", "credentials", user, "--show").json["properties"]:
        return "no new credentials after a cut hand-over"
    return None
