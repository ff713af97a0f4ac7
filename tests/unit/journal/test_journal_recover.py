"""`asgard recover` where there is no cluster to ask: what it finds, what it refuses, what stays open."""

import io
import json

import pytest

from asgard.cli.main import main
from asgard.cluster.moves.record import OLD_FORMAT
from asgard.compose import settle
from asgard.core import contexts
from asgard.core.contexts import Context
from asgard.journal import leases, operations
from asgard.journal.leases import Priority
from asgard.journal.store.database import open_journal


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path))
    monkeypatch.delenv("ASGARD_JOURNAL", raising=False)


def leave(lease_name, kind=OLD_FORMAT):
    with (
        open_journal() as journal,
        leases.hold(journal, lease_name, priority=Priority.CHANGE, doing="odin up orders") as lease,
    ):
        return operations.begin(journal, kind, "stack orders", {"format": kind, "moves": [], "settings": []}, lease)


def test_nothing_left_behind_is_said_and_is_no_failure(capsys):
    assert main(["recover", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize(
    ("lease", "found"),
    [
        ("cluster/c1/change", "by-id"),
        ("cluster/c1/fault", "by-id"),
        ("stack/orders/change", "by-stack"),
        ("cluster/c9/change", None),
    ],
)
def test_an_operation_belongs_to_the_context_of_its_cluster_or_stack(lease, found):
    contexts.put(Context("by-stack", "a:1", stack="orders"))
    contexts.put(Context("by-id", "b:1", cluster_id="c1"))
    context = settle.context_of(leave(lease))
    assert (context.name if context else None) == found


def test_without_a_yes_it_shows_what_it_would_put_back_and_stops(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    leave("cluster/c1/change")
    assert main(["recover"]) == 4
    assert f"left behind: {OLD_FORMAT} in stack orders" in capsys.readouterr().err


def test_a_protected_context_wants_its_name_first(capsys):
    contexts.put(Context("live", "127.0.0.1:1", cluster_id="c1", protected=True))
    leave("cluster/c1/change")
    assert main(["recover", "--yes"]) == 4
    assert "--confirm live" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["journal", "events"], ["journal", "leases"], ["odin", "validate", "-f"]])
def test_commands_that_only_read_say_what_is_left_and_how_to_put_it_back(command, capsys, tmp_path):
    if command[0] == "odin":
        file = tmp_path / "asgard.yaml"
        file.write_text("stack: orders\ntarget: local\n")
        command = [*command, str(file)]
    assert main(command) == 0
    assert capsys.readouterr().err == ""
    contexts.put(Context("orders", "127.0.0.1:1", cluster_id="c1", stack="orders"))
    leave("cluster/c1/change")
    leave("stack/orders/change")
    assert main([*command, "--json"]) == 0
    told = capsys.readouterr()
    json.loads(told.out)
    assert told.err == (
        "warning: an interrupted run left something set: reassignment of stack orders (and 1 more); "
        "`asgard recover` puts it back\n"
    )
    with open_journal() as journal:
        assert len(operations.unfinished(journal)) == 2


def test_a_stack_is_told_nothing_of_what_was_left_in_another_cluster(capsys, tmp_path):
    file = tmp_path / "asgard.yaml"
    file.write_text("stack: orders\ntarget: local\n")
    contexts.put(Context("orders", "127.0.0.1:1", cluster_id="c1", stack="orders"))
    leave("cluster/c2/change")
    assert main(["odin", "validate", "-f", str(file)]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("kind", "why"), [(OLD_FORMAT, "no context names"), ("asgard.later/v9", "this version can't put")]
)
def test_what_can_not_be_settled_is_named_and_kept(capsys, kind, why):
    leave("cluster/c9/change", kind)
    assert main(["recover", "--yes", "--json"]) == 1
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["settled"] is False
    assert why in entry["outcome"]
    with open_journal() as journal:
        assert len(operations.unfinished(journal)) == 1


def test_the_kinds_are_those_that_their_writers_use():
    from asgard.cluster import moves

    assert {OLD_FORMAT, moves.FORMAT} <= set(settle.handlers())
