"""The result of a load: what was measured, what was checked, and whether it is good enough. `asgard.load-result/v1` as JSON. Pure.

Latencies are seconds, rates records per second, `began_at` UTC. Percentiles are accurate to 1 %; the counts behind them are in
`histogram` (bucket to count, `asgard.loki.load.histogram`), so that results can be merged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from asgard.loki.check.check import RecordCounts
from asgard.loki.load.histogram import Histogram
from asgard.loki.load.outcome import LoadOutcome, Row, Worker
from asgard.loki.load.scenario import Producers, Scenario
from asgard.loki.load.tally import Part

FORMAT = "asgard.load-result/v1"
ACK_GRACE_S = 1.0


@dataclass(frozen=True)
class Latency:
    """Percentiles in seconds; None: nothing was measured."""

    mean_s: float | None
    p50_s: float | None
    p90_s: float | None
    p99_s: float | None
    p999_s: float | None
    max_s: float | None

    @classmethod
    def of(cls, histogram: Histogram) -> Latency:
        """The percentiles of a histogram."""
        p50_s, p90_s, p99_s, p999_s = (histogram.quantile_s(share) for share in (0.5, 0.9, 0.99, 0.999))
        max_s = histogram.max_us / 1e6 if histogram.counts else None
        return cls(histogram.mean_s(), p50_s, p90_s, p99_s, p999_s, max_s)


@dataclass(frozen=True)
class Sending:
    """A group of producers. `latency` counts from the intended send time, `from_send` from when the client was given the record.

    In a closed loop the two are the same: it sends only when answers come, and what it did not send while it
    waited is not in any figure (coordinated omission). `late` is how much later than intended records were given to the client,
    `unsent` were due but never sent: the load's machine was too slow, or the client was full because the cluster is slow.
    """

    name: str
    topic: str
    loop: Literal["open", "closed"]
    sent: int
    acked: int
    failed: int
    unknown: int
    unsent: int
    rate_per_s: float
    latency: Latency
    from_send: Latency
    late: Latency
    reasons: dict[str, int]
    histogram: Histogram


@dataclass(frozen=True)
class Reading:
    """A group of consumers. `end_to_end` counts from the intended send time to the consumer's hands."""

    group: str
    topic: str
    read: int
    lag: int | None
    end_to_end: Latency
    histogram: Histogram


@dataclass(frozen=True)
class Mark:
    """Something that happened during the load, for the plots: a fault, its end, a worker that was lost."""

    at_s: float
    text: str
    until_s: float | None = None


@dataclass(frozen=True)
class Judged:
    """One thing that had to hold: what was required, what was measured, whether it held."""

    name: str
    wanted: str
    got: str
    met: bool


@dataclass(frozen=True)
class FindingSummary:
    """An anomaly that the check found. `promise`: the one that it breaks; None: none was given, `because` says why."""

    words: str
    count: int
    promise: str | None
    because: str


@dataclass(frozen=True)
class CheckSummary:
    """What happened to every record (`asgard.loki.check`). `outcome`: kept, broken or undecided."""

    outcome: str
    sentence: str
    mode: str
    counts: RecordCounts
    lost: int
    duplicates: int
    unseen: int
    findings: list[FindingSummary]
    notes: list[str]


@dataclass(frozen=True)
class LoadResult:
    """Everything. `judged` is what had to hold, `passed` whether it did, `reason` why not, in one line."""

    run: str
    name: str
    cluster_id: str
    began_at: str
    seconds: float
    stopped: bool
    topics: dict[str, str]
    sending: list[Sending]
    reading: list[Reading]
    rows: list[Row]
    row_s: float
    workers: list[Worker]
    scenario: Scenario
    marks: list[Mark] = field(default_factory=list)
    check: CheckSummary | None = None
    judged: list[Judged] = field(default_factory=list)
    passed: bool = True
    reason: str | None = None
    format: str = FORMAT


def measured(
    load: Scenario, outcome: LoadOutcome, *, run: bytes, cluster_id: str, topics: dict[str, str], group: str
) -> LoadResult:
    """The result as measured, not judged yet. `topics`: the scenario's names to those that were written."""
    parts = outcome.parts
    sending = [_sending(load, p, parts.get(f"producers/{i}", Part())) for i, p in enumerate(load.producers)]
    reading = []
    for i, consumers in enumerate(load.consumers):
        part = parts.get(f"consumers/{i}", Part())
        latency = Latency.of(part.end_to_end)
        reading.append(
            Reading(consumers.group or group, consumers.topic, part.read, part.lag, latency, part.end_to_end)
        )
    lost = [w for w in outcome.workers if w.state == "lost"]
    return LoadResult(
        run=run.hex(),
        name=load.name,
        cluster_id=cluster_id,
        began_at=datetime.fromtimestamp(outcome.began_us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        seconds=outcome.seconds,
        stopped=outcome.stopped,
        topics=topics,
        sending=sending,
        reading=reading,
        rows=outcome.rows,
        row_s=outcome.row_s,
        workers=outcome.workers,
        scenario=load,
        marks=[Mark(worker.lost_at_s or 0.0, f"worker {worker.index} lost") for worker in lost],
    )


def _sending(load: Scenario, group: Producers, part: Part) -> Sending:
    return Sending(
        name=group.name,
        topic=group.topic,
        loop="open" if group.open_loop else "closed",
        sent=part.sent,
        acked=part.acked,
        failed=part.failed,
        unknown=part.unknown,
        unsent=part.unsent,
        rate_per_s=part.measured / span if (span := _span_s(load, group, part)) else 0.0,
        latency=Latency.of(part.latency),
        from_send=Latency.of(part.from_send),
        late=Latency.of(part.late),
        reasons=part.reasons,
        histogram=part.latency,
    )


def _span_s(load: Scenario, group: Producers, part: Part) -> float:
    """The seconds that the measured records took: from the first one, or the end of the warm-up, to the last acknowledgement.

    In an open loop no less than was planned, and exactly that if the last acknowledgements came within a second of its end: a
    record that is due at the end needs a moment.
    """
    if part.first_us is None or part.last_us is None:
        return 0.0
    begin_s = max(part.first_us / 1e6, load.warm_up_s)
    took_s = part.last_us / 1e6 - begin_s
    planned_s = min(sum(stage.duration_s for stage in group.stages), load.duration_s) - load.warm_up_s
    if group.open_loop and load.records is None and took_s < planned_s + ACK_GRACE_S:
        return planned_s
    return took_s
