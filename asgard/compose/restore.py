"""Restore topics from an archive: planned first, so that it can be shown, then copied exactly once, and group offsets moved.

One copy for each life of a topic. After a kill it continues where its last transaction ended; it is never done twice.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from asgard.cluster.limits import Limits
from asgard.core import contexts, events
from asgard.core.errors import AsgardError, Failed, Refused
from asgard.kafka.model import NewTopic, Offsets, Topic
from asgard.kafka.ports import ControlPlane
from asgard.thor import offsets
from asgard.thor.archive import read, restore, thaw, translate
from asgard.thor.archive.location import open_storage
from asgard.thor.archive.restore import ArchiveSource, Life
from asgard.thor.replay import checks, filters, header, history, plan, routes
from asgard.thor.replay.checks import Objection
from asgard.thor.replay.copy import Routing
from asgard.thor.replay.filters import Filter
from asgard.thor.replay.model import Endpoint, TopicPartition
from asgard.thor.replay.pace import Rate
from asgard.thor.replay.perform import Job, Participant, perform
from asgard.thor.replay.replay import imagined, of_new_topics, with_disks
from asgard.thor.replay.slots import slots

if TYPE_CHECKING:
    from asgard.journal.store.database import Database


@dataclass(frozen=True)
class RestoreOrder:
    """What to restore from where. Times are ms (UTC); `words` are the two ends of the window as the user gave them."""

    archive: str
    topics: tuple[str, ...] = ()
    to: str | None = None
    endpoint_url: str | None = None
    from_ms: int | None = None
    until_ms: int | None = None
    words: tuple[str | None, str | None] = (None, None)
    wanted: Filter = field(default_factory=Filter)
    create: bool = False
    groups: bool = False
    skip_damaged: bool = False
    accept_loss: bool = False
    again: bool = False
    thaw: bool = False


@dataclass(frozen=True)
class PreparedRestore:
    """One life of a topic that can be restored to `to`. `finished`: that was already done, and nothing is missing."""

    life: Life
    to: str
    plan: plan.ReplayPlan
    files: read.WindowFiles
    document: Mapping[str, Any]
    records: int
    size_bytes: int
    finished: bool
    last_at: float | None
    create: NewTopic | None
    brought: tuple[restore.Brought, ...]
    objections: tuple[Objection, ...]


@dataclass
class Restored:
    """What was restored, summed up. `groups` counts the offsets set; `refused` lists the groups whose offsets Kafka rejected."""

    topics: list[str] = field(default_factory=list)
    created: list[str] = field(default_factory=list)
    records: int = 0
    bytes: int = 0
    left: dict[str, int] = field(default_factory=dict)
    groups: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    damaged: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Seen:
    """The cluster to restore to, as it is at `now` (seconds since 1970): its topics, what they hold, the restores in the journal, and
    those of this order that aren't finished, by topic and its id."""

    control: ControlPlane
    cluster_id: str
    topics: Mapping[str, Topic]
    held: Mapping[TopicPartition, Offsets]
    known: list[history.RecordedCopy]
    unfinished: Mapping[tuple[str, str], history.RecordedCopy]
    limits: Limits
    now: float


def prepare(
    control: ControlPlane, order: RestoreOrder, journal: Database, limits: Limits, now: float
) -> list[PreparedRestore]:
    """What would be restored, and the objections. Reads manifests and sizes, no records.

    Raises Failed if a file or manifest of the window is damaged or missing, unless `skip_damaged`. With `thaw`, files in cold storage are
    requested, which raises Busy until they are available; without it, Refused.
    """
    storage = open_storage(order.archive, order.endpoint_url)
    thaw.ask(thaw.frozen(storage, ["manifests/"]), allowed=order.thaw)
    cluster_id, known = control.cluster().cluster_id, history.known(journal, "restore")
    unfinished = _unfinished(order, storage.url, cluster_id, known)
    begun = {life: _window(order, copy.plan["from_ms"], copy.plan["until_ms"]) for life, copy in unfinished.items()}
    files = read.plan(storage, _window(order, order.from_ms, order.until_ms), begun)
    needed = {file.name for of_shard in files.files.values() for file in of_shard}
    thaw.ask(thaw.frozen(storage, [f"data/{shard.path}/" for shard in files.files], needed), allowed=order.thaw)
    read.refuse_damaged(files, allowed=order.skip_damaged)
    lives = restore.lives(files)
    to = {topic: _target(order, topic) for topic in lives}
    if len(set(to.values())) < len(to):
        plan.targets_of(list(lives), order.to, same_cluster=False)
    there = control.topics({*to.values(), *lives})
    held = control.offsets([(t.name, p.partition) for t in there.values() for p in t.partitions])
    seen = _Seen(control, cluster_id, there, held, known, unfinished, limits, now)
    return [_prepared(order, files, life, to[topic], seen) for topic, of_topic in lives.items() for life in of_topic]


def _target(order: RestoreOrder, topic: str) -> str:
    return (order.to or "{topic}").replace("{topic}", topic)


def _window(order: RestoreOrder, from_ms: int | None, until_ms: int | None) -> read.TopicWindow:
    return read.TopicWindow(order.topics, from_ms, until_ms)


def _identity(order: RestoreOrder, archive: str, topic: str, topic_id: str, cluster_id: str) -> str:
    """Identifies the restore of one life of a topic: the same words in the same place are the same restore, however much later."""
    return plan.request_of(archive, topic, topic_id, _target(order, topic), order.words, order.wanted, cluster_id)


def _unfinished(
    order: RestoreOrder, archive: str, cluster_id: str, known: list[history.RecordedCopy]
) -> dict[tuple[str, str], history.RecordedCopy]:
    """The restores of this order that were begun and aren't finished, by topic and its id. Each keeps the window that it began with."""
    lives = [((k.plan["routes"][0][0], k.plan["topic_id"]), k) for k in known if k.state == "unfinished"]
    return {life: k for life, k in lives if k.plan["request"] == _identity(order, archive, *life, cluster_id)}


def _prepared(order: RestoreOrder, files: read.WindowFiles, life: Life, to: str, seen: _Seen) -> PreparedRestore:
    storage, cluster_id, held, known = files.storage, seen.cluster_id, seen.held, seen.known
    identity = _identity(order, storage.url, life.topic, life.topic_id, cluster_id)
    mine = [k for k in known if k.plan.get("request") == identity]
    unfinished = seen.unfinished.get((life.topic, life.topic_id))
    target = seen.topics.get(to)
    still = seen.topics.get(life.topic) if to == life.topic and life.cluster_id == cluster_id else None
    create = life.new_topic(to, len(seen.control.cluster().brokers)) if target is None and order.create else None
    if unfinished is not None:
        made = plan.read(unfinished.id, unfinished.plan)
        times = (unfinished.plan["from_ms"], unfinished.plan["until_ms"])
        files = replace(files, window=_window(order, *times))
    else:
        window = restore.window(files, life, still, {key: o.start for key, o in held.items()})
        to_partitions = len(target.partitions) if target else life.partitions
        route = plan.TopicRoute(life.topic, to, life.partitions, to_partitions)
        words = f"{life.topic} from {storage.url} to {to}"
        made = plan.ReplayPlan(
            plan.id_of(identity, len(mine)), identity, words, life.cluster_id, cluster_id, (route,), window
        )
        times = (order.from_ms, order.until_ms)
    done = [k for k in known if k.state == "finished"]
    firsts = {key: o.start for key, o in held.items()}
    brought = () if order.again else tuple(restore.brought_before(done, storage.url, cluster_id, target, firsts))
    finished = unfinished is None and not order.again and _is_brought(made.window, life, brought, times)
    if order.wanted and not order.again:
        finished = unfinished is None and any(k in done for k in mine)
    held_there = restore.records_in(files, life, made.window)
    document = {
        **made.document(),
        "archive": storage.url,
        "topic_id": life.topic_id,
        "from_ms": times[0],
        "until_ms": times[1],
        "filtered": bool(order.wanted),
        "target_ends": [[p, o.end] for (name, p), o in sorted(held.items()) if name == to],
    }
    objections = _against(seen, made, life, create, held_there)
    return PreparedRestore(
        life, to, made, files, document, held_there.records, held_there.bytes, finished,
        unfinished.last_at if unfinished else None, create, brought, tuple(objections),
    )  # fmt: skip


def _is_brought(
    window: Mapping[TopicPartition, tuple[int, int]],
    life: Life,
    brought: tuple[restore.Brought, ...],
    times: tuple[int | None, int | None],
) -> bool:
    """Whether one earlier restore brought the whole window of every partition."""
    return all(
        any(
            b.shard == life.heads[partition].shard
            and b.start <= start
            and end <= b.end
            and (b.from_ms is None or (times[0] is not None and b.from_ms <= times[0]))
            and (b.until_ms is None or (times[1] is not None and times[1] <= b.until_ms))
            for b in brought
        )
        for (_, partition), (start, end) in window.items()
    )


def _against(
    seen: _Seen, made: plan.ReplayPlan, life: Life, create: NewTopic | None, held_there: restore.Holds
) -> list[Objection]:
    control, now_ms = seen.control, round(seen.now * 1000)
    (route,) = made.routes
    target = seen.topics.get(route.to)
    brokers = with_disks(control)
    up = sorted(b.id for b in brokers if b.state == "up")
    topics = {route.to: target} if target else {route.to: imagined(create, up)} if create else {}
    configs = control.effective_topic_configs([route.to], checks.CONFIGS) if target else {}
    if create:
        configs = of_new_topics(control, {route.to: create.config})
    older = {
        (route.topic, config): sum(count for at, count in held_there.times.items() if at < before)
        for config, before in checks.too_old_before(configs.get(route.to, {}), now_ms).items()
    }
    sizes = {key: held_there.bytes // max(1, len(made.window)) for key in made.window}
    largest = {route.topic: _largest(life, held_there)}
    facts = checks.TargetFacts(topics, configs, brokers, older, sizes, largest)
    # Restoring a topic to itself is what an archive is for.
    elsewhere = replace(made, source_cluster=f"archive of {made.source_cluster}")
    return checks.object_to(elsewhere, facts, seen.limits, now_ms)


def _largest(life: Life, held_there: restore.Holds) -> int:
    """The maximum record size for a topic: its largest record before compression, but no more than it could hold; 0: unknown."""
    limits = [head.facts.max_message_bytes for head in life.heads.values()]
    known = [held_there.largest + header.ROOM] if held_there.largest else []
    return min([*known, *([max(limits)] if all(limits) else [])], default=0)


def refuse(prepared: list[PreparedRestore], *, accept_loss: bool) -> None:
    """Raise Refused with the first objection that was not accepted."""
    for one in prepared:
        for objection in one.objections:
            if not one.finished and not (objection.loss and accept_loss):
                raise Refused(objection.text, objection.hint)


def run(
    prepared: list[PreparedRestore],
    order: RestoreOrder,
    target: Endpoint,
    journal: Database,
    rate: Rate,
    confirm: str | None = None,
) -> Restored:
    """Restore everything. Returns what happened. Raises Refused for a protected cluster, and what `perform` raises."""
    refuse(prepared, accept_loss=order.accept_loss)
    for one in prepared:
        if order.groups or not one.finished:
            contexts.refuse_protected_cluster(one.plan.target_cluster, confirm)
    began, restored = time.monotonic(), Restored()
    restored.damaged = sorted({error.name for one in prepared for error in one.files.damaged})
    for one in prepared:
        if one.finished:
            events.note(f"{one.plan.words}: all of it was already restored")
        else:
            _bring(one, order, target, journal, rate, restored)
        if one.to not in restored.topics:
            restored.topics.append(one.to)
    if order.groups:
        known = history.known(journal, "restore")
        for one in {one.to: one for one in prepared}.values():  # the newest life of each
            _move_groups(one, _copies_of(one, known), target, restored)
    restored.seconds = round(time.monotonic() - began, 3)
    return restored


def _bring(
    one: PreparedRestore, order: RestoreOrder, target: Endpoint, journal: Database, rate: Rate, restored: Restored
) -> None:
    """Restore one life of a topic, and add what was done to `restored`."""
    made, control = one.plan, target.control
    if one.create is not None and _create(control, one.create):
        restored.created.append(one.to)
    reading = ArchiveSource(one.files, one.life, made.window, one.brought, order.skip_damaged)
    job = Job(
        "restore",
        made.id,
        made.name,
        f"thor replay {made.words}",
        one.document,
        slots(made.window, made.places()),
        rate,
        one.last_at,
    )
    goal = Participant(target.connection, control, made.target_cluster, (one.to,))
    target_id = control.topics([one.to])[one.to].id
    routing = Routing(
        routes.replay(made, filters.matcher(order.wanted)),
        started=reading.started,
        note_of=reading.note_of,
        facts=lambda: {
            "target_id": target_id,
            "skipped": [[p, *skipped] for (_, p), ranges in sorted(reading.skipped.items()) for skipped in ranges],
        },
    )
    copied = perform(job, reading, routing, goal, journal)
    restored.damaged = sorted({*restored.damaged, *reading.damaged})
    restored.records += copied.total_sent
    restored.bytes += copied.sent_bytes
    for why, count in (*copied.left.items(), ("brought before", reading.left)):
        if count:
            restored.left[why] = restored.left.get(why, 0) + count


def _create(control: ControlPlane, new: NewTopic) -> bool:
    """Create a topic and wait until it is known; False if it already exists."""
    if control.topics([new.name]):
        return False
    error = control.create_topics([new])[new.name]
    if error is not None:
        raise error
    events.note(f"created {new.name} with {new.partitions} partitions and {len(new.config)} settings from its source")
    give_up = time.monotonic() + 20
    while time.monotonic() < give_up:
        found = control.topics([new.name]).get(new.name)
        if found is not None and all(p.leader >= 0 for p in found.partitions):
            return True
        time.sleep(0.05)
    raise Failed(f"{new.name} was created, but has no leaders yet", "Run it again once the cluster is healthy.")


def _copies_of(one: PreparedRestore, known: list[history.RecordedCopy]) -> frozenset[str]:
    """The ids of the restores that brought this life of the topic to the same place: other lives have offsets of their own."""
    return frozenset(
        k.id
        for k in known
        if k.plan["topic_id"] == one.life.topic_id and k.plan["routes"][0][:2] == [one.life.topic, one.to]
    )


def _move_groups(one: PreparedRestore, ids: frozenset[str], target: Endpoint, restored: Restored) -> None:
    """Move groups' committed offsets to the same records in the restored topic. Raises Failed if a partition has no leader."""
    (route,) = one.plan.routes
    if route.partitions != route.to_partitions:
        events.warn(f"group offsets of {route.topic} are not translated: {route.to} has another number of partitions")
        return
    wanted: dict[TopicPartition, dict[str, int]] = {
        (route.to, partition): dict(head.groups) for partition, head in one.life.heads.items() if head.groups
    }
    olds = {key: set(groups.values()) for key, groups in wanted.items()}
    held = offsets.held(target.control, list(olds))
    new = translate.translated(target.connection, ids, olds, held)
    by_group: dict[str, dict[TopicPartition, int]] = {}
    for key, groups in wanted.items():
        for group, old in groups.items():
            if (key, old) in new:
                by_group.setdefault(group, {})[key] = new[key, old]
    for group, moved in sorted(by_group.items()):
        try:
            target.control.commit_offsets(group, moved)
            restored.groups += len(moved)
        except AsgardError as error:
            restored.refused[group] = error.what
            events.warn(f"the offsets of the group {group} were not set: {error.what}")
