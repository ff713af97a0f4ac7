"""`thor replay`: a window of topics copied to other topics or another cluster. Prepared first, so that it can be shown; then run.

`prepare` reads only indexes and configs, no records. A request that was started and isn't finished keeps its plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Literal

from asgard.cluster.limits import Limits
from asgard.core import contexts, events
from asgard.core.errors import Failed, Refused, WrongUsage
from asgard.journal.store.database import Database
from asgard.kafka.model import NewTopic, Partition, Topic
from asgard.kafka.ports import ControlPlane
from asgard.thor import offsets
from asgard.thor.replay import checks, filters, history, plan, routes, window
from asgard.thor.replay.checks import Objection
from asgard.thor.replay.copy import Routing
from asgard.thor.replay.filters import Filter
from asgard.thor.replay.model import Copied, Endpoint, TopicPartition
from asgard.thor.replay.pace import Rate
from asgard.thor.replay.perform import Job, Participant, perform
from asgard.thor.replay.plan import ReplayPlan, TopicRoute
from asgard.thor.replay.slots import slots
from asgard.thor.replay.topics import TopicSource

Standing = Literal["new", "unfinished", "finished"]


@dataclass(frozen=True)
class ReplayRequest:
    """A user's request. `begin` and `stop` are the values of `--from` and `--until`, `asked` their words."""

    topics: tuple[str, ...]
    to: str | None
    begin: window.Bound
    stop: window.Bound
    asked: tuple[str | None, str | None]
    wanted: Filter = field(default_factory=Filter)
    again: bool = False
    create: bool = False
    accept_loss: bool = False


@dataclass(frozen=True)
class PreparedReplay:
    """A replay that is ready to start. `size_bytes` is roughly what the window holds, without filters; None if unknown."""

    plan: ReplayPlan
    standing: Standing
    request: ReplayRequest
    objections: list[Objection]
    size_bytes: int | None
    to_create: tuple[NewTopic, ...] = ()
    last_at: float | None = None


@dataclass(frozen=True)
class _Scope:
    """A request on its clusters: the source topics, where each goes, and the targets that exist."""

    request: ReplayRequest
    source: ControlPlane
    target: ControlPlane
    clusters: tuple[str, str]
    topics: Mapping[str, Topic]
    to: Mapping[str, str]
    targets: Mapping[str, Topic]


def prepare(
    source: ControlPlane, target: ControlPlane, request: ReplayRequest, journal: Database, limits: Limits, now: float
) -> PreparedReplay:
    """What would be copied, and the objections. Reads only; `now` is seconds since 1970."""
    source_id, target_id = source.cluster().cluster_id, target.cluster().cluster_id
    topics = _named(source, request.topics)
    to = plan.targets_of(list(topics), request.to, same_cluster=source_id == target_id)
    asked = (sorted(topics), sorted(to.items()), request.asked, request.wanted, source_id, target_id)
    identity = plan.request_of(*asked)
    before = history.known(journal, request=identity)
    unfinished = next((k for k in before if k.state == "unfinished"), None)
    standing: Standing = "new"
    scope = _Scope(request, source, target, (source_id, target_id), topics, to, target.topics(set(to.values())))
    if unfinished is not None:
        made, standing = plan.read(unfinished.id, unfinished.plan), "unfinished"
    else:
        done = [k for k in before if k.state == "finished"]
        if done and not request.again:
            if request.begin.relative or (request.stop.relative and request.asked[1] is not None):
                raise Refused(
                    f"the same was already replayed as {done[-1].id}, and --from and --until are relative to now",
                    "Write dates in place of ages, or add --again to replay this window too.",
                )
            made, standing = plan.read(done[-1].id, done[-1].plan), "finished"
        else:
            made = _plan(scope, identity, len(done))
    up = sorted(b.id for b in target.cluster().brokers if b.state == "up")
    create = _to_create(scope, made, len(up)) if request.create else ()
    with_new = {**scope.targets, **{new.name: imagined(new, up) for new in create}}
    new = {new.name: new.config for new in create}
    objections, size = _against(replace(scope, targets=with_new), made, new, limits, now)
    return PreparedReplay(made, standing, request, objections, size, create, unfinished.last_at if unfinished else None)


def refuse(prepared: PreparedReplay) -> None:
    """Raise Refused with the first objection that wasn't accepted."""
    against = [o for o in prepared.objections if not (o.loss and prepared.request.accept_loss)]
    if against:
        raise Refused(against[0].text, against[0].hint)


def run(
    prepared: PreparedReplay,
    source: Endpoint,
    target: Endpoint,
    journal: Database,
    rate: Rate,
    confirm: str | None = None,
) -> tuple[Copied, dict[TopicPartition, int]]:
    """Run a prepared replay. Returns what happened, and what expired unread, by partition. Raises Refused and what `perform` raises."""
    refuse(prepared)
    made = prepared.plan
    contexts.refuse_protected_cluster(made.target_cluster, confirm)
    _create(target.control, prepared.to_create)
    reading = TopicSource(source.connection, made.window, client_id=made.name)
    same = made.source_cluster == made.target_cluster
    sources = tuple(r.topic for r in made.routes)
    goal = Participant(
        target.connection, target.control, made.target_cluster, (*made.targets, *(sources if same else ()))
    )
    job = Job(
        "replay",
        made.id,
        made.name,
        f"thor replay {made.words}",
        made.document(),
        slots(made.window, list(made.window) if same else made.places()),
        rate,
        prepared.last_at,
    )
    others = () if same else (Participant(source.connection, source.control, made.source_cluster, sources),)
    route = routes.replay(made, filters.matcher(prepared.request.wanted))
    routing = Routing(route, facts=lambda: {"expired": sum(reading.expired.values())})
    copied = perform(job, reading, routing, goal, journal, others=others)
    return copied, reading.expired


def _named(source: ControlPlane, patterns: Iterable[str]) -> dict[str, Topic]:
    """The topics that names and patterns match; internal ones only by their exact name."""
    wanted = list(patterns)
    wild = [p for p in wanted if set(p) & set("*?[")]
    found = source.topics(None if wild else wanted)
    chosen = {
        name: topic
        for name, topic in found.items()
        if name in wanted or (not topic.internal and any(fnmatchcase(name, p) for p in wild))
    }
    for pattern in wanted:
        if pattern not in chosen and not any(fnmatchcase(name, pattern) for name in chosen):
            raise WrongUsage(
                f"there is no topic {pattern}", "Name a topic of the source, or a pattern as in 'orders.*'."
            )
    return chosen


def _plan(scope: _Scope, identity: str, before: int) -> ReplayPlan:
    source, topics, to, targets = scope.source, scope.topics, scope.to, scope.targets
    keys = [(name, p.partition) for name, topic in topics.items() for p in topic.partitions]
    held = offsets.held(source, keys, committed=True)
    found = window.between(held, scope.request.begin, scope.request.stop, lambda at: source.offsets_at(keys, at))
    counts = {name: len(topic.partitions) for name, topic in topics.items()}
    made = tuple(
        TopicRoute(
            name, to[name], counts[name], len(targets[to[name]].partitions) if to[name] in targets else counts[name]
        )
        for name in topics
    )
    words = ", ".join(f"{name} to {to[name]}" for name in list(topics)[:3]) + (" and more" if len(topics) > 3 else "")
    return ReplayPlan(plan.id_of(identity, before), identity, words, *scope.clusters, made, found)


def _to_create(scope: _Scope, made: ReplayPlan, brokers: int) -> tuple[NewTopic, ...]:
    """Missing targets, created like their sources: partitions, configs, and as many replicas as the brokers allow."""
    configs = scope.source.topic_configs([route.topic for route in made.routes])
    return tuple(
        NewTopic(
            route.to,
            route.partitions,
            min(scope.topics[route.topic].replication, brokers),
            {k: v for k, v in configs.get(route.topic, {}).items() if "throttled" not in k},
        )
        for route in made.routes
        if route.to not in scope.targets
    )


def imagined(new: NewTopic, brokers: Sequence[int]) -> Topic:
    """A topic that is about to exist, its replicas on the brokers in turn: roughly as Kafka will place them."""
    turns = [tuple(brokers[(p + i) % len(brokers)] for i in range(new.replication)) for p in range(new.partitions)]
    return Topic(new.name, "", False, tuple(Partition(new.name, p, r, (), -1) for p, r in enumerate(turns)))


def _create(control: ControlPlane, topics: Collection[NewTopic]) -> None:
    import time

    for name, error in control.create_topics(topics).items() if topics else ():
        if error is not None:
            raise error
        events.note(f"created {name}")
    names = {new.name for new in topics}
    until = time.monotonic() + 20
    while names - control.topics(names).keys() and time.monotonic() < until:
        time.sleep(0.05)


def _against(
    scope: _Scope, made: ReplayPlan, new: Mapping[str, Mapping[str, str]], limits: Limits, now: float
) -> tuple[list[Objection], int | None]:
    """Objections, and roughly how many bytes the window holds. `new` are the configs of targets to create."""
    source, target, targets, begin = scope.source, scope.target, scope.targets, scope.request.begin
    now_ms = round(now * 1000)
    real = [name for name, topic in targets.items() if topic.id]
    configs = {**(target.effective_topic_configs(real, checks.CONFIGS) if real else {}), **of_new_topics(target, new)}
    older = {}
    for route in made.routes:
        for config, before in checks.too_old_before(configs.get(route.to, {}), now_ms).items():
            keys = [key for key in made.window if key[0] == route.topic]
            older[route.topic, config] = _before(source, made, keys, before)
    sizes = _sizes(source, made, scope.topics)
    brokers = with_disks(target) if sizes else ()
    facts = checks.TargetFacts(targets, configs, brokers, older, sizes, _largest(source, made))
    from_ms = begin.at_ms if begin.kind == "time" else None
    against = checks.object_to(made, facts, limits, now_ms, from_ms)
    return against, sum(sizes.values()) if sizes is not None else None


def of_new_topics(target: ControlPlane, new: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """The configs that topics will have once created; without the brokers' defaults if reading those is not allowed."""
    if not new:
        return {}
    try:
        brokers = target.effective_broker_configs(checks.BROKER_CONFIGS)
    except Failed:
        brokers = {}
    return {name: checks.of_a_new_topic(own, brokers) for name, own in new.items()}


def _largest(source: ControlPlane, made: ReplayPlan) -> dict[str, int]:
    """The maximum record size of each source topic, by its own limit; empty if reading it is not allowed."""
    try:
        configs = source.effective_topic_configs([route.topic for route in made.routes], [checks.MAX_BYTES])
    except Failed:
        return {}
    return {topic: int(found[checks.MAX_BYTES]) for topic, found in configs.items() if checks.MAX_BYTES in found}


def _before(source: ControlPlane, made: ReplayPlan, keys: list[TopicPartition], at_ms: int) -> int:
    """How many offsets of the window are before the first record of that time, according to the time index."""
    first = source.offsets_at(keys, at_ms)
    return sum(max(0, min(first.get(k, 0), made.window[k][1]) - made.window[k][0]) for k in keys)


def _sizes(source: ControlPlane, made: ReplayPlan, topics: Mapping[str, Topic]) -> dict[TopicPartition, int] | None:
    """Roughly how many bytes the window of each partition holds: its share of the offsets, applied to the size on the leader's disk."""
    leaders = {(p.topic, p.partition): p.leader for t in topics.values() for p in t.partitions}
    sizes = source.replica_sizes({leader for leader in leaders.values() if leader >= 0})
    held = source.offsets(list(made.window))
    found = {}
    for key, (start, end) in made.window.items():
        size = sizes.get((leaders.get(key, -1), *key))
        if size is None or key not in held:
            return None
        found[key] = size * (end - start) // max(held[key].records, 1)
    return found


def with_disks(target: ControlPlane) -> tuple[Any, ...]:
    """The brokers with their log directories; those that are down have none."""
    brokers = target.cluster().brokers
    disks = target.log_dirs([b.id for b in brokers if b.state == "up"])
    return tuple(replace(b, log_dirs=disks.get(b.id, ())) for b in brokers)
