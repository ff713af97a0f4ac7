"""A Pulumi CLI that can't be used ends in a sentence and exit 3; what one did before something failed is not forgotten."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from asgard.core.errors import AsgardError, Busy, Unreachable
from asgard.odin.engine import cli_engine
from asgard.odin.engine.cli_engine import CliEngine
from asgard.odin.engine.run import Engine
from asgard.odin.engine.stack import StackRef
from asgard.odin.engine.state import State, StateStore
from asgard.odin.lifecycle import apply
from asgard.odin.lifecycle.options import OdinOptions
from asgard.odin.lifecycle.session import Session
from asgard.odin.provider import serve
from asgard.odin.provider.provider import AsgardProvider
from asgard.odin.resources.kinds import TOPIC
from tests.unit.engine import programs
from tests.unit.engine.example import ExampleProvider

REF = StackRef("story", "dev")
KEY_URN = REF.child(REF.urn, "aws:kms/key:Key", "dev")
BEGUN = {"urn": KEY_URN, "type": "aws:kms/key:Key", "custom": True}
VPC = {"urn": REF.child(REF.urn, "aws:ec2/vpc:Vpc", "dev"), "type": "aws:ec2/vpc:Vpc", "id": "vpc-1", "custom": True}

BUILDS = {
    "a build of one's own": ("#!/bin/sh\necho dev-0a1b2c\n", "version of the Pulumi CLI can't be used"),
    "no version at all": ("#!/bin/sh\nexit 0\n", "version of the Pulumi CLI can't be used"),
    "too old": ("#!/bin/sh\necho v2.0.0\n", "version of the Pulumi CLI can't be used"),
    "not a program": ("\x7fELF\n", "the Pulumi CLI failed: OSError"),
}


@pytest.mark.parametrize("name", BUILDS)
def test_a_cli_that_cant_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    text, words = BUILDS[name]
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "pulumi"
    program.write_text(text)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    engine = CliEngine(StackRef("story", "dev"), StateStore(tmp_path / "stack"), lambda: "pass")
    with pytest.raises(Unreachable, match=words) as raised:
        engine.preview(programs.build(tmp_path / "things.json", a={"size": 3}))
    assert raised.value.exit_code == 3 and raised.value.hint


class Story:
    """An engine whose CLI creates a network and then does what a test says; the guard raises `lost` if it is set."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lost: AsgardError | None = None
        self.store = StateStore(directory, self._guard)
        self.engine = CliEngine(REF, self.store, lambda: "pass")
        self.then: Callable[[], None] = lambda: None
        monkeypatch.setattr(cli_engine, "available", lambda: "/usr/bin/pulumi")
        cli = SimpleNamespace(name="dev", up=self._up, preview=lambda **how: None, refresh=self._up)
        monkeypatch.setattr(CliEngine, "_prepared", lambda *_, **how: cli)

    def _guard(self) -> None:
        if self.lost is not None:
            raise self.lost

    def _up(self, **how: Any) -> SimpleNamespace:
        file = self.store.backend / "backend" / ".pulumi" / "stacks" / "story" / "dev.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"version": 3, "checkpoint": {"latest": {"manifest": {}, "resources": [VPC]}}}))
        self.then()
        return SimpleNamespace(outputs={})

    def lose_the_lease(self) -> None:
        self.lost = Busy("the lease stack/dev/change was lost: it was not renewed in time")

    def break_off(self) -> None:
        raise RuntimeError("the CLI's events can't be read")


@pytest.fixture
def story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Story:
    return Story(tmp_path / "stack", monkeypatch)


def test_what_the_cli_did_is_taken_back_and_its_workplace_goes(story: Story) -> None:
    assert story.engine.up(lambda: None).ok
    assert list(story.store.load().live) == [VPC["urn"]] and not story.store.interrupted


@pytest.mark.parametrize(("then", "error"), [(Story.lose_the_lease, Busy), (Story.break_off, Unreachable)])
def test_what_the_cli_did_is_not_forgotten_if_it_cant_be_taken_back(
    story: Story, then: Callable[[Story], None], error: type[AsgardError]
) -> None:
    story.then = lambda: then(story)
    with pytest.raises(error):
        story.engine.up(lambda: None)
    story.lost, story.then = None, lambda: None
    assert list(story.store.load().live) == [VPC["urn"]]
    assert story.store.warnings == ["a run of the Pulumi CLI was interrupted: using its checkpoint"]
    assert not (story.store.backend / "passphrase").exists()
    assert story.engine.up(lambda: None).ok
    assert list(story.store.load().live) == [VPC["urn"]] and not story.store.interrupted


def test_asgards_own_engine_folds_it_in_before_it_writes_a_log_of_its_own(story: Story, tmp_path: Path) -> None:
    story.then = story.lose_the_lease
    with pytest.raises(Busy):
        story.engine.up(lambda: None)
    story.lost = None
    seen: list[State] = []

    def provider(package: str, adopting: frozenset[str]) -> ExampleProvider:
        seen.append(StateStore(story.store.directory).load())
        assert not story.store.interrupted
        return ExampleProvider(adopting)

    program = programs.build(tmp_path / "things.json", a={"size": 3})
    Engine(REF, story.store, provider, lambda: "pass").up(program)
    assert VPC["urn"] in seen[0].live


def test_a_creation_that_was_interrupted_is_told_and_forgotten_once_a_run_succeeds(story: Story) -> None:
    story.store.save(State(pending={KEY_URN: ("creating", BEGUN)}))
    told = (
        "an interrupted run may have created aws:kms/key:Key dev, which is not in the state: look for it in the cloud, "
        "and delete it there"
    )
    assert story.engine.preview(lambda: None).warnings == [told]
    assert story.engine.refresh().warnings == [told]
    assert list(story.store.load().unfinished) == [KEY_URN], "a refresh creates nothing"
    story.then = story.break_off
    with pytest.raises(Unreachable):
        story.engine.up(lambda: None)
    assert list(story.store.load().unfinished) == [KEY_URN], "nor does a run that broke off"
    story.then = lambda: None
    assert told in story.engine.up(lambda: None).warnings
    assert not story.store.load().pending
    assert story.engine.up(lambda: None).warnings == []


def test_asgards_provider_takes_over_what_an_interrupted_run_of_the_cli_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = REF.child(REF.urn, TOPIC, "a")
    begun = {topic: ("creating", {"urn": topic, "type": TOPIC}), KEY_URN: ("creating", BEGUN)}
    session = Session("dev", StateStore(tmp_path / "stack"), SimpleNamespace(environment=dict))  # type: ignore[arg-type]
    engine = apply.engine(session, OdinOptions(engine="pulumi"), State(pending=begun))
    assert isinstance(engine, CliEngine)
    served: list[AsgardProvider] = []

    async def serving(provider: AsgardProvider) -> None:
        served.append(provider)

    monkeypatch.setattr(serve, "serve", serving)
    monkeypatch.setattr("sys.argv", ["pulumi-resource-asgard"])
    for name, value in engine.environment.items():
        monkeypatch.setenv(name, value)
    serve.main()
    assert served[0]._permits.adopting == {topic}
