"""Loki killed with SIGKILL in the midst of every kind of fault, in three phases: does the next command put everything back?

The story is `tests.e2e.chaos_killed`; EC2 is moto's server and the container engine a stand-in, so what was terminated for good is
left out. The commands that come after take turns: `recover`, `loki chaos recover`, another experiment,
and one of Thor's.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from asgard.kafka.admin import connect
from tests.e2e.chaos_killed import THEN, ChaosStory, Kind, context
from tests.e2e.chaos_killing import PHASES
from tests.harness import RealCluster
from tests.unit.loki.engine import Engine


def prove() -> tuple[dict[str, object], list[str]]:
    """Every kind in every phase: the counts and what went wrong."""
    with tempfile.TemporaryDirectory(prefix="asgard-loki-chaos-kills-") as scratch:
        below = Path(scratch)
        (below / "work").mkdir()
        before = os.environ.get("ASGARD_HOME")
        os.environ["ASGARD_HOME"] = str(below / "cluster")
        try:
            with (
                RealCluster(below / "cluster", brokers=3, racks=3, log_dirs=2) as running,
                closing(connect(running.connection, deadline_s=20)) as control,
                context(running),
                _machines(below / "engine.sock") as (kinds, states, variables),
            ):
                story = ChaosStory(running, control, below / "work", states, variables)
                return _rounds(story, [*story.kinds().values(), *kinds])
        finally:
            os.environ.pop("ASGARD_HOME")
            if before is not None:
                os.environ["ASGARD_HOME"] = before


@contextlib.contextmanager
def _machines(socket: Path) -> Iterator[tuple[list[Kind], dict[str, Callable[[], Any]], dict[str, str]]]:
    """An EC2 instance and a container: the faults for them, how they stand, and how commands reach them."""
    import boto3
    from moto.server import ThreadedMotoServer

    one = ("--max-machines", "1")
    secrets = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), "test")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        with Engine(socket) as engine:
            host, port = server.get_host_and_port()
            url = f"http://{host}:{port}"
            login = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
            cloud = boto3.client("ec2", "eu-west-1", endpoint_url=url, **login)
            made = cloud.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
            container = engine.add("kafka-1", {"chaos": "yes"})

            def instance() -> str:
                found = cloud.describe_instances(InstanceIds=[made])["Reservations"][0]["Instances"][0]
                return str(found["State"]["Name"])

            kinds = [
                Kind("stop_instance", {"instance": made}, options=one),
                Kind("reboot_instance", {"instance": made}, lasts=False, options=one),
                Kind("kill_container", {"container": container, "socket": str(socket)}, options=one),
            ]
            states: dict[str, Callable[[], Any]] = {
                "instance": instance,
                "container": lambda: engine.containers[container]["State"],
            }
            yield kinds, states, {**secrets, "AWS_DEFAULT_REGION": "eu-west-1", "AWS_ENDPOINT_URL": url}
    finally:
        server.stop()


def _rounds(story: ChaosStory, kinds: list[Kind]) -> tuple[dict[str, object], list[str]]:
    rounds = [(kind, phase) for kind in kinds for phase in PHASES]
    wrong: list[str] = []
    sound: Counter[str] = Counter()
    used: Counter[str] = Counter()
    for done, ((kind, phase), then) in enumerate(zip(rounds, itertools.cycle(THEN)), 1):
        what = f"{kind.action} killed when {phase}, then {then}"
        print(f"{done} of {len(rounds)}: {what}", file=sys.stderr, flush=True)
        try:
            found = story.round(kind, phase, then)
        except AssertionError as error:
            found = [str(error)]
        wrong += [f"{what}: {reason}" for reason in found]
        sound[kind.action] += not found
        used[then] += 1
    figures: dict[str, object] = {
        "kinds": len(kinds),
        "phases": list(PHASES),
        "kills": len(rounds),
        "put_back_by_kind": dict(sound),
        "commands_after": dict(used),
        "left_over": len(wrong),
    }
    return figures, wrong
