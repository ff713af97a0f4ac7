"""The load that a cluster must withstand before it counts as provisioned: `kafka.ports.LoadGate`, for `odin up`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asgard.core import events
from asgard.kafka.model import GateGoals, GateLoad, GateVerdict
from asgard.kafka.target import Target
from asgard.loki.load import report, scratch
from asgard.loki.load import run as runs
from asgard.loki.load.result import LoadResult
from asgard.loki.load.scenario import LoadTopic, Producers, Scenario, Slo, Stage, Values, usual_warm_up_s

if TYPE_CHECKING:
    from asgard.journal.operations import Leftovers

TIMEOUT_S = 30.0
"""How long a gate's record may wait for its acknowledgement: shorter than the client's two minutes, so that `up` does not hang."""


class Gate:
    """Runs gates on one cluster. The caller already has the user's consent."""

    def __init__(self, target: Target, *, leftovers: Leftovers | None = None) -> None:
        self._target = target
        self._leftovers = leftovers

    def run(self, load: GateLoad, goals: GateGoals) -> GateVerdict:
        """Run the load; returns the verdict. Raises what `LoadGate.run` says."""
        control = self._target.connect(deadline_s=runs.CALL_DEADLINE_S)
        try:
            scenario = scenario_of(load, goals)
            topics = scratch.plan(control, scenario, runs.new_run())
            with runs.begin(self._target, control, scenario, topics, leftovers=self._leftovers) as running:
                for event in running.events():
                    if event["event"] == "progress":
                        text = f"{event['acked']:,}/s acknowledged, {event['errors']:,} errors"
                        events.progress("gate", text)
                result = runs.finish(running, control, nodes=runs.disks_of(self._target))
        finally:
            control.close()
        return verdict_of(result, str(report.write(result, running.directory)))


def scenario_of(load: GateLoad, goals: GateGoals) -> Scenario:
    """The scenario of a gate."""
    sends = Producers(
        name=load.topic,
        topic=load.topic,
        stages=(Stage(load.duration_s, load.rate_per_s, load.rate_per_s),),
        values=Values(load.size_bytes, load.size_bytes),
        timeout_s=TIMEOUT_S,
    )
    slo = Slo(
        p50_s=goals.p50_s,
        p99_s=goals.p99_s,
        p999_s=goals.p999_s,
        errors=goals.errors,
        rate_per_s=goals.rate_per_s,
        lost=goals.lost,
        duplicates=goals.duplicates,
    )
    return Scenario(
        name=f"gate on {load.topic}",
        duration_s=load.duration_s,
        producers=(sends,),
        topics=(LoadTopic(load.topic, in_place=load.in_place),),
        warm_up_s=usual_warm_up_s(load.duration_s),
        slo=slo,
    )


def verdict_of(result: LoadResult, page: str) -> GateVerdict:
    """The verdict as plain data."""
    sends = result.sending[0]
    return GateVerdict(
        passed=result.passed,
        reason=result.reason,
        figures=tuple((j.name, j.wanted, j.got, j.met) for j in result.judged),
        rate_per_s=sends.rate_per_s,
        p50_s=sends.latency.p50_s,
        p99_s=sends.latency.p99_s,
        sent=sends.sent,
        acknowledged=sends.acked,
        report=page,
        warm_up_s=result.scenario.warm_up_s,
    )
