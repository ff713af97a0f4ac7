"""What the embedded engine promises: each test runs a small program against the example provider."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest

from asgard.core.errors import ExitCode, Refused
from asgard.odin.engine.run import Engine
from asgard.odin.engine.stack import StackRef
from asgard.odin.engine.state import StateStore
from asgard.odin.engine.steps import Event, Result
from asgard.odin.provider.protocol import ResourceState
from asgard.odin.resources.values import Values
from tests.unit.engine.example import ExampleProvider
from tests.unit.engine.programs import Group, Main, Thing, build

Options = pulumi.ResourceOptions


class World:
    """A stack, what exists outside, and the providers that were made."""

    def __init__(self, home: Path, kind: type[ExampleProvider] = ExampleProvider) -> None:
        self.things = home / "things.json"
        self.store = StateStore(home / "stack")
        self.made: list[ExampleProvider] = []
        self.events: list[Event] = []
        self.kind = kind
        self.engine = Engine(StackRef("story", "dev"), self.store, self._provider, lambda: "pass", self.events.append)

    def _provider(self, package: str, adopting: frozenset[str]) -> ExampleProvider:
        assert package == "example"
        self.made.append(self.kind(adopting))
        return self.made[-1]

    @property
    def exists(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.things.read_text()) if self.things.exists() else {}
        return found

    def change(self, **things: dict[str, Any] | None) -> None:
        """Behind the stack's back."""
        now = {**self.exists, **{name: thing for name, thing in things.items() if thing is not None}}
        self.things.write_text(json.dumps({k: v for k, v in now.items() if things.get(k, ...) is not None}))

    @property
    def calls(self) -> list[str]:
        return [call for provider in self.made for call in provider.calls]

    def program(self, body: Callable[[Main], None]) -> Callable[[], None]:
        return lambda: body(Main("main", path=str(self.things)))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def changes(result: Result) -> list[str]:
    return sorted(f"{s.op} {s.name}" for s in result.steps if s.op != "same" and not s.is_bookkeeping)


def state_of(world: World) -> dict[str, Any]:
    """Name -> record."""
    return {urn.split("::", 3)[3]: record for urn, record in world.store.load().live.items()}


def test_a_preview_changes_nothing_and_knows_what_it_cannot_know(world: World, tmp_path: Path) -> None:
    planned = world.engine.preview(build(world.things, a={"size": 1}))
    assert changes(planned) == ["create a", "create b", "create group"]
    assert planned.outputs == {"address": "[unknown]", "secret": "[secret]"}
    step = next(s for s in planned.steps if s.name == "b")
    assert step.new == {"name": "[unknown]", "size": 1}
    assert next(s for s in planned.steps if s.name == "a").new["password"] == "[secret]"
    assert not any(tmp_path.iterdir())


def test_no_secret_reaches_the_disk_the_events_or_the_steps(world: World) -> None:
    done = world.engine.up(build(world.things, a={"size": 1}))
    told = repr(world.events) + repr(done) + json.dumps([s.as_json() for s in done.steps])
    assert not any(word in told + world.store.path.read_text() for word in ("s3cret", "hush"))
    assert done.secret_outputs["secret"] == {"word": "hush"}


def test_nothing_to_do_writes_nothing(world: World) -> None:
    program = build(world.things, a={"size": 1})
    world.engine.up(program)
    before = world.store.path.stat().st_mtime_ns
    assert changes(world.engine.up(program)) == []
    assert world.store.path.stat().st_mtime_ns == before


def test_one_failure_stops_only_what_hangs_on_it(world: World) -> None:
    def body(main: Main) -> None:
        bad = Thing("bad", Options(provider=main), name="broken")
        Thing("after", Options(provider=main), name=bad.address)
        Thing("explicit", Options(provider=main, depends_on=[bad]), name="explicit")
        Thing("child", Options(provider=main, parent=bad), name="child")
        Thing("good", Options(provider=main), name="good")

    done = world.engine.up(world.program(body))
    assert list(world.exists) == ["good@"]
    assert [(e.name, e.message) for e in done.errors] == [("bad", "broken can't be made")]
    assert sorted(urn.rpartition("::")[2] for urn in done.skipped) == ["after", "child", "explicit"]
    assert done.exit_code is ExitCode.FAILED
    assert sorted(state_of(world)) == ["good", "main", "story-dev"]
    assert [e.kind for e in world.events if e.step and e.step.name == "bad"] == ["start", "failed"]


def test_nothing_is_deleted_when_something_failed(world: World) -> None:
    world.engine.up(world.program(lambda main: Thing("old", Options(provider=main), name="old") and None))
    done = world.engine.up(world.program(lambda main: Thing("bad", Options(provider=main), name="broken") and None))
    assert "old@" in world.exists
    assert "nothing was deleted" in done.warnings[-1]


def test_all_check_failures_are_told(world: World) -> None:
    planned = world.engine.preview(
        world.program(lambda main: Thing("a", Options(provider=main), name="a", size=-1) and None)
    )
    assert [(e.message, e.exit_code) for e in planned.errors] == [("size: must not be negative", ExitCode.USAGE)]


def test_a_program_that_raises_is_an_error_of_the_run_and_deletes_nothing(world: World) -> None:
    world.engine.up(build(world.things, a={"size": 1}))

    def broken() -> None:
        raise Refused("not like this", "like that")

    done = world.engine.up(broken)
    assert [(e.message, e.hint, e.exit_code) for e in done.errors] == [("not like this", "like that", ExitCode.REFUSED)]
    assert len(world.exists) == 2


def test_two_resources_of_one_name_are_refused(world: World) -> None:
    def body(main: Main) -> None:
        Thing("a", Options(provider=main), name="one")
        Thing("a", Options(provider=main), name="two")

    assert "two resources have the name" in world.engine.preview(world.program(body)).errors[0].message


def test_hundreds_of_resources_are_in_flight_at_once(world: World) -> None:
    class Slow(ExampleProvider):
        def __init__(self, adopting: frozenset[str]) -> None:
            super().__init__(adopting)
            self.delay = 0.3

        def _write(self, things: dict[str, Any]) -> None:
            """Only the flight matters here."""

    world.kind = Slow

    def body(main: Main) -> None:
        for number in range(600):
            Thing(f"t{number}", Options(provider=main), name=f"t{number}")

    done = world.engine.up(world.program(body))
    assert done.counts == {"create": 600}
    assert max(provider.most_in_flight for provider in world.made) == 512


def test_a_provider_may_block_in_a_thread_while_others_go_on(world: World) -> None:
    class Blocking(ExampleProvider):
        async def _work(self, what: str) -> None:
            import time

            await asyncio.to_thread(time.sleep, 0.01)

    world.kind = Blocking
    assert world.engine.up(build(world.things, a={"size": 1})).ok


def test_a_provider_configured_by_another_resource_is_told_unknown_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXAMPLE_PATH", str(world.things))

    def program() -> None:
        first = Thing("first", name=str(world.things))
        second = Main("second", path=first.address.apply(lambda at: at.removesuffix(".example")))
        Thing("on-it", Options(provider=second), name="x")

    planned = world.engine.preview(program)
    assert planned.ok, planned.errors
    assert changes(planned) == ["create first", "create on-it"]
    assert world.made[-1].path is None  # the second provider: not configured, and nobody minded
    assert world.engine.up(program).ok
    assert "x@" in world.exists


def test_a_replacement_that_must_go_first_takes_along_what_would_be_replaced_too(world: World) -> None:
    def body(slot: str) -> Callable[[Main], None]:
        def resources(main: Main) -> None:
            base = Thing("base", Options(provider=main), name="base", slot=slot)
            mid = Thing("mid", Options(provider=main), name="mid", slot=base.address)
            Thing("leaf", Options(provider=main), name="leaf", zone=mid.address)
            Thing("aside", Options(provider=main, depends_on=[base]), name="aside")

        return resources

    world.engine.up(world.program(body("1")))
    planned = world.engine.preview(world.program(body("2")))
    world.made.clear()
    done = world.engine.up(world.program(body("2")))
    assert done.ok and planned.ok
    assert changes(done) == changes(planned)
    assert sorted({s.name for s in done.steps if s.op == "replace"}) == ["base", "leaf", "mid"]
    assert [c for c in world.calls if "create" not in c] == ["delete leaf@mid.example", "delete mid@", "delete base@"]
    assert len(world.exists) == 4
    assert changes(world.engine.up(world.program(body("2")))) == []


def test_a_replacement_whose_second_half_failed_is_finished_by_the_next_run(world: World) -> None:
    def body(name: str, slot: str) -> Callable[[Main], None]:
        return lambda main: Thing("a", Options(provider=main), name=name, slot=slot) and None

    world.engine.up(world.program(body("a", "1")))
    failed = world.engine.up(world.program(body("broken", "2")))
    assert not failed.ok
    assert state_of(world)["a"]["pendingReplacement"] is True
    done = world.engine.up(world.program(body("a", "2")))
    assert changes(done) == ["create-replacement a", "replace a"]
    assert list(world.exists) == ["a@"]
    assert "pendingReplacement" not in state_of(world)["a"]


def test_the_program_may_turn_the_order_of_a_replacement_round(world: World) -> None:
    def body(zone: str) -> Callable[[Main], None]:
        return lambda main: Thing("a", Options(provider=main, delete_before_replace=True), name="a", zone=zone) and None

    world.engine.up(world.program(body("1")))
    world.made.clear()
    world.engine.up(world.program(body("2")))
    assert world.calls == ["delete a@1", "create a"]


def test_a_protected_resource_is_neither_replaced_nor_destroyed(world: World) -> None:
    def body(zone: str, protect: bool) -> Callable[[Main], None]:
        return lambda main: Thing("a", Options(provider=main, protect=protect), name="a", zone=zone) and None

    world.engine.up(world.program(body("1", True)))
    replaced, destroyed = world.engine.up(world.program(body("2", True))), world.engine.destroy()
    for result in (replaced, destroyed):
        assert [e.exit_code for e in result.errors] == [ExitCode.REFUSED]
        assert "protected" in result.errors[0].message
    assert sorted(state_of(world)) == ["a", "main", "story-dev"]  # what it needs stays too
    assert world.engine.up(world.program(body("2", False))).ok
    assert list(world.exists) == ["a@2"]


def test_replace_on_changes_replaces(world: World) -> None:
    def body(size: int) -> Callable[[Main], None]:
        options: Any = {"replace_on_changes": ["size"], "delete_before_replace": True}
        return lambda main: Thing("a", Options(provider=main, **options), name="a", size=size) and None

    world.engine.up(world.program(body(1)))
    done = world.engine.up(world.program(body(2)))
    assert changes(done) == ["create-replacement a", "delete-replaced a", "replace a"]
    assert next(s for s in done.steps if s.op == "replace").diff == {"size": "update-replace"}


def test_additional_secret_outputs_are_secret(world: World) -> None:
    def body(main: Main) -> None:
        Thing("a", Options(provider=main, additional_secret_outputs=["address"]), name="a")

    world.engine.up(world.program(body))
    assert "ciphertext" in json.dumps(state_of(world)["a"]["outputs"]["address"])


def test_a_retained_resource_leaves_only_the_state(world: World) -> None:
    world.engine.up(
        world.program(lambda main: Thing("a", Options(provider=main, retain_on_delete=True), name="a") and None)
    )
    assert changes(world.engine.destroy()) == ["delete a"]
    assert "a@" in world.exists


def test_what_is_deleted_with_another_needs_no_call(world: World) -> None:
    def body(main: Main) -> None:
        whole = Thing("whole", Options(provider=main), name="whole")
        Thing("part", Options(provider=main, deleted_with=whole), name="part")

    world.engine.up(world.program(body))
    world.made.clear()
    assert changes(world.engine.destroy()) == ["delete part", "delete whole"]
    assert world.calls == ["delete whole@"]


def test_refresh_writes_what_has_changed_and_drops_what_is_gone(world: World) -> None:
    program = build(world.things, a={"size": 1})
    world.engine.up(program)
    world.change(**{"alpha@": {**world.exists["alpha@"], "size": 9}, "beta-alpha.example@": None})
    for dry_run in (True, False):
        found = world.engine.refresh(dry_run=dry_run)
        assert changes(found) == ["delete b", "refresh a"]
        assert next(s for s in found.steps if s.op == "refresh").diff == {"size": "update"}
    assert changes(world.engine.preview(program)) == ["create b", "update a"]
    assert world.engine.up(program).ok
    assert world.exists["alpha@"]["size"] == 1
    assert changes(world.engine.refresh()) == []


def test_destroy_leaves_nothing(world: World) -> None:
    world.engine.up(build(world.things, a={"size": 1}))
    planned = world.engine.destroy(dry_run=True)
    assert len(world.exists) == 2
    assert changes(world.engine.destroy()) == changes(planned) == ["delete a", "delete b", "delete group"]
    assert world.exists == {}
    assert not world.store.load().live


def test_what_exists_is_imported_and_then_there_is_nothing_to_do(world: World) -> None:
    world.change(**{"a@": {"name": "a", "size": 5}})
    program = world.program(lambda main: Thing("a", Options(provider=main), name="a", size=5) and None)
    assert "exists already" in world.engine.up(program).errors[0].message
    done = world.engine.import_resources(program, {("example:index:Thing", "a"): "a@"})
    assert changes(done) == ["import a"]
    assert changes(world.engine.up(program)) == []
    assert not any("create" in call for call in world.calls)


def test_an_import_creates_nothing_and_changes_nothing(world: World) -> None:
    world.change(**{"a@": {"name": "a", "size": 5}})

    def body(main: Main) -> None:
        Thing("a", Options(provider=main), name="a", size=6)
        Thing("b", Options(provider=main), name="b")
        Thing("c", Options(provider=main), name="c")

    kind = "example:index:Thing"
    done = world.engine.import_resources(world.program(body), {(kind, "a"): "a@", (kind, "c"): "c@"})
    told = {e.name: e.message for e in done.errors}
    assert "differs from the requested one in size" in told["a"]
    assert "is not among the imported resources" in told["b"]
    assert "there is no" in told["c"]
    assert world.exists == {"a@": {"name": "a", "size": 5}}


def test_import_by_the_program_s_own_option(world: World) -> None:
    world.change(**{"a@": {"name": "a", "size": 5}})
    program = world.program(lambda main: Thing("a", Options(provider=main, import_="a@"), name="a", size=5) and None)
    assert changes(world.engine.up(program)) == ["import a"]
    assert changes(world.engine.up(program)) == []


def test_resources_that_the_caller_vouches_for_are_kept(world: World) -> None:
    world.engine.up(world.program(lambda main: [Thing(n, Options(provider=main), name=n) for n in "ab"] and None))
    kept = [r["urn"] for name, r in state_of(world).items() if name in "ab"]
    done = world.engine.up(world.program(lambda main: Thing("c", Options(provider=main), name="c") and None), keep=kept)
    assert changes(done) == ["create c"]
    assert done.counts == {"same": 2, "create": 1}
    assert sorted(world.exists) == ["a@", "b@", "c@"]


def test_a_program_that_needs_another_engine_is_told_so(world: World) -> None:
    def program() -> None:
        pulumi.export("x", pulumi.runtime.invoke("example:index:look", {}).value)

    done = world.engine.preview(program)
    assert "Invoke" in done.errors[0].message
    assert "--engine pulumi" in (done.errors[0].hint or "")


class Killed(ExampleProvider):
    """Kills its process when it has come to the given point: before or after anything it does."""

    left = 0

    @classmethod
    def point(cls) -> None:
        cls.left -= 1
        if cls.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    async def create(self, urn: str, inputs: Values, *, preview: bool) -> ResourceState:
        self.point()
        made = await super().create(urn, inputs, preview=preview)
        self.point()
        return made

    async def delete(self, urn: str, id: str, outputs: Values) -> None:
        self.point()
        await super().delete(urn, id, outputs)
        self.point()

    async def update(self, urn: str, id: str, old: Values, new: Values, *, preview: bool) -> Values:
        self.point()
        changed = await super().update(urn, id, old, new, preview=preview)
        self.point()
        return changed


def killed_at(world: World, point: int, act: Callable[[], object]) -> bool:
    """Act in a child that is killed at that point; false if it came to its end."""
    child = os.fork()
    if child == 0:
        Killed.left = point
        world.kind = Killed
        act()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def essence(world: World) -> Any:
    """The state without times and ids of providers."""
    from tests.unit.engine.record import normal

    return {
        r["urn"]: r for r in normal(world.store.load().export(), str(world.things.parent))["deployment"]["resources"]
    }


@pytest.mark.parametrize("verb", ["create", "change", "destroy"])
def test_a_run_killed_anywhere_is_finished_by_the_next_one(tmp_path: Path, verb: str) -> None:
    def setting(home: Path) -> tuple[World, Callable[[], Result]]:
        home.mkdir()
        world = World(home)
        first = build(world.things, a={"size": 1, "zone": "1"})
        second = build(world.things, a={"size": 2, "zone": "2", "slot": "x"}, default=False)
        if verb != "create":
            assert world.engine.up(first).ok
        acts: dict[str, Callable[[], Result]] = {
            "create": lambda: world.engine.up(first),
            "change": lambda: world.engine.up(second),
            "destroy": lambda: world.engine.destroy(),
        }
        return world, acts[verb]

    undisturbed, act = setting(tmp_path / "undisturbed")
    assert act().ok
    for point in range(1, 100):
        world, act = setting(tmp_path / str(point))
        killed = killed_at(world, point, act)
        done = act()
        assert done.ok, (point, done.errors)
        assert world.exists == undisturbed.exists, point
        assert essence(world) == essence(undisturbed), point
        assert world.store.load().pending == {}
        if not killed:
            break
    assert point > 3


def test_a_run_killed_while_it_looked_leaves_no_claim_on_what_is_made_by_others(world: World) -> None:
    program = world.program(lambda main: Thing("a", Options(provider=main), name="a") and None)
    assert killed_at(world, 1, lambda: world.engine.up(program))
    world.change(**{"a@": {"name": "a", "size": 1}})
    assert "exists already" in world.engine.up(program).errors[0].message


def test_what_an_interrupted_run_made_and_nobody_wants_any_more_is_deleted(world: World) -> None:
    program = world.program(lambda main: Thing("a", Options(provider=main), name="a") and None)
    assert killed_at(world, 4, lambda: world.engine.up(program))
    assert "a@" in world.exists
    empty = world.program(lambda main: None)
    assert "may have created a" in world.engine.preview(empty).warnings[-1]
    assert changes(world.engine.up(empty)) == ["delete a"]
    assert world.exists == {}


def test_a_deletion_that_a_refresh_found_done_is_no_longer_pending(world: World) -> None:
    assert world.engine.up(world.program(lambda main: Thing("a", Options(provider=main), name="a") and None)).ok
    empty = world.program(lambda main: None)
    point = next(n for n in range(1, 100) if killed_at(world, n, lambda: world.engine.up(empty)) and not world.exists)
    state = world.store.load()
    assert [kind for kind, _ in state.pending.values()] == ["deleting"], point
    state.live = {urn: record for urn, record in state.live.items() if record.get("id") != "a@"}
    world.store.save(state)
    assert changes(world.engine.up(empty)) == []
    assert world.store.load().pending == {}


def test_the_first_interrupt_finishes_what_is_under_way_and_starts_no_more(world: World) -> None:
    class Interrupted(ExampleProvider):
        async def _work(self, what: str) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.05)

    world.kind = Interrupted

    def body(main: Main) -> None:
        first = Thing("first", Options(provider=main), name="first")
        Thing("second", Options(provider=main, depends_on=[first]), name="second")

    done = world.engine.up(world.program(body))
    assert done.interrupted
    assert done.exit_code is ExitCode.INTERRUPTED
    assert list(world.exists) == ["first@"]
    assert sorted(state_of(world)) == ["first", "main", "story-dev"]
    world.kind = ExampleProvider
    assert changes(world.engine.up(world.program(body))) == ["create second"]


def test_components_keep_their_outputs(world: World) -> None:
    world.engine.up(lambda: Group("g") and None)
    assert state_of(world)["g"]["outputs"] == {"members": 1}
