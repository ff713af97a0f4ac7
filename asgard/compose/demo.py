"""`asgard demo`: a real Kafka created as code, real records through it, brokers that die, and every record counted.

The acts: the cluster comes up from the template `local-ha`, with one broker more than a partition has replicas; a team asks for a
topic and gets it (`demo_bifrost`); several producers write ride bookings with a user's own credentials; a user without the
permission is refused; two brokers are killed under traffic and Thor heals the cluster (`demo_heal`); a topic is emptied by mistake
and restored from the archive (`demo_archive`); everything is read back and checked record by record against its stamp; a disaster
drill puts a load on the cluster and ends with a page (`demo_drill`); the day's report shows all of it (`demo_day`).
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asgard.compose import demo_archive, demo_bifrost, demo_day, demo_drill, demo_heal
from asgard.compose import demo_records as records
from asgard.compose.demo_archive import Saved
from asgard.compose.demo_bifrost import GrantedTopic
from asgard.compose.demo_drill import Drilled
from asgard.compose.demo_heal import Healing
from asgard.compose.settle import leftovers
from asgard.core import contexts, paths
from asgard.core import events as news
from asgard.core.errors import AsgardError, Failed
from asgard.kafka import target
from asgard.kafka.connection import Connection
from asgard.machines import targets
from asgard.odin.engine.state import StateStore
from asgard.odin.lifecycle import apply
from asgard.odin.lifecycle.credentials import client_properties
from asgard.odin.lifecycle.options import OdinOptions
from asgard.odin.lifecycle.session import directory, local_connection
from asgard.odin.spec import templates
from asgard.odin.spec.model import StackSpec
from asgard.odin.spec.read import load

if TYPE_CHECKING:
    from asgard.odin.lifecycle.apply import ApplyOutcome

STACK = "asgard-demo"
BROKERS = 4
WRITER, READER, OUTSIDER = "booking-api", "analytics", "billing"


@dataclass
class Report:
    """What the demo did; times in seconds. `meanwhile`: acknowledged records written while brokers died."""

    stack: str
    brokers: int
    topics: int
    users: int
    up_s: float
    asked: GrantedTopic
    sent: int
    acknowledged: int
    written_per_s: float
    meanwhile: int
    healings: list[Healing]
    read: int
    read_s: float
    lost: int
    duplicated: int
    corrupted: int
    refused: str
    drill: Drilled | None
    saved: Saved | None
    day: Path
    kept: bool = False
    file: Path | None = None


def run(events: int, *, keep: bool) -> Report:
    """All acts. In any case the stack is destroyed at the end, unless `keep`. Raises Failed if a record is missing."""
    file = paths.private_dir(paths.home() / "demo") / "asgard.yaml"
    # One more than a partition has replicas: the cluster can do without a broker that is lost for good.
    text = templates.template("local-ha").render(STACK).replace("  brokers: 3\n", f"  brokers: {BROKERS}\n")
    demo_bifrost.forget(file)
    paths.write_atomic(file, f"# Of `asgard demo`; to change it: asgard odin up -f {file.name}\n{text}")
    spec = load(file)
    try:
        report = _acts(spec, file, events)
    finally:
        if not keep:
            news.step("removing the cluster")
            _remove()
            file.unlink(missing_ok=True)
            demo_bifrost.forget(file)
    report.kept, report.file = keep, file if keep else None
    if report.lost or report.corrupted:
        raise Failed(f"{report.lost} acknowledged records are missing and {report.corrupted} are damaged")
    if report.drill is not None and report.drill.lost:
        raise Failed(f"the drill: {report.drill.verdict}", f"Its report: {report.drill.report}")
    return report


def _acts(spec: StackSpec, file: Path, events: int) -> Report:
    news.step(f"creating a cluster of {spec.kafka.brokers} brokers, secured, with {len(spec.topics)} topics")
    began = time.monotonic()
    outcome = apply.up(spec, OdinOptions(), _agreed, leftovers=leftovers())
    up_s = time.monotonic() - began
    if outcome.result.interrupted:
        raise KeyboardInterrupt
    if not outcome.result.ok:
        raise outcome.result.errors[0].error or Failed(outcome.result.errors[0].message)
    asked = demo_bifrost.act(file, (OUTSIDER, _as(OUTSIDER)))
    news.step(f"writing {events:,} ride bookings with {records.PRODUCERS} producers as {WRITER}")
    run_id = secrets.token_bytes(16)
    began = time.monotonic()
    written = records.write(_as(WRITER), events, run_id)
    write_s = time.monotonic() - began
    news.step(f"writing to rides.booked as {OUTSIDER}, who may not")
    refused = records.refusal(_as(OUTSIDER), OUTSIDER)
    cluster = target.of_context(contexts.load().pick(STACK))
    with records.traffic(_as(WRITER), run_id) as meanwhile:
        healings = demo_heal.act(cluster)
    news.step("starting the broker again that was lost")
    nodes = targets.nodes_of(STACK)
    assert nodes is not None, "the demo's brokers are processes of this machine"
    nodes.start(healings[-1].broker)
    saved = demo_archive.act(cluster, paths.home() / "demo" / "archive")
    news.step(f"reading everything back as {READER} and checking each record")
    tallies = [*written, *meanwhile]
    began = time.monotonic()
    rides = {t.name: t.partitions for t in spec.topics if t.name.startswith("rides.")}
    count = records.read(_as(READER), rides, run_id, {number: tally.sent for number, tally in enumerate(tallies)})
    read_s = time.monotonic() - began
    acknowledged = sum(tally.acked for tally in tallies)
    if failures := [failure for tally in tallies for failure in tally.failures]:
        raise Failed(f"{sum(tally.failed for tally in tallies)} records were refused: {failures[0]}")
    news.step("a disaster drill: a broker hangs while Loki's load runs")
    drill = demo_drill.act(cluster, paths.home() / "demo" / "drill")
    owners = {t.name: t.owner for t in spec.topics} | {asked.topic: asked.team}
    day = demo_day.act(cluster, owners, paths.home() / "demo" / "day")
    return Report(
        stack=STACK,
        brokers=spec.kafka.brokers,
        topics=len(spec.topics),
        users=len(spec.users),
        up_s=up_s,
        asked=asked,
        sent=sum(tally.sent for tally in tallies),
        acknowledged=acknowledged,
        written_per_s=sum(tally.acked for tally in written) / write_s,
        meanwhile=sum(tally.acked for tally in meanwhile),
        healings=healings,
        read=count.read,
        read_s=read_s,
        lost=max(0, acknowledged - count.distinct()),
        duplicated=count.duplicated,
        corrupted=count.corrupted,
        refused=refused,
        drill=drill,
        saved=saved,
        day=day,
    )


def _agreed(outcome: ApplyOutcome) -> None:
    """The user asked for a demo: that approves what it creates."""


def _as(user: str) -> Connection:
    """A connection to the cluster as one of the stack's own users."""
    state = StateStore(directory(STACK)).load()
    cluster = local_connection(STACK, state)
    if cluster is None:
        raise Failed("the demo's cluster is gone", "Did another command destroy it meanwhile?")
    return Connection(cluster.bootstrap_servers, client_properties(STACK, state, user, cluster))


def _remove() -> None:
    if not StateStore(directory(STACK)).exists():
        return
    why = "it was interrupted"
    try:
        result = apply.destroy(STACK, OdinOptions(confirm=STACK), _agreed, leftovers=leftovers()).result
        if result.ok:
            return
        if result.errors:
            why = result.errors[0].message
    except AsgardError as error:
        why = error.what
    news.warn(f"the demo's cluster could not be removed: {why}")
    news.note(f"Try: asgard odin destroy --stack {STACK} --confirm {STACK} --yes")
