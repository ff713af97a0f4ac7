"""A run's course and outcome are Chaos Toolkit's: the same experiments, run by its own library too. And what Asgard adds."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chaoslib.experiment import ensure_experiment_is_valid, run_experiment
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asgard.core import events as news
from asgard.core.errors import ExitCode
from asgard.journal import events
from asgard.loki.chaos import BlastRadius, ChaosSite, read, variables, words
from asgard.loki.chaos import run as runs
from asgard.loki.chaos.providers import Values
from asgard.loki.chaos.watch import StopCondition
from tests.harness.examples import examples
from tests.unit.loki import chaos_functions, chaos_site
from tests.unit.loki.chaos_site import machines

FUNCTIONS = "tests.unit.loki.chaos_functions"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chaos")


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[ChaosSite]:
    with chaos_site.site(folder) as made:
        yield made


def calls(kind: str, name: str, func: str, arguments: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    provider = {"type": "python", "module": FUNCTIONS, "func": func, "arguments": arguments or {}}
    return {"type": kind, "name": name, "provider": provider, **more}


def run(document: dict[str, Any], site: ChaosSite, folder: Path, **options: Any) -> runs.ExperimentOutcome:
    path = folder / "experiment.json"
    path.write_text(json.dumps(document))
    experiment = read.read(path)
    values = Values(variables.configuration(experiment.configuration, {}), variables.secrets(experiment.secrets, {}))
    chaos_functions.state.update(value=0, calls=[])
    return runs.run(site, experiment, values, seed=1, **options)


def theirs(document: dict[str, Any]) -> dict[str, Any]:
    document = copy.deepcopy(document)
    ensure_experiment_is_valid(document)
    chaos_functions.state.update(value=0, calls=[])
    return run_experiment(document, settings={})  # type: ignore[no-any-return]


def outcome(record: dict[str, Any]) -> dict[str, Any]:
    """What two runs of one experiment have in common."""

    def told(activity_runs: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        return [(r["activity"]["name"], r["status"], r["output"]) for r in activity_runs]

    def state(found: dict[str, Any] | None) -> Any:
        if found is None:
            return None
        return found["steady_state_met"], told(found["probes"]), [p["tolerance_met"] for p in found["probes"]]

    return {
        "status": record["status"],
        "deviated": record["deviated"],
        "before": state(record["steady_states"]["before"]),
        "after": state(record["steady_states"]["after"]),
        "run": told(record["run"]),
        "rollbacks": told(record["rollbacks"]),
    }


ACTIONS = st.builds(lambda v: calls("action", f"become {v}", "become", {"value": v}), st.integers(0, 4))
LOOKS = st.just(calls("probe", "look", "look"))
FAILS = st.just(calls("action", "fail", "fail"))
FAILING_PROBE = st.just(calls("probe", "can't look", "fail", tolerance=True))
SMALL = calls("probe", "small", "small", {"value": None})
TOLERANCES = (
    st.integers(0, 3)
    | st.just([0, 2])
    | st.just([0, 1, 3])
    | st.just({"type": "range", "range": [0, 2]})
    | st.just({"type": "jsonpath", "path": "$", "expect": [0]})
    | st.just(SMALL)
)
PROBES = TOLERANCES.map(lambda t: calls("probe", "the value", "look", tolerance=t))
EXPERIMENTS = st.fixed_dictionaries(
    {
        "title": st.just("Same?"),
        "description": st.just("Both runners run it."),
        "steady-state-hypothesis": st.fixed_dictionaries(
            {"title": st.just("small"), "probes": st.lists(PROBES | FAILING_PROBE, max_size=2)}
        ),
        "method": st.lists(ACTIONS | LOOKS | FAILS, max_size=4),
        "rollbacks": st.lists(ACTIONS | FAILS, max_size=2),
    }
)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=EXPERIMENTS)
def test_an_experiment_comes_out_as_chaos_toolkit_runs_it(
    document: dict[str, Any], site: ChaosSite, folder: Path
) -> None:
    ours = outcome(run(document, site, folder).record)
    did = list(chaos_functions.state["calls"])
    assert ours == outcome(theirs(document))
    assert did == chaos_functions.state["calls"]


def test_variables_reach_functions_as_they_do_there(site: ChaosSite, folder: Path) -> None:
    document = {
        "title": "Variables",
        "description": "Configuration and secrets.",
        "configuration": {"name": "orders", "size": 3},
        "secrets": {"kafka": {"token": "hush"}},
        "method": [
            calls("action", "size", "become", {"value": "${size}"}),
            calls("probe", "look", "look"),
            calls("probe", "both", "with_configuration"),
        ],
    }
    document["method"][2]["provider"]["secrets"] = ["kafka"]
    found = run(document, site, folder)
    assert outcome(found.record) == outcome(theirs(document))
    assert [r["output"] for r in found.record["run"]] == [None, 3, ["orders", "hush"]]
    assert found.record["experiment"]["secrets"] == {"kafka": {"token": "***"}}


def test_activities_in_the_background_are_over_when_the_method_is(site: ChaosSite, folder: Path) -> None:
    document = {
        "title": "Side by side",
        "description": "Two at a time.",
        "method": [
            calls("action", "slow", "wait", {"seconds": 0.3}, background=True),
            calls("action", "become 1", "become", {"value": 1}),
        ],
    }
    record = run(document, site, folder).record
    assert [r["activity"]["name"] for r in sorted(record["run"], key=lambda r: r["end"])] == ["become 1", "slow"]


def with_brokers(*method: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"title": "Brokers", "description": "Taken away.", "method": list(method), **more}


def own(name: str, func: str, arguments: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    provider = {"type": "python", "module": "asgard.loki.chaos.actions", "func": func, "arguments": arguments or {}}
    return {"type": "action", "name": name, "provider": provider, **more}


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent: there is no cluster."""
    from asgard.loki.chaos import session
    from asgard.loki.chaos.pulse import Beat

    class Pulse:
        def beat(self, within_s: float) -> Beat:
            return Beat(True, True, 0.25)

    monkeypatch.setattr(session, "pulse", Pulse)


@pytest.mark.usefixtures("quiet")
def test_what_was_broken_is_put_back_without_any_rollback(site: ChaosSite, folder: Path) -> None:
    machines(site).done.clear()
    found = run(with_brokers(own("dies", "kill_broker", {"broker": 2})), site, folder)
    assert machines(site).done == ["kill 2", "start 2"]
    assert (found.exit_code, found.reason) == (ExitCode.OK, None)
    assert found.record["run"][0]["output"] == {"text": "broker 2 killed", "subject": "broker 2", "brokers": [2]}
    assert found.record["run"][0]["asgard"] == {"produce": True, "consume": True, "seconds": 0.25}
    assert found.record["asgard"]["put_back"] == ["broker 2 runs again"]


@pytest.mark.usefixtures("quiet")
def test_beyond_the_limits_the_run_ends_and_all_is_put_back(site: ChaosSite, folder: Path) -> None:
    machines(site).done.clear()
    never = calls("action", "become 1", "become", {"value": 1})
    two = with_brokers(own("a", "kill_broker", {"broker": 2}), own("b", "kill_broker", {"broker": 3}), never)
    found = run(two, site, folder)
    assert (found.record["status"], found.exit_code) == ("aborted", ExitCode.REFUSED)
    assert "broker 2, 3 would be down at once" in str(found.reason)
    assert machines(site).done == ["kill 2", "start 2"]
    assert chaos_functions.state["calls"] == []


@pytest.mark.usefixtures("quiet")
def test_an_abort_condition_ends_the_run_in_the_middle_of_a_pause(site: ChaosSite, folder: Path) -> None:
    machines(site).done.clear()
    abort = {**calls("probe", "is it 0", "look", tolerance=0)}
    document = with_brokers(
        own("dies", "kill_broker", {"broker": 2}),
        calls("action", "become 7", "become", {"value": 7}, pauses={"after": 3600}),
        calls("action", "become 8", "become", {"value": 8}),
        asgard={"every": "50ms", "abort": [abort]},
    )
    found = run(document, site, folder)
    assert (found.record["status"], found.exit_code) == ("aborted", ExitCode.FAILED)
    assert found.reason == "aborted: the abort condition 'is it 0' was met: 7"
    assert chaos_functions.state["calls"] == [7]
    assert machines(site).done == ["kill 2", "start 2"]


@pytest.mark.usefixtures("quiet")
def test_a_run_that_takes_too_long_ends_also_in_somebody_elses_function(site: ChaosSite, folder: Path) -> None:
    machines(site).done.clear()
    slow = calls("action", "slow", "wait", {"seconds": 3600})
    found = run(with_brokers(own("dies", "kill_broker", {"broker": 2}), slow), site, folder, timeout_s=0.3)
    assert found.reason == "aborted: the run took longer than 0.3 s"
    assert machines(site).done == ["kill 2", "start 2"]


@pytest.mark.usefixtures("quiet")
def test_ctrl_c_puts_everything_back(site: ChaosSite, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machines(site).done.clear()

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    from asgard.loki.chaos.watch import Over

    monkeypatch.setattr(Over, "sleep", lambda self, seconds: interrupt(seconds))
    rollback = calls("action", "become 9", "become", {"value": 9})
    found = run(
        with_brokers(own("dies", "kill_broker", {"broker": 2}, pauses={"after": 5}), rollbacks=[rollback]), site, folder
    )
    assert (found.record["status"], found.exit_code) == ("interrupted", ExitCode.INTERRUPTED)
    assert machines(site).done == ["kill 2", "start 2"]
    assert chaos_functions.state["calls"] == []  # as in Chaos Toolkit; what Loki broke it puts back all the same


@pytest.mark.usefixtures("quiet")
def test_a_run_that_lost_its_lease_breaks_nothing_more(tmp_path: Path) -> None:
    with chaos_site.site(tmp_path) as mine:
        mine.lease._lost = "somebody else has it"  # as after a long sleep of this machine
        never = calls("action", "become 1", "become", {"value": 1})
        found = run(with_brokers(own("dies", "kill_broker", {"broker": 2}), never), mine, tmp_path)
        assert (found.record["status"], found.exit_code) == ("aborted", ExitCode.FAILED)
        assert machines(mine).done == []
        assert chaos_functions.state["calls"] == []


def test_a_probe_of_the_method_that_is_out_of_its_tolerance_fails_the_command(site: ChaosSite, folder: Path) -> None:
    found = run(with_brokers(calls("probe", "is it 3", "look", tolerance=3)), site, folder)
    assert (found.record["status"], found.record["deviated"]) == ("completed", False)
    assert (found.exit_code, found.reason) == (ExitCode.FAILED, "out of tolerance: is it 3 gave 0")


def test_an_action_that_failed_proves_nothing(site: ChaosSite, folder: Path) -> None:
    found = run(with_brokers(calls("action", "fail", "fail")), site, folder)
    assert (found.exit_code, found.reason) == (
        ExitCode.FAILED,
        "failed, so nothing is proven: fail: RuntimeError: on purpose",
    )


def program(name: str, command: str, kind: str = "action", **more: Any) -> dict[str, Any]:
    provider = {"type": "process", "path": "/bin/sh", "arguments": ["-c", command]}
    return {"type": kind, "name": name, "provider": provider, **more}


HELD = {"title": "0", "probes": [calls("probe", "is it 0", "look", tolerance=0)]}


@pytest.mark.parametrize(
    ("rollback", "reason"),
    [
        (calls("action", "fail", "fail"), "fail: RuntimeError: on purpose"),
        (program("exits", "echo no room >&2; exit 1"), "exits: exit code 1: no room"),
        (calls("probe", "is it 3", "look", tolerance=3), "is it 3 gave 0"),
        (program("says no", "exit 4", "probe", tolerance=0), "says no gave exit code 4"),
    ],
)
def test_a_rollback_that_fails_fails_the_command(
    rollback: dict[str, Any], reason: str, site: ChaosSite, folder: Path
) -> None:
    document = with_brokers(rollbacks=[rollback], **{"steady-state-hypothesis": HELD})
    found = run(document, site, folder)
    assert (found.exit_code, found.reason) == (ExitCode.FAILED, f"a rollback failed: {reason}")
    assert outcome(found.record) == outcome(theirs(document))
    assert (found.record["status"], found.record["deviated"]) == ("completed", False), "as Chaos Toolkit has it"


def test_a_rollback_whose_program_is_missing_fails_the_command(site: ChaosSite, folder: Path) -> None:
    gone = {"type": "action", "name": "gone", "provider": {"type": "process", "path": "/nowhere/undo"}}
    found = run(with_brokers(rollbacks=[gone]), site, folder)  # Chaos Toolkit would not begin
    assert found.reason == "a rollback failed: gone: there is no program /nowhere/undo"
    assert (found.exit_code, found.record["status"]) == (ExitCode.FAILED, "completed")


def test_a_probe_named_by_ref_is_judged_as_a_rollback_too(site: ChaosSite, folder: Path) -> None:
    method = (calls("probe", "is it 5", "look", tolerance=5), calls("action", "become 5", "become", {"value": 5}))
    document = with_brokers(*reversed(method), rollbacks=[program("reset", "true"), {"ref": "is it 5"}])
    assert run(document, site, folder).exit_code == ExitCode.OK
    document["rollbacks"] = [calls("action", "become 0", "become", {"value": 0}), {"ref": "is it 5"}]
    assert run(document, site, folder).reason == "a rollback failed: is it 5 gave 0"


def test_a_failed_rollback_does_not_hide_the_reason_before_it(site: ChaosSite, folder: Path) -> None:
    document = with_brokers(
        calls("action", "become 2", "become", {"value": 2}),
        rollbacks=[program("exits", "exit 1")],
        **{"steady-state-hypothesis": HELD},
    )
    found = run(document, site, folder)
    assert found.reason == "deviated from the steady state: is it 0 gave 2; a rollback failed: exits: exit code 1"
    assert (found.exit_code, found.record["deviated"]) == (ExitCode.FAILED, True)


def test_a_program_without_a_tolerance_is_judged_by_its_exit_code(site: ChaosSite, folder: Path) -> None:
    found = run(with_brokers(program("exits", "echo why; exit 1")), site, folder)
    assert found.record["run"][0]["status"] == "succeeded", "Chaos Toolkit's word for it"
    assert (found.exit_code, found.reason) == (ExitCode.FAILED, "failed, so nothing is proven: exits: exit code 1: why")
    tolerated = program("may exit", "exit 1", "probe", tolerance=[0, 1])
    assert run(with_brokers(tolerated), site, folder).exit_code == ExitCode.OK


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ({"status": 1, "stdout": "a\nb\n", "stderr": ""}, "exit code 1: b"),
        ({"status": 0, "stdout": "", "stderr": ""}, "exit code 0"),
        ({"status": 503, "headers": {}, "body": "busy\n"}, "HTTP 503: busy"),
        ({"status": 200, "headers": {}, "body": {"up": True}}, 'HTTP 200: {"up": true}'),
        (True, "true"),
        ("as it is", "as it is"),
        ([1, None], "[1, null]"),
    ],
)
def test_outputs_are_told_in_words(output: Any, told: str) -> None:
    assert words.output(output) == told


def test_calls_of_other_functions_stand_in_the_journal_and_in_the_record(site: ChaosSite, folder: Path) -> None:
    found = run(with_brokers(calls("action", "become 1", "become", {"value": 1})), site, folder)
    called = events.read(site.journal, events.EventFilter(kind="loki.provider.called"), last=1)[0]
    assert (called.subject, called.data["calls"]) == ("become 1", f"{FUNCTIONS}.become")
    assert found.record["asgard"]["outside_blast_radius"] == [f"become 1: {FUNCTIONS}.become"]


def test_programs_and_web_addresses_are_called_as_there(site: ChaosSite, folder: Path) -> None:
    def process(arguments: Any) -> dict[str, Any]:
        provider = {"type": "process", "path": "/bin/echo", "arguments": arguments}
        return {"type": "probe", "name": f"echo {arguments}", "provider": provider}

    nobody = {"type": "http", "url": "http://127.0.0.1:1/", "timeout": 2}
    document = with_brokers(
        process(["a", "b c"]), process({"--x": 1}), process("$HOME | cat"),
        {"type": "probe", "name": "nobody", "provider": nobody},
    )  # fmt: skip
    assert outcome(run(document, site, folder).record) == outcome(theirs(document))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://127.0.0.1:1/${hook}", "http://127.0.0.1:1/${hook} does not answer: "),
        ("http://127.0.0.1:1/a b/${hook}", "http://127.0.0.1:1/a b/${hook} can't be called: "),
        ("${hook}", "${hook} is not an address"),
    ],
)
def test_a_secret_in_an_address_stays_out_of_the_record_and_the_journal(
    address: str, said: str, site: ChaosSite, folder: Path
) -> None:
    provider = {"type": "http", "url": address, "headers": {"Authorization": "${hook}"}}
    document = with_brokers(
        {"type": "action", "name": "tell", "provider": provider}, secrets={"slack": {"hook": "T000/s3cr3t"}}
    )
    said_aloud: list[str] = []
    with news.listening(lambda event: said_aloud.append(event.text)):
        found = run(document, site, folder)
    journal = events.read(site.journal, events.EventFilter(kind="loki.experiment.ended"), last=1)[0]
    assert said in str(found.reason)
    assert "s3cr3t" not in "".join([json.dumps(found.record), str(journal.data), *said_aloud])


def test_a_header_that_is_not_allowed_is_not_quoted(site: ChaosSite, folder: Path) -> None:
    provider = {"type": "http", "url": "http://127.0.0.1:1/", "headers": {"Authorization": "${token}"}}
    secret = {"here": {"token": "s3cr3t\n"}}
    found = run(with_brokers({"type": "action", "name": "tell", "provider": provider}, secrets=secret), site, folder)
    assert "http://127.0.0.1:1/ can't be called: its address or a header" in str(found.reason)
    assert "s3cr3t" not in json.dumps(found.record)


def test_an_http_answer_is_found_as_there(site: ChaosSite, folder: Path) -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404 if "missing" in self.path else 200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps({"path": self.path}).encode())

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"

        def get(path: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
            provider = {"type": "http", "url": f"{url}/{path}", "timeout": 5, "arguments": arguments or {}}
            return {"type": "probe", "name": path, "tolerance": 200, "provider": provider}

        hypothesis = {"title": "it answers", "probes": [get("here", {"a": "b"}), get("missing")]}
        document = with_brokers(**{"steady-state-hypothesis": hypothesis})
        ours, others = run(document, site, folder).record, theirs(document)
    finally:
        server.shutdown()
        server.server_close()
    for record in (ours, others):
        for probe in record["steady_states"]["before"]["probes"]:
            probe["output"].pop("headers")
    assert outcome(ours) == outcome(others)
    assert (ours["status"], ours["steady_states"]["before"]["steady_state_met"]) == ("completed", False)


@pytest.mark.parametrize(
    ("looks", "for_s", "ends_at"),
    [
        ([(0, True), (1, False)], 0, 1),
        ([(0, False), (1, False), (2, False)], 2, 2),
        ([(0, False), (1, True), (2, False), (3, False)], 2, None),
        ([(0, True), (5, True)], 0, None),
    ],
)
def test_a_condition_ends_the_run_when_it_was_met_for_so_long(
    looks: list[tuple[float, bool]], for_s: float, ends_at: float | None
) -> None:
    condition = StopCondition("x", for_s)
    ended = [at for at, well in looks if condition.seen(well, "3", at)]
    assert (ended[0] if ended else None) == ends_at


def test_the_limits_are_the_callers_whatever_the_file_says(site: ChaosSite, folder: Path) -> None:
    from asgard.core.errors import InvalidFile

    with pytest.raises(InvalidFile, match="limits: is not a known key"):
        run(with_brokers(asgard={"limits": {"brokers": 9}}), replace(site, limits=BlastRadius()), folder)


ABORT = {"every": "10ms", "abort": [calls("probe", "is it 0", "look", tolerance=0)]}
MET = "aborted: the abort condition 'is it 0' was met: 7"


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once a run was told to end."""
    from asgard.loki.chaos.watch import Over

    told, end = threading.Event(), Over.end

    def noted(over: Over, why: str) -> None:
        end(over, why)
        told.set()

    monkeypatch.setattr(Over, "end", noted)
    return told


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("background", [False, True])
def test_an_abort_condition_that_is_met_during_the_last_activity_counts(
    background: bool, site: ChaosSite, folder: Path, ended: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def restart(node: int) -> None:
        chaos_functions.state["value"] = 7
        assert ended.wait(60)
        chaos_functions.state["value"] = 0

    monkeypatch.setattr(machines(site), "restart", restart)
    action = own("restarts", "restart_broker", {"broker": 2}, background=background)
    found = run(with_brokers(action, asgard=ABORT, **{"steady-state-hypothesis": HELD}), site, folder)
    assert (found.record["status"], found.exit_code, found.reason) == ("aborted", ExitCode.FAILED, MET)


@pytest.mark.usefixtures("quiet")
def test_an_abort_condition_that_is_met_while_the_hypothesis_is_checked_again_counts(
    site: ChaosSite, folder: Path, ended: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def waiting(value: Any) -> bool:
        looks.append(value)
        if len(looks) == 2:
            chaos_functions.state["value"] = 7
            assert ended.wait(60)
        return True

    monkeypatch.setattr(chaos_functions, "small", waiting)
    well = calls("probe", "well", "look", tolerance=SMALL)
    document = with_brokers(asgard=ABORT, **{"steady-state-hypothesis": {"title": "well", "probes": [well]}})
    found = run(document, site, folder)
    assert (found.record["status"], found.exit_code, found.reason) == ("aborted", ExitCode.FAILED, MET)


@pytest.mark.usefixtures("quiet")
def test_a_rolling_restart_in_the_background_ends_with_the_run(
    site: ChaosSite, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asgard.loki.chaos import breaking

    machines(site).done.clear()
    restart, put_all_back, ending = machines(site).restart, breaking.put_all_back, threading.Event()

    def busy(node: int) -> None:
        chaos_functions.state["value"] = 7
        assert ending.wait(60)
        restart(node)

    def after_the_run(of: ChaosSite) -> list[str]:
        ending.set()
        return put_all_back(of)

    monkeypatch.setattr(machines(site), "restart", busy)
    monkeypatch.setattr(breaking, "put_all_back", after_the_run)
    monkeypatch.setattr(runs, "_LEAVE_S", 0.0)
    found = run(with_brokers(own("rolls", "rolling_restart", background=True), asgard=ABORT), site, folder)
    assert found.reason == MET
    assert machines(site).done == ["restart 2"], "the controller would be last, broker 3 next"


@pytest.mark.usefixtures("quiet")
def test_after_a_refusal_what_waits_in_the_background_is_not_carried_out(site: ChaosSite, folder: Path) -> None:
    waits = calls("action", "become 1", "become", {"value": 1}, background=True, pauses={"before": 1})
    two = (own("a", "kill_broker", {"broker": 2}), own("b", "kill_broker", {"broker": 3}))
    found = run(with_brokers(waits, *two), site, folder)
    assert found.exit_code == ExitCode.REFUSED
    assert chaos_functions.state["calls"] == []


@pytest.mark.usefixtures("quiet")
def test_rollbacks_are_carried_out_whole_after_an_abort(site: ChaosSite, folder: Path) -> None:
    machines(site).done.clear()
    background = calls("action", "become 8", "become", {"value": 8}, background=True)
    document = with_brokers(
        calls("action", "become 7", "become", {"value": 7}, pauses={"after": 3600}),
        rollbacks=[background, own("restarts", "restart_broker", {"broker": 2}, pauses={"before": 0.01})],
        asgard=ABORT,
    )
    found = run(document, site, folder)
    assert found.reason == MET
    assert (chaos_functions.state["calls"], machines(site).done) == ([7, 8], ["restart 2"])
