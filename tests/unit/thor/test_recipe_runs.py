"""How a recipe is carried out: conditions, failures, tries, waiting, and going on where a run was killed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from asgard.core import events as news
from asgard.core.errors import Busy, Failed, Interrupted, Refused, Unreachable, WrongUsage
from asgard.journal import events
from asgard.journal.store.database import Database, open_journal
from asgard.kafka.model import Broker, ClusterSnapshot, Node, Partition
from asgard.thor.recipes import memory, read, restart, run
from asgard.thor.recipes.facts import ClusterFacts
from asgard.thor.recipes.model import Recipe
from asgard.thor.recipes.run import Attempt, Done, Report, World

WELL = ClusterSnapshot("", "c", 1, (Broker(1), Broker(2)), (Partition("t", 0, (1, 2), (1, 2), 1),))
ILL = replace(WELL, partitions=(Partition("t", 0, (1, 2), (1,), 1),))


@dataclass
class Stage:
    """A recipe on a cluster that a test makes up; `acts` are what its actions do, one after the other."""

    journal: Database
    folder: Path
    snapshots: list[ClusterSnapshot] = field(default_factory=lambda: [WELL])
    did: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    answers: dict[str, list[Done | BaseException]] = field(default_factory=dict)

    def recipe(self, text: str) -> Recipe:
        file = self.folder / "mine.yaml"
        file.write_text(f"recipe: mine\nabout: a test\n{text}")
        return read.read(file)

    def facts(self) -> ClusterFacts:
        return ClusterFacts(self.snapshots.pop(0) if len(self.snapshots) > 1 else self.snapshots[0])

    def action(self, name: str) -> Callable[[Attempt], Done]:
        def act(attempt: Attempt) -> Done:
            self.did.append(name)
            answers = self.answers.get(name, [])
            answer = answers.pop(0) if answers else Done("done", f"{name} is done")
            if isinstance(answer, BaseException):
                raise answer
            return answer

        return act

    def run(self, recipe: Recipe, *, fresh: bool = False, agree: Callable[[], None] = lambda: None) -> Report:
        world = World(
            self.facts, {name: self.action(name) for name in ("balance", "drain", "leaders", "notify", "run")}
        )
        found = memory.recall(self.journal, recipe, "c", fresh=fresh)
        with news.listening(lambda event: self.told.append(event.text)):
            return run.run(recipe, world, found, "test", agree=agree)

    def kinds(self) -> list[str]:
        return [e.kind for e in events.read(self.journal)]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(run, "POLL_S", 0.01)
    with open_journal(f"sqlite:///{tmp_path / 'home' / 'journal.db'}") as journal:
        return Stage(journal, tmp_path)


STEPS = "steps: [balance, {verify: under_replicated == 0}]\non_failure: [{notify: {text: help, retries: 0}}]\n"


def test_all_steps_are_taken_and_written_down(stage: Stage) -> None:
    report = stage.run(stage.recipe(STEPS))
    assert (report.outcome, report.exit_code, stage.did) == ("done", 0, ["balance"])
    assert [(s.action, s.outcome) for s in report.steps] == [("balance", "done"), ("verify", "done")]
    assert stage.kinds() == ["thor.recipe.started", "thor.step.finished", "thor.step.finished", "thor.recipe.finished"]
    assert {e.correlation for e in events.read(stage.journal)} == {report.run}


def test_where_a_condition_does_not_hold_nothing_is_done_asked_or_written(stage: Stage) -> None:
    report = stage.run(stage.recipe("when: under_replicated > 0\n" + STEPS), agree=lambda: pytest.fail("asked"))
    assert (report.outcome, report.exit_code, stage.did, stage.kinds()) == ("nothing", 0, [], [])
    assert report.text == "nothing to do: under_replicated > 0 does not hold (it is 0)"


def test_a_condition_that_can_not_be_told_is_a_failure_and_no_silence(stage: Stage) -> None:
    with pytest.raises(Failed, match=r"can't tell whether there is anything to do: any broker\.disk > 80%"):
        stage.run(stage.recipe("when: any broker.disk > 80%\n" + STEPS))
    assert stage.kinds() == []


def test_without_a_yes_nothing_is_done(stage: Stage) -> None:
    def no() -> None:
        raise Refused("nothing was changed")

    with pytest.raises(Refused):
        stage.run(stage.recipe(STEPS), agree=no)
    assert (stage.did, stage.kinds()) == ([], [])


def test_a_step_that_fails_ends_the_run_and_on_failure_is_done(stage: Stage) -> None:
    stage.snapshots = [ILL]
    report = stage.run(stage.recipe(STEPS))
    assert (report.outcome, report.exit_code, stage.did) == ("failed", 1, ["balance", "notify"])
    assert report.text == "failed in step 2, verify: under_replicated == 0 does not hold (it is 1)"
    assert [s.on_failure for s in report.steps] == [False, False, True]
    assert stage.kinds()[-2:] == ["thor.step.failed", "thor.recipe.failed"]


@pytest.mark.parametrize(("error", "code"), [(Refused("no"), 4), (Unreachable("gone"), 3), (WrongUsage("what"), 2)])
def test_the_exit_code_is_that_of_the_failure_whatever_on_failure_does(
    stage: Stage, error: Exception, code: int
) -> None:
    stage.answers = {"balance": [error], "notify": [Failed("nobody hears")]}
    report = stage.run(stage.recipe(STEPS))
    assert (report.outcome, report.exit_code) == ("failed", code)
    assert stage.told[-1] == "on failure 1, notify: failed: nobody hears"


def test_an_interruption_is_no_failure_nobody_is_alarmed_and_the_next_run_goes_on(stage: Stage) -> None:
    stage.answers = {"balance": [Interrupted("stopped by a signal")]}
    with pytest.raises(Interrupted):
        stage.run(stage.recipe(STEPS))
    assert (stage.did, stage.kinds()) == (["balance"], ["thor.recipe.started"])
    assert stage.run(stage.recipe(STEPS)).resumed


def test_all_of_on_failure_is_done_whatever_becomes_of_it(stage: Stage) -> None:
    stage.answers = {"balance": [Failed("no")], "notify": [Failed("nobody hears")]}
    stage.run(stage.recipe("steps: [balance]\non_failure: [{notify: {text: x, retries: 0}}, {run: [/bin/true]}]\n"))
    assert stage.did == ["balance", "notify", "run"]


def test_a_step_is_tried_again_as_often_as_it_says(stage: Stage) -> None:
    recipe = stage.recipe("steps: [{balance: {retries: 2, retry_after: 10ms}}]\n")
    stage.answers = {"balance": [Failed("a"), Failed("b")]}
    report = stage.run(recipe)
    assert (report.outcome, report.steps[0].tries, len(stage.did)) == ("done", 3, 3)
    stage.answers = {"balance": [Failed("a"), Failed("b"), Failed("c")]}
    assert stage.run(recipe).text == "failed in step 1, balance: c"


def test_where_the_cluster_is_taken_before_anything_was_done_nobody_is_alarmed(stage: Stage) -> None:
    stage.answers = {"balance": [Busy("held")]}
    report = stage.run(stage.recipe(STEPS))
    assert (report.outcome, report.exit_code, stage.did) == ("failed", 75, ["balance"])


def test_a_run_that_has_begun_waits_for_who_is_more_urgent_and_goes_on(stage: Stage) -> None:
    stage.answers = {"leaders": [Busy("handed over"), Busy("handed over")]}
    report = stage.run(stage.recipe("steps: [balance, leaders]\n"))
    assert (report.outcome, stage.did) == ("done", ["balance", "leaders", "leaders", "leaders"])
    assert stage.told.count("step 2, leaders: waiting: handed over") == 2


def test_a_first_step_that_hands_over_in_the_middle_of_its_work_goes_on_too(stage: Stage) -> None:
    stage.answers = {"balance": [run.HandedOver("3 of 9 moved"), Busy("healing")]}
    report = stage.run(stage.recipe(STEPS))
    assert (report.outcome, stage.did) == ("done", ["balance", "balance", "balance"])


def test_what_has_to_wait_ends_the_run_without_alarm(stage: Stage) -> None:
    stage.answers = {"balance": [Done("waiting", "3 m left")]}
    report = stage.run(stage.recipe(STEPS))
    assert (report.outcome, report.exit_code, report.text, stage.did) == ("waiting", 1, "3 m left", ["balance"])
    assert stage.kinds()[-1] == "thor.recipe.finished"


def test_wait_until_waits_and_its_time_is_limited(stage: Stage) -> None:
    recipe = stage.recipe("steps: [{wait-until: {condition: under_replicated == 0, timeout: 30s}}]\n")
    stage.snapshots = [ILL, ILL, WELL]
    assert stage.run(recipe).outcome == "done"
    assert stage.told[0] == "step 1, wait-until: waiting: under_replicated == 0 does not hold (it is 1)"
    stage.snapshots = [ILL]
    report = stage.run(stage.recipe("steps: [{wait-until: {condition: under_replicated == 0, timeout: 50ms}}]\n"))
    assert report.exit_code == 1 and "timed out after" in report.text


def test_the_time_of_the_whole_recipe_is_limited_too(stage: Stage) -> None:
    stage.snapshots = [ILL]
    text = "timeout: 20ms\nsteps: [{wait-until: under_replicated == 0}, balance]\n"
    report = stage.run(stage.recipe(text))
    assert (report.exit_code, stage.did) == (1, [])


class Killed(BaseException):
    """What kill -9 is to a run: nothing after it happens."""


def test_a_killed_run_is_gone_on_with_at_the_step_that_it_was_in(stage: Stage) -> None:
    recipe = stage.recipe("when: under_replicated > 0\nsteps: [balance, {run: [/bin/true]}, leaders]\n")
    stage.snapshots = [ILL, WELL]
    stage.answers = {"leaders": [Killed()]}
    with pytest.raises(Killed):
        stage.run(recipe)
    report = stage.run(recipe)
    assert (report.outcome, report.resumed, stage.did) == ("done", True, ["balance", "run", "leaders", "leaders"])
    assert [s.outcome for s in report.steps] == ["skipped", "skipped", "done"]
    assert len({e.correlation for e in events.read(stage.journal)}) == 1
    stage.snapshots = [ILL, WELL]
    assert not stage.run(recipe).resumed, "one that ended is not gone on with"


def test_another_recipe_other_values_or_a_fresh_start_do_not_go_on(stage: Stage) -> None:
    recipe = stage.recipe("steps: [balance, leaders]\n")
    stage.answers = {"leaders": [Killed()]}
    with pytest.raises(Killed):
        stage.run(recipe)
    assert memory.recall(stage.journal, recipe, "c").resumes is not None
    assert memory.recall(stage.journal, recipe, "another cluster").resumes is None
    assert memory.recall(stage.journal, recipe, "c", fresh=True).resumes is None
    assert memory.recall(stage.journal, replace(recipe, values={"a": 1}), "c").resumes is None
    assert stage.run(recipe, fresh=True).resumed is False


def test_a_run_that_was_cut_short_long_ago_is_begun_anew(tmp_path: Path) -> None:
    now = [1_800_000_000.0]
    with open_journal(f"sqlite:///{tmp_path / 'journal.db'}", clock=lambda: now[0]) as journal:
        recipe = Stage(journal, tmp_path).recipe(STEPS)
        memory.recall(journal, recipe, "c").start()
        now[0] += memory.RESUMABLE_S - 1
        assert memory.recall(journal, recipe, "c").resumes == 1_800_000_000.0
        now[0] += 2
        assert memory.recall(journal, recipe, "c").resumes is None


def test_a_failed_run_is_begun_anew_but_what_it_noted_is_known(stage: Stage) -> None:
    recipe = stage.recipe("steps: [balance, leaders]\n")
    stage.answers = {"leaders": [Failed("no")]}
    stage.run(recipe)
    found = memory.recall(stage.journal, recipe, "c")
    assert found.resumes is None and found.finished_steps() == set()
    assert [e.data["number"] for e in found.noted("thor.step.finished")] == [1]


def test_an_event_triggers_once(stage: Stage) -> None:
    recipe = stage.recipe("trigger: {event: heimdall.alert.*}\nwhen: under_replicated > 0\n" + STEPS)
    assert memory.next_trigger(stage.journal, recipe, "c") is None
    events.record(stage.journal, "heimdall.alert.raised", "disk", {"cluster_id": "another"})
    assert memory.next_trigger(stage.journal, recipe, "c") is None
    raised = events.record(stage.journal, "heimdall.alert.raised", "disk", {"cluster_id": "c"})
    found = memory.next_trigger(stage.journal, recipe, "c")
    assert found is not None and found.id == raised.id
    world = World(stage.facts, {})
    run.run(
        recipe, world, memory.recall(stage.journal, recipe, "c"), "test",
        agree=lambda: None, trigger=found,
    )  # fmt: skip
    assert stage.kinds()[-1] == "thor.recipe.skipped", "its condition did not hold: it is answered all the same"
    assert memory.next_trigger(stage.journal, recipe, "c") is None


def test_each_subject_is_answered_by_its_newest_event_and_only_events_that_are_meant(stage: Stage) -> None:
    recipe = stage.recipe("trigger: {event: heimdall.alert.raised, where: {kind: [missing, low-*]}}\n" + STEPS)
    kinds = [("a", "missing"), ("b", "low-volume"), ("a", "missing"), ("c", "time-lag"), ("d", None)]
    ids = [
        events.record(stage.journal, "heimdall.alert.raised", subject, {"cluster_id": "c", "kind": kind}).id
        for subject, kind in kinds
    ]
    answered = []
    while (found := memory.next_trigger(stage.journal, recipe, "c")) is not None:
        answered.append(found.id)
        assert len(answered) < 9
        memory.recall(stage.journal, recipe, "c", fresh=True).start(found)
    assert answered == [ids[2], ids[1]]
    again = events.record(stage.journal, "heimdall.alert.raised", "a", {"cluster_id": "c", "kind": "missing"})
    found = memory.next_trigger(stage.journal, recipe, "c")
    assert found is not None and found.id == again.id


def node(number: int, pid: int | None) -> Node:
    return Node(number, "stopped" if pid is None else "running", None, ("broker",), pid)


@pytest.mark.parametrize(
    ("pids", "known", "wanted", "left"),
    [
        ([11, 12, 13], {}, "all", [2, 3, 1]),
        ([11, 12, 13], {}, [3, 2], [2, 3]),
        ([11, 92, 13], {2: 12}, "all", [3, 1]),
        ([11, 12, 13], {2: 12}, "all", [2, 3, 1]),
        ([11, 92, None], {2: 12, 3: 13}, "all", [3, 1]),
        ([None, 92, 93], {1: 11, 2: 12, 3: 13}, "all", [1]),
        ([91, 92, 93], {1: 11, 2: 12, 3: 13}, "all", []),
    ],
    ids=[
        "the controller goes last", "those that are named", "one that was restarted is left alone",
        "one that was not stopped yet is restarted", "one that is down comes first", "also where it was the controller",
        "nothing is left",
    ],
)  # fmt: skip
def test_which_nodes_are_restarted_and_in_which_order(
    pids: list[int | None], known: dict[int, int | None], wanted: list[int] | str, left: list[int]
) -> None:
    nodes = [node(number, pid) for number, pid in enumerate(pids, 1)]
    assert restart.chosen(nodes, wanted, restart.FormerProcesses(known), controller=1) == left


def test_a_node_that_is_not_there_can_not_be_restarted() -> None:
    with pytest.raises(WrongUsage, match="there is no node 7 to restart\nNodes: 1"):
        restart.chosen([node(1, 11)], [7], restart.FormerProcesses({}), controller=1)
