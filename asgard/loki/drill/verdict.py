"""What a drill proves, in words that need no Kafka: from its faults and its load to promises, a verdict, and a story. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from asgard.core.units import format_duration
from asgard.loki.check.promises import Promise as Promised
from asgard.loki.drill import times
from asgard.loki.drill.result import Drill, Often, Promise, Series, Struck
from asgard.loki.drill.scenarios import HEAL_S, TIMEOUT_S, DrillPlan
from asgard.loki.drill.statistics import share
from asgard.loki.load.result import LoadResult
from asgard.loki.load.verdict import milliseconds


def judged(plan: DrillPlan, faults: Sequence[Struck], load: LoadResult, command: str) -> Drill:
    """The drill with its verdict."""
    first_s = min((fault.at_s for fault in faults), default=0.0)
    producers = times.since(times.producers_waited(load.rows, load.row_s, TIMEOUT_S), first_s)
    consumers = times.since(times.consumers_waited(load.rows, load.row_s), first_s)
    told = _with_waits(faults, producers, consumers, load.seconds)
    promises = _promises(told, load)
    counts = load.check.counts if load.check else None
    drill = Drill(
        scenario=plan.scenario,
        about=plan.about,
        seed=plan.seed,
        loses=plan.loses,
        command=command,
        passed=all(promise.kept for promise in promises),
        verdict="",
        story=[],
        faults=told,
        promises=promises,
        acknowledged=counts.acknowledged if counts else sum(s.acked for s in load.sending),
        lost=load.check.lost if load.check else 0,
        duplicates=load.check.duplicates if load.check else 0,
        worst_s=max((s.latency.max_s for s in load.sending if s.latency.max_s is not None), default=None),
        worst_end_to_end_s=max(
            (r.end_to_end.max_s for r in load.reading if r.end_to_end.max_s is not None), default=None
        ),
        producers_waited_s=round(sum(s.seconds for s in producers), 2),
        consumers_waited_s=round(sum(s.seconds for s in consumers), 2),
        producers_waited=producers,
        consumers_waited=consumers,
        load=load,
    )
    return dataclasses.replace(drill, verdict=_verdict(drill), story=_story(drill))


def added_up(runs: Sequence[Drill], cluster: str, command: str) -> Series:
    """All runs of a command together."""
    often = [
        Often(p.name, p.words, share(sum(run.promises[i].kept for run in runs), len(runs)))
        for i, p in enumerate(runs[0].promises)
    ]
    passed = all(run.passed for run in runs)
    verdict = runs[0].verdict if len(runs) == 1 else _of_all(runs)
    return Series(runs[0].scenario, cluster, runs[0].load.cluster_id, command, passed, verdict, list(runs), often)


def _with_waits(
    faults: Sequence[Struck], producers: list[times.Stretch], consumers: list[times.Stretch], end_s: float
) -> list[Struck]:
    """Each fault with the waiting until the next one began."""
    ends = [*(fault.at_s for fault in faults[1:]), end_s]
    return [
        dataclasses.replace(
            fault,
            producers_waited_s=round(times.within(producers, fault.at_s, until), 2),
            consumers_waited_s=round(times.within(consumers, fault.at_s, until), 2),
        )
        for fault, until in zip(faults, ends, strict=True)
    ]


def _promises(faults: Sequence[Struck], load: LoadResult) -> list[Promise]:
    check = load.check
    unanswered = sum(s.failed + s.unknown for s in load.sending)
    unhealed = [fault.text for fault in faults if fault.healed_s is None or fault.by_hand]
    decided = check is not None and check.outcome != "undecided"
    lost, duplicates = (check.lost, check.duplicates) if check else (0, 0)
    told_already = (None, str(Promised.DURABILITY), str(Promised.ONCE))
    broken = [f.words for f in check.findings if f.promise not in told_already] if check else []
    last_s = max((fault.at_s + (fault.healed_s or 0.0) for fault in faults), default=0.0)
    acked, read = _since(load, last_s)
    return [
        Promise(
            "kept",
            "every record that the cluster acknowledged is still there",
            decided and not lost,
            f"{lost:,} lost" if decided else "not all of them could be checked",
        ),
        Promise("once", "no record is duplicated", decided and not duplicates, f"{duplicates:,} duplicated"),
        Promise(
            "order",
            "records are intact, in order, and the same for every consumer",
            decided and not broken,
            "; ".join(broken) or "nothing wrong was found",
        ),
        Promise(
            "answered",
            "every record that was sent was acknowledged in the end",
            not unanswered,
            f"{unanswered:,} were not",
        ),
        Promise(
            "healed",
            f"the cluster recovered within {format_duration(HEAL_S)} of each fault, without help",
            not unhealed,
            f"not after: {'; '.join(unhealed)}" if unhealed else "after each",
        ),
        Promise(
            "serves",
            "records were written and read again afterwards",
            acked > 0 and read > 0,
            f"{acked:,} written, {read:,} read",
        ),
    ]


def _since(load: LoadResult, at_s: float) -> tuple[int, int]:
    """Records that were acknowledged, and read, since then; those of the last row if that is the end."""
    rows = [row for row in load.rows if row.at_s + load.row_s > at_s]
    return sum(row.acked for row in rows), sum(row.read for row in rows)


def _verdict(drill: Drill) -> str:
    """One sentence, the most serious thing first."""
    by_name = {promise.name: promise for promise in drill.promises}
    records = f"{drill.acknowledged:,} records that the cluster had acknowledged"
    if drill.lost:
        made = " That is what this scenario is made to show." if drill.loses else ""
        return f"{drill.lost:,} of {records} {'is' if drill.lost == 1 else 'are'} lost for good.{made}"
    if not drill.acknowledged:
        return "The cluster acknowledged no record at all."
    if not by_name["kept"].kept:
        return f"It is unknown whether all {records} are still there."
    safe = f"Nothing was lost: all {records} are still there"
    broken = [promise for promise in drill.promises if not promise.kept]
    if drill.loses:
        return f"{safe}. This scenario is made to lose records and did not this time, so the run proves nothing."
    if broken:
        told = "; ".join(f"{promise.words} ({promise.seen})" for promise in broken)
        return f"{safe}, but this does not hold: {told}."
    whole = " The cluster healed itself." if any(fault.heals for fault in drill.faults) else ""
    return f"{safe}, each of them once.{whole}"


def _story(drill: Drill) -> list[str]:
    told = [_fault(fault) for fault in drill.faults]
    waited = [
        f"{who} {_for(seconds)}"
        for who, seconds in (
            ("some producers were blocked", drill.producers_waited_s),
            ("some consumers got nothing new", drill.consumers_waited_s),
        )
        if seconds
    ]
    if waited:
        told.append(
            f"Meanwhile {' and '.join(waited)}; the slowest record took {milliseconds(drill.worst_s)} to be acknowledged and {milliseconds(drill.worst_end_to_end_s)} to be read."
        )
    else:
        told.append(f"No producer or consumer was blocked for longer than {times.ALLOWED_S:g} s.")
    if drill.loses:
        told.append(
            "With acks=1 a record is acknowledged when one broker has it. The broker that should have copied these hung, the one that "
            "had them died, and the other one took over without them. acks=all with min.insync.replicas=2 and without unclean "
            "leader election prevents this, as the other scenarios show."
        )
    if drill.duplicates and not drill.loses:
        told.append(
            "A record can be duplicated although its producer is idempotent: when leaders change, librdkafka may begin a new epoch and "
            "resend what had already arrived (its issue 4953). Readers that must not count twice need keys or transactions."
        )
    if drill.load.check:
        told.append(f"The check of every record says: {drill.load.check.sentence}")
        told += drill.load.check.notes
    return told


def _fault(fault: Struck) -> str:
    first = f"{format_duration(fault.at_s)} after the start: {fault.text}."
    if fault.noticed_s is not None:
        first += f" Noticed after {format_duration(fault.noticed_s)}."
    elif fault.kafka_s is not None and fault.heals:
        first += f" Kafka noticed after {format_duration(fault.kafka_s)}; Thor did not."
    if fault.healed_s is None:
        return f"{first} Not healed within {format_duration(HEAL_S)}{f' ({fault.healing})' if fault.healing else ''}; the drill put it back."
    how = f" ({fault.healing})" if fault.healing else ""
    return f"{first} Everything had recovered {format_duration(fault.healed_s)} after it began{how}."


def _for(seconds: float) -> str:
    return f"for {format_duration(seconds)}"


def _of_all(runs: Sequence[Drill]) -> str:
    lost, acknowledged = sum(run.lost for run in runs), sum(run.acknowledged for run in runs)
    good = sum(run.passed for run in runs)
    records = f"{acknowledged:,} records that the cluster had acknowledged"
    fate = f"{lost:,} of {records} are lost for good" if lost else f"nothing was lost of {records}"
    if good == len(runs):
        return f"All {len(runs)} drills passed: {fate}."
    first = next(run for run in runs if not run.passed)
    return f"{len(runs) - good} of {len(runs)} drills did not pass: {fate}. The first one had seed {first.seed}: {first.verdict}"
