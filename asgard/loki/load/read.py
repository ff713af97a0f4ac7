"""Reads a scenario file, or the equivalent flags, as a `Scenario`: checks all of it, and gives every problem its place."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgard.core.assign import assign
from asgard.core.document import Document, Loc
from asgard.core.errors import InvalidFile, Problem
from asgard.loki.load.scenario import (
    Consumers,
    Keys,
    LoadTopic,
    Producers,
    Scenario,
    Slo,
    Stage,
    Values,
    usual_warm_up_s,
)

if TYPE_CHECKING:
    from asgard.core.schema.load import LoadFile, LoadProducers, LoadSlo, LoadValue

DEFAULT_DURATION_S = 30.0
IN_FLIGHT_BYTES = 32 * 1024 * 1024
"""What a closed loop has in flight by default: as much as the memory of Kafka's own producer (`buffer.memory`)."""
MOST_IN_FLIGHT = 100_000
LINGER_S = 0.005
FULL_SPEED_LINGER_S = 0.1
"""With so much in flight a record waits for its turn anyway; fuller batches leave more of the machine to the brokers."""
DEFAULT_BYTES = 1024
EVENT_BYTES = 256
"""More than an event of the built-in generator has."""
_LOC = re.compile(r"^[\w.\[\]]+: ")  # the place in a file, which flags lack
CLOSED_LOOP_RECORDS = 10_000_000
"""A closed loop writes as fast as it can; without a number of records, it ends after so many."""


def read_file(path: Path, *, assignments: Sequence[str] = (), workers: int = 1) -> Scenario:
    """The scenario of a YAML file, with `KEY=VALUE` assignments. Raises InvalidFile and WrongUsage."""
    from asgard.core import yaml

    document = yaml.read(path)
    for assignment in assignments:
        assign(document, assignment)
    return _scenario(document, path.stem, path.parent, workers)


def from_flags(values: Mapping[str, Any], flags: Mapping[Loc, str], *, workers: int = 1) -> Scenario:
    """The scenario from flags: `values` as a file would have them, `flags` the flag behind each. Raises InvalidFile.

    Unlike a file, flags without a warm-up get one.
    """
    document = Document("flags", dict(values), None, overrides=dict(flags))
    try:
        load = _scenario(document, "load", Path.cwd(), workers)
    except InvalidFile as error:
        found = [dataclasses.replace(p, file="option", line=0, message=_LOC.sub("", p.message)) for p in error.problems]
        raise InvalidFile(found) from error
    if "warm_up" in values:
        return load
    expected_s = _expected_s(load, named="records" in values)
    return dataclasses.replace(load, warm_up_s=usual_warm_up_s(expected_s))


def _expected_s(load: Scenario, *, named: bool) -> float:
    """How long the load will send. 0 if only the number of records is known: a warm-up could swallow all of them."""
    if not named or load.records is None:
        return load.duration_s
    rate = sum(stage.to_per_s for p in load.producers for stage in p.stages[:1])
    return min(load.duration_s, load.records / rate) if rate else 0.0


def json_schema() -> dict[str, Any]:
    """The JSON Schema of scenario files, for editors."""
    from asgard.core.schema.load import LoadFile

    return LoadFile.model_json_schema()


def _scenario(document: Document, name: str, folder: Path, workers: int) -> Scenario:
    from asgard.core.schema.load import LoadFile
    from asgard.core.schema.validate import check

    checked = check(document, LoadFile)
    problems = list(checked.problems)
    if checked.value is None or problems:
        raise InvalidFile(problems)
    file = checked.value
    problems += _problems(document, file, folder)
    if problems:
        raise InvalidFile(problems)
    longest = max((sum(s.duration for s in p.stages) for p in file.producers), default=0.0)
    duration_s = file.duration or longest or DEFAULT_DURATION_S
    producers = tuple(_producers(file, i, duration_s, workers, folder) for i in range(len(file.producers)))
    endless = any(not p.open_loop for p in producers)
    return Scenario(
        name=file.name or name,
        duration_s=duration_s,
        producers=producers,
        consumers=tuple(Consumers(c.topic, c.group, c.users or workers) for c in file.consumers),
        topics=tuple(LoadTopic(t.name, t.partitions, t.replication, t.config, t.in_place) for t in file.topics),
        warm_up_s=file.warm_up,
        records=file.records or (CLOSED_LOOP_RECORDS if endless else None),
        drain_s=file.drain,
        shape=str((folder / file.shape).absolute()) if file.shape else None,
        slo=_slo(file.slo),
        check=file.check,
        seed=file.seed,
    )


def _producers(file: LoadFile, i: int, duration_s: float, workers: int, folder: Path) -> Producers:
    given = file.producers[i]
    stages: list[Stage] = []
    if given.rate is not None:
        stages.append(Stage(duration_s, given.rate, given.rate))
    reached = 0.0
    for stage in given.stages:
        if stage.rate is not None:
            reached = stage.rate
            stages.append(Stage(stage.duration, reached, reached))
        else:
            assert stage.to is not None
            stages.append(Stage(stage.duration, reached, stage.to))
            reached = stage.to
    values = _values(given.value, folder)
    full_speed = not stages and given.in_flight is None
    before = sum(1 for p in file.producers[:i] if p.topic == given.topic and not p.name)
    return Producers(
        name=given.name or (f"{given.topic} {before + 1}" if before else given.topic),
        topic=given.topic,
        users=given.users or workers,
        stages=tuple(stages),
        in_flight=given.in_flight or min(max(IN_FLIGHT_BYTES // max(values.largest_bytes, 1), 1), MOST_IN_FLIGHT),
        keys=Keys(given.keys.spread, given.keys.count, given.keys.exponent),
        values=values,
        acks="all" if given.acks == "all" else "1" if given.acks == 1 else "0",
        idempotence=given.acks == "all" if given.idempotence is None else given.idempotence,
        compression=given.compression,
        linger_s=(FULL_SPEED_LINGER_S if full_speed else LINGER_S) if given.linger is None else given.linger,
        batch_bytes=given.batch,
        timeout_s=given.timeout,
    )


def _values(value: LoadValue, folder: Path) -> Values:
    if value.file is not None:
        from asgard.loki.load.feed import from_file  # brings numpy

        path = (folder / value.file).absolute()
        return Values(0, max(len(body) for _, body in from_file(path)), file=str(path))
    if value.events:
        return Values(0, EVENT_BYTES, value.events)
    if value.largest is not None:
        return Values(value.smallest or 0, value.largest)
    size = DEFAULT_BYTES if value.size is None else value.size
    return Values(size, size)


def _slo(slo: LoadSlo) -> Slo:
    return Slo(slo.p50, slo.p99, slo.p999, slo.end_to_end, slo.errors, slo.rate, slo.lost, slo.duplicates)


def _problems(document: Document, file: LoadFile, folder: Path) -> list[Problem]:
    """What one part requires of another."""
    found = []

    def wrong(loc: Loc, message: str, *, at_key: bool = False) -> None:
        found.append(document.problem(loc, message, at_key=at_key))

    names: set[str] = set()
    for i, producers in enumerate(file.producers):
        for loc, message in _of_producers(producers, file.duration):
            wrong(("producers", i, *loc), message)
        if producers.name in names:
            wrong(("producers", i, "name"), "is also the name of other producers; allowed is a unique name")
        names |= {producers.name} if producers.name else set()
    written = {p.topic for p in file.producers}
    for i, consumers in enumerate(file.consumers):
        if consumers.topic not in written:
            wrong(("consumers", i, "topic"), f"has no producer; allowed is {', '.join(sorted(written))}")
    for i, topic in enumerate(file.topics):
        if topic.name not in written:
            wrong(("topics", i, "name"), f"has no producer; allowed is {', '.join(sorted(written))}")
        if topic.name in {t.name for t in file.topics[:i]}:
            wrong(("topics", i, "name"), "is given twice")
        if topic.in_place and (topic.partitions or topic.replication or topic.config):
            wrong(
                ("topics", i, "in_place"),
                "writes to the topic as it is; partitions, replication and config are not set",
            )
    if file.slo.end_to_end is not None and not file.consumers:
        wrong(("slo", "end_to_end"), "is measured by consumers, and the load has none")
    for goal in ("lost", "duplicates"):
        if getattr(file.slo, goal) is not None and not file.check:
            wrong(("slo", goal), "is counted by the check of every record, which is turned off")
    if file.duration is not None and file.warm_up >= file.duration:
        wrong(("warm_up",), "is not shorter than the duration, so nothing would be measured")
    if file.shape is not None:
        path, _, name = file.shape.rpartition(":")
        if not path.endswith(".py") or not name.isidentifier():
            wrong(("shape",), f"is {file.shape!r}; allowed is FILE.py:CLASS")
        elif not (folder / path).is_file():
            wrong(("shape",), f"names {path}, which does not exist")
    return found


def _of_producers(given: LoadProducers, duration_s: float | None) -> list[tuple[Loc, str]]:
    found: list[tuple[Loc, str]] = []
    if given.rate is not None and given.stages:
        found.append((("rate",), "is given together with stages; allowed is one of the two"))
    if given.in_flight is not None and (given.rate is not None or given.stages):
        found.append((("in_flight",), "is for a closed loop; an open loop sends what is due"))
    for j, stage in enumerate(given.stages):
        if (stage.rate is None) == (stage.to is None):
            found.append((("stages", j), "needs either `rate` (holds it) or `to` (leads there)"))
    total = sum(stage.duration for stage in given.stages)
    if duration_s is not None and total > duration_s:
        found.append((("stages",), f"take {total:g} s together, more than the duration of {duration_s:g} s"))
    if given.idempotence and given.acks != "all":
        found.append((("idempotence",), f"needs acks all, and acks is {given.acks}"))
    value = given.value
    if sum(given is not None for given in (value.size, value.largest, value.events, value.file)) > 1:
        found.append((("value",), "has more than one of size, largest, events and file; allowed is one"))
    if value.smallest is not None and (value.largest is None or value.smallest > value.largest):
        found.append((("value", "smallest"), "needs a `largest` that is not smaller"))
    return found
