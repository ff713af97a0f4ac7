"""Runs an experiment on a cluster that is held for it: hypothesis, method, hypothesis again, rollbacks.

The order and the outcome (`status`, `deviated`, steady states) are Chaos Toolkit's. In addition: limits of the blast radius, abort
conditions, tolerances for the method's probes too, a check after each fault whether produce and consume work, and all that was
broken is put back however the run ends.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import Any

from asgard.core import events as news
from asgard.core.errors import AsgardError, ExitCode, Interrupted, Refused
from asgard.journal.errors import LeaseLost
from asgard.loki.chaos import breaking, providers, session, words
from asgard.loki.chaos.actions import RESTORING
from asgard.loki.chaos.experiment import Abort, Activity, Experiment
from asgard.loki.chaos.providers import Values
from asgard.loki.chaos.pulse import WITHIN_S
from asgard.loki.chaos.record import Run, RunRecord, now, plain
from asgard.loki.chaos.site import ChaosSite
from asgard.loki.chaos.verdict import judged, verdict
from asgard.loki.chaos.watch import Over, Stopped, putting_back, watching

_LEAVE_S = 5.0
"""How long to wait for a function that is not Loki's own once the run is over."""
_POLL_S = 0.1


@dataclass(frozen=True)
class ExperimentOutcome:
    """The outcome of a run: its record, and why the exit code is not 0, in one line."""

    record: dict[str, Any]
    exit_code: ExitCode
    reason: str | None


def run(
    site: ChaosSite, experiment: Experiment, values: Values, *, seed: int, timeout_s: float | None = None
) -> ExperimentOutcome:
    """Carry it out. Everything broken is put back when it returns; the outcome says where that failed."""
    from asgard.journal import events

    over = Over()
    site = replace(site, may_go_on=over.check)
    record = RunRecord(experiment, seed, site.cluster_id, site.run, site.limits)
    running = _Running(site, experiment, values, record, over)
    began = time.monotonic()
    about = {"cluster_id": site.cluster_id, "title": experiment.title}
    events.record(site.journal, "loki.experiment.started", experiment.name, about, correlation=site.run)
    try:
        with session.using(site):
            running.begin()
            try:
                with watching(experiment.aborts, experiment.every_s, over, timeout_s, running.look):
                    running.all()
            except (KeyboardInterrupt, Interrupted):
                record.status = "interrupted"
            with putting_back():
                running.end()
    except AsgardError as error:
        record.status, running.left = record.status or "failed", running.left or error.what
    finally:
        record.status = record.status or "failed"
        record.end, record.duration = now(), time.monotonic() - began
        code, record.reason = running.verdict()
        came = {"status": record.status, "deviated": record.deviated}
        data = {"cluster_id": site.cluster_id, **came, **({"reason": record.reason} if record.reason else {})}
        events.record(site.journal, "loki.experiment.ended", experiment.name, data, correlation=site.run)
    return ExperimentOutcome(record.document(), code, record.reason)


class _Running:
    """A run in progress."""

    def __init__(self, site: ChaosSite, experiment: Experiment, values: Values, record: RunRecord, over: Over) -> None:
        self.site, self.experiment, self.values, self.record, self.over = site, experiment, values, record, over
        self.refused: str | None = None
        self.left: str | None = None
        self.threads: list[threading.Thread] = []

    def begin(self) -> None:
        """Create the check of produce and consume before anything is broken."""
        if any(_breaks(activity) for activity in self.experiment.method):
            session.pulse()

    def all(self) -> None:
        """Hypothesis, method, hypothesis."""
        record = self.record
        try:
            record.before = self.hypothesis()
            if record.before is not None and not record.before["steady_state_met"]:
                record.status = judged(record.before)
                return
            self.method()
            self.over.check()  # it may have had to end during the last activity, or in the background
            record.after = self.hypothesis()
            if record.after is not None and not record.after["steady_state_met"]:
                record.deviated, record.status = True, judged(record.after)
            self.over.check()
            record.status = record.status or "completed"
        except Stopped as stopped:
            news.note(f"the run ends: {stopped.what}")
            record.status = "aborted"
        except LeaseLost as lost:
            self.over.end(lost.what)
            news.note(f"the run ends: {lost.what}")
            record.status = "aborted"
        except Refused as refused:
            self.refused = refused.what
            news.note(f"the run ends: {refused.what}")
            record.status = "aborted"

    def hypothesis(self) -> Run | None:
        """Run every probe, up to the first that is not well; None if there are none."""
        if not self.experiment.probes:
            return None
        state: Run = {"steady_state_met": None, "probes": []}
        for probe in self.experiment.probes:
            done = self.activity(probe)
            state["probes"].append(done)
            well = done["status"] == "succeeded" and providers.within(probe.tolerance, done["output"], self.values)
            done["tolerance_met"] = well
            if not well:
                news.note(f"not in the steady state: {probe.name}: {words.came(done)}")
                state["steady_state_met"] = False
                return state
        state["steady_state_met"] = True
        news.note(f"in the steady state: {self.experiment.hypothesis}")
        return state

    def method(self) -> None:
        """Carry out every activity; background ones run in parallel, and all have ended when it returns."""
        try:
            for activity in self.experiment.method:
                self.over.check()
                self.start(activity, self.record.run)
        except BaseException as error:  # what ends the foreground ends the background too
            self.over.end(error.what if isinstance(error, AsgardError) else "interrupted")
            raise
        finally:
            self.join()

    def start(self, activity: Activity, runs: list[Run]) -> None:
        """Carry out an activity, or start it if it runs in the background."""
        if not activity.background:
            self.activity(activity, runs)
            return
        thread = threading.Thread(
            target=news.carried(self.quietly), args=(activity, runs), name=activity.name, daemon=True
        )
        thread.start()
        self.threads.append(thread)

    def quietly(self, activity: Activity, runs: list[Run]) -> None:
        """Carry out in the background: what ends the run is noted, so that the others see it."""
        try:
            self.activity(activity, runs)
        except Refused as refused:
            self.refused = refused.what
            self.over.end(refused.what)
        except LeaseLost as lost:
            self.over.end(lost.what)
        except Stopped:
            pass  # the run ends already

    def join(self) -> None:
        """Wait for background activities; for those that are not Loki's own only a moment once the run is over."""
        for thread in self.threads:
            while thread.is_alive() and not self.over.wait(_POLL_S):
                pass
            thread.join(_LEAVE_S if self.over.why else None)
        self.threads.clear()

    def activity(self, activity: Activity, runs: list[Run] | None = None) -> Run:
        """Carry one out, with its pauses. Raises Stopped, and Refused if the limits do not allow it."""
        self.pause(activity.before)
        news.note(f"{activity.type}: {activity.name}")
        began = time.monotonic()
        done: Run = {"activity": plain(activity.source), "output": None, "start": now(), "status": "failed"}
        if runs is not None:
            runs.append(done)
        try:
            done["output"] = plain(self.call(activity))
            done["status"] = "succeeded"
        except (Stopped, Refused, LeaseLost) as error:
            done["exception"] = _lines(error)
            raise
        except Interrupted:
            raise
        except Exception as error:  # whatever a function raises is a failed activity, as in Chaos Toolkit
            done["exception"] = _lines(error)
            news.note(f"failed: {activity.name}: {done['exception'][-1].strip()}")
        finally:
            done["end"], done["duration"] = now(), time.monotonic() - began
        if runs is not None and done["status"] == "succeeded":
            if runs is self.record.run and _breaks(activity):
                self.feel(done)
            elif activity.type == "probe" and "tolerance" in activity.source:
                done["tolerance_met"] = providers.within(activity.tolerance, done["output"], self.values)
        self.pause(activity.after)
        return done

    def pause(self, seconds: Any) -> None:
        """Wait, unless the run ends."""
        wanted = float(self.values.into(seconds) or 0)
        if wanted > 0:
            self.over.sleep(wanted)

    def call(self, activity: Activity) -> Any:
        """Call Loki's own functions here; others in a thread that can be abandoned if the run ends."""
        if activity.provider.own:
            return providers.call(activity.provider, self.values)
        from asgard.journal import events

        data = {"cluster_id": self.site.cluster_id, "provider": activity.provider.type, "calls": str(activity.provider)}
        events.record(self.site.journal, "loki.provider.called", activity.name, data, correlation=self.site.run)
        answer: list[Any] = []
        failure: list[BaseException] = []

        def carry_out() -> None:
            try:
                answer.append(providers.call(activity.provider, self.values))
            except BaseException as error:
                failure.append(error)

        thread = threading.Thread(target=news.carried(carry_out), name=activity.name, daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(_POLL_S)
            self.over.check()
        if failure:
            raise failure[0]
        return answer[0]

    def feel(self, done: Run) -> None:
        """After a fault: do produce and consume still work?"""
        try:
            beat = session.pulse().beat(WITHIN_S)
        except (Stopped, Interrupted):
            raise
        except AsgardError as error:
            done["asgard"] = {"produce": False, "consume": False, "why": error.what}
            news.note(f"after it: {error.what}")
            return
        done["asgard"] = {"produce": beat.produce, "consume": beat.consume, "seconds": round(beat.seconds, 3)}
        news.note(f"after it: {beat}")

    def look(self, abort: Abort) -> tuple[bool, str]:
        """Whether an abort condition's probe is well, and what it found."""
        try:
            found = providers.call(abort.probe.provider, self.values)
        except Exception as error:  # a probe that fails is not well
            return False, _lines(error)[-1].strip()
        return providers.within(abort.probe.tolerance, found, self.values), words.output(plain(found))

    def end(self) -> None:
        """Run the rollbacks, as Chaos Toolkit does (not after a failure), then put back all that is still broken."""
        record = self.record
        try:
            if record.status not in ("failed", "interrupted"):
                for activity in self.experiment.rollbacks:
                    self.start(activity, record.rollbacks)
                for thread in self.threads:
                    thread.join()
        except Refused as refused:
            self.refused = refused.what
        except (KeyboardInterrupt, Interrupted):
            record.status = "interrupted"
        try:
            record.put_back += breaking.put_all_back(self.site)
        except AsgardError as error:
            self.left = error.what

    def verdict(self) -> tuple[ExitCode, str | None]:
        """The exit code, and why it is not 0."""
        return verdict(self.record, self.over.why, self.refused, self.left)


def _breaks(activity: Activity) -> bool:
    return activity.type == "action" and activity.provider.own and activity.provider.func not in RESTORING


def _lines(error: BaseException) -> list[str]:
    what = error.what if isinstance(error, AsgardError) else f"{type(error).__name__}: {error}"
    return [f"{what}\n"]
