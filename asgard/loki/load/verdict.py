"""Is a load's result good enough? From figures and goals to a list of what held, and one line about what did not. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from asgard.core.units import format_duration
from asgard.loki.load.result import Judged, LoadResult
from asgard.loki.load.scenario import Slo


def judge(result: LoadResult, checked: Iterable[Judged] = ()) -> LoadResult:
    """The result with its verdict; `checked` is what the check of every record adds."""
    judged = [*_basics(result), *_goals(result, result.scenario.slo), *checked]
    missed = [j for j in judged if not j.met]
    reason = "; ".join(f"{j.name} was {j.got}, the goal is {j.wanted}" for j in missed) or None
    return dataclasses.replace(result, judged=judged, passed=not missed, reason=reason)


def _basics(result: LoadResult) -> Iterator[Judged]:
    """What must hold whatever the goals are."""
    lost = [w for w in result.workers if w.state == "lost"]
    if lost or len(result.workers) > 1:
        words = ", ".join(f"worker {w.index} (pid {w.pid} on {w.host}) lost after {w.lost_at_s:.1f} s" for w in lost)
        yield Judged("workers", f"{len(result.workers)} to the end", words or f"{len(result.workers)}", not lost)
    unsent = sum(s.unsent for s in result.sending)
    if unsent and not result.stopped:
        yield Judged("sending", "all that was due", f"{unsent:,} records too late to be sent at all", False)
    if not any(s.acked for s in result.sending):
        reasons = [reason for s in result.sending for reason in s.reasons]
        yield Judged("acknowledged", "some records", f"none{f' ({reasons[0]})' if reasons else ''}", False)


def _goals(result: LoadResult, slo: Slo) -> Iterator[Judged]:
    several = len(result.sending) > 1
    for name, wanted_s in (("p50", slo.p50_s), ("p99", slo.p99_s), ("p999", slo.p999_s)):
        for sending in result.sending if wanted_s is not None else ():
            got_s = getattr(sending.latency, f"{name}_s")
            yield _time(f"{name} of {sending.name}" if several else name, wanted_s, got_s)
    if slo.end_to_end_s is not None:
        for reading in result.reading:
            yield _time(f"end-to-end p99 of {reading.group}", slo.end_to_end_s, reading.end_to_end.p99_s)
    if slo.errors is not None:
        sent = sum(s.sent for s in result.sending)
        wrong = sum(s.failed + s.unknown for s in result.sending)
        share = wrong / sent if sent else 1.0
        yield Judged(
            "errors",
            f"at most {slo.errors:.4g} of all" if slo.errors else "none",
            f"{wrong:,} of {sent:,}",
            share <= slo.errors,
        )
    if slo.rate_per_s is not None:
        got = sum(s.rate_per_s for s in result.sending)
        yield Judged("rate", f"at least {slo.rate_per_s:,.0f}/s", f"{got:,.0f}/s", got >= slo.rate_per_s)


def _time(name: str, wanted_s: float | None, got_s: float | None) -> Judged:
    assert wanted_s is not None
    got = "not measured" if got_s is None else milliseconds(got_s)
    return Judged(name, f"at most {milliseconds(wanted_s)}", got, got_s is not None and got_s <= wanted_s)


def milliseconds(seconds: float | None) -> str:
    """`3.21 ms`, `250 ms`, `2.5 s`: a latency as people read it."""
    if seconds is None:
        return "-"
    if seconds >= 1:
        return f"{seconds:.2f} s" if seconds < 60 else format_duration(seconds)
    return f"{seconds * 1000:.3g} ms"
