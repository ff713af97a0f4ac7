"""`asgard journal` and `asgard context` as a user calls them."""

import io
import json
import time

import pytest

from asgard.cli.main import main
from asgard.journal import events, leases, operations
from asgard.journal.leases import Priority
from asgard.journal.store.database import open_journal


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ASGARD_JOURNAL", raising=False)
    monkeypatch.setenv("USER", "ann")
    monkeypatch.setenv("LOGNAME", "ann")
    return tmp_path / "home"


@pytest.fixture
def asgard(capsys):
    """Run a command line; exit code, stdout (parsed with --json) and stderr."""

    def run(*args):
        code = main([str(arg) for arg in args])
        out, err = capsys.readouterr()
        return code, json.loads(out) if "--json" in args and out else out, err

    return run


def test_events_are_shown_oldest_first(asgard):
    with open_journal() as journal:
        events.record(journal, "odin.stack.provisioned", "orders", {"topics": 3})
        events.record(journal, "thor.heal.started", "c1")
    code, out, _ = asgard("journal", "events")
    assert code == 0
    assert out.index("odin.stack.provisioned") < out.index("thor.heal.started")
    assert "topics=3" in out
    (only,) = asgard("journal", "events", "--kind", "thor.*", "--json")[1]
    assert (only["kind"], only["actor"], only["at"][-1]) == ("thor.heal.started", "ann", "Z")


def test_since_takes_an_age_or_a_date(asgard):
    with open_journal(clock=lambda: time.time() - 7200) as journal:
        events.record(journal, "odin.stack.provisioned", "orders")
    assert [len(asgard("journal", "events", "--since", s, "--json")[1]) for s in ("1h", "3h", "2020-01-01")] == [
        0,
        1,
        1,
    ]
    code, _, err = asgard("journal", "events", "--since", "yesterday")
    assert code == 2
    assert "'yesterday'" in err


def test_leases_show_who_holds_them_and_who_waits(asgard):
    with open_journal() as journal:
        with leases.hold(journal, "cluster/c1/change", priority=Priority.HEAL, doing="thor heal"):
            (held,) = asgard("journal", "leases", "--json")[1]
            assert "thor heal" in asgard("journal", "leases")[1]
        assert (held["state"], held["fence"], held["priority"], held["actor"]) == ("held", 1, "heal", "ann")
        assert asgard("journal", "leases", "--json")[1] == []


def test_operations_show_what_is_not_put_back_yet(asgard):
    with (
        open_journal() as journal,
        leases.hold(journal, "cluster/c1/change", priority=Priority.CHANGE, doing="odin up") as lease,
    ):
        done = operations.begin(journal, "throttle", "cluster c1", {"rate": None}, lease)
        operations.finish(journal, done, lease)
        operations.begin(journal, "throttle", "cluster c1", {"rate": "5"}, lease)
        assert [o["state"] for o in asgard("journal", "operations", "--json")[1]] == ["running"]
    listed = asgard("journal", "operations", "--all", "--json")[1]
    assert [(o["state"], o["undo"]) for o in listed] == [("finished", {"rate": None}), ("abandoned", {"rate": "5"})]


def test_pruning_asks_first(asgard, monkeypatch):
    with open_journal(clock=lambda: 0.0) as journal:
        events.record(journal, "odin.stack.provisioned", "orders")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert asgard("journal", "prune")[0] == 4
    assert asgard("journal", "prune", "--yes", "--json")[:2] == (0, {"deleted": 1})
    assert asgard("journal", "prune", "--yes", "--older-than", "soon")[0] == 2


def test_a_journal_that_can_not_be_opened_exits_with_3(asgard, home):
    home.write_text("a file where the directory should be")
    code, out, err = asgard("journal", "events")
    assert (code, out, "Traceback" in err) == (3, "", False)
    assert len(err.splitlines()) <= 3


def test_a_context_is_added_used_shown_and_removed(asgard, tmp_path):
    (tmp_path / "client.properties").write_text("security.protocol=PLAINTEXT\n")
    assert asgard("context", "add", "staging", "--bootstrap-server", "a:9092")[0] == 0
    added = asgard(
        "context", "add", "live", "--bootstrap-server", "b:9092", "--protected", "--json",
        "--command-config", tmp_path / "client.properties",
    )  # fmt: skip
    assert added[1]["client_properties"] == str(tmp_path / "client.properties")
    assert asgard("context", "list", "--json")[1]["current"] == "staging"
    assert asgard("context", "use", "live")[0] == 0
    assert asgard("context", "show", "--json")[1] == added[1]
    assert "*   live" in asgard("context", "list")[1]
    assert asgard("context", "remove", "live")[0] == 0
    assert [c["name"] for c in asgard("context", "list", "--json")[1]["contexts"]] == ["staging"]


def test_a_context_that_is_not_there_is_named_with_those_that_are(asgard):
    asgard("context", "add", "staging", "--bootstrap-server", "a:9092")
    for verb in ("use", "show", "remove"):
        code, _, err = asgard("context", verb, "live")
        assert code == 2
        assert "'live' (contexts: staging)" in err


def test_a_context_is_not_replaced_without_a_yes(asgard, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    asgard("context", "add", "staging", "--bootstrap-server", "a:9092")
    assert asgard("context", "add", "staging", "--bootstrap-server", "b:9092")[0] == 4
    assert asgard("context", "show", "--json")[1]["bootstrap_servers"] == "a:9092"
    assert asgard("context", "add", "staging", "--bootstrap-server", "b:9092", "--yes")[0] == 0
    assert asgard("context", "add", "x", "--bootstrap-server", "b:1", "--command-config", "/nope")[0] == 2


def test_a_stacks_own_context_is_not_forgotten_without_a_yes(asgard, monkeypatch):
    from asgard.core import contexts

    monkeypatch.setattr("sys.stdin", io.StringIO())
    contexts.put(contexts.Context("orders", "a:9092", stack="orders"))
    assert asgard("context", "remove", "orders")[0] == 4
    assert asgard("context", "remove", "orders", "--yes")[0] == 0
