"""Targets: three registries and a section of the stack file know them; a new one changes nothing else."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import pytest

import asgard
from asgard.core.document import Found
from asgard.core.schema.stack import StackFile, TargetName
from asgard.kafka.connection import Connection
from asgard.machines import targets as machines
from asgard.odin import program as programs
from asgard.odin import targets
from asgard.odin.engine.steps import Step
from asgard.odin.spec import targets as rules
from asgard.odin.spec.model import KafkaSpec, StackSpec
from asgard.odin.spec.resolve import resolve
from asgard.odin.spec.targets import brokers
from asgard.odin.targets.aws.declare import declare
from asgard.odin.targets.reached import Pack, Reached

NAMES: tuple[TargetName, ...] = get_args(TargetName)
FREE = {
    *("core/schema/stack.py", "machines/targets.py"),  # the word itself, and the registries
    *("odin/targets/__init__.py", "odin/spec/targets/__init__.py"),
    *("odin/spec/read.py",),  # which target a file without one may have meant
}
OWN = ("machines/aws/", "machines/local/", "odin/targets/", "odin/spec/targets/")


def test_every_word_has_its_part_in_each_registry() -> None:
    assert sorted(machines.NAMES) == sorted(NAMES)
    for name in NAMES:
        kind = machines.of(name)
        assert kind.makes_brokers or not kind.installs_kafka, "what runs elsewhere is not installed"
        assert targets.of(name).needs_cli is targets.of(name).has_guardrails is name.startswith("aws")
        section = rules.of(name).section
        assert section is None or (section in StackFile.model_fields and section in rules.SECTIONS)


def test_no_other_module_names_a_target() -> None:
    root = Path(asgard.__file__).parent
    found = []
    for path in sorted(root.rglob("*.py")):
        where = path.relative_to(root).as_posix()
        if where in FREE or where.startswith(OWN):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare) and any(
                isinstance(side, ast.Constant) and side.value in NAMES for side in (node.left, *node.comparators)
            ):
                found.append(f"{where}:{node.lineno}")
    assert found == []


class Kubernetes:
    """A new target, whole: it stands in all three registries."""

    makes_brokers = installs_kafka = logins_in_kafka = True
    needs_cli = has_guardrails = False
    section, clusters = None, "clusters on Kubernetes"

    def review(self, file: StackFile) -> Found:
        yield from brokers.review(file)

    def kafka(self, file: StackFile) -> KafkaSpec:
        return brokers.kafka(file, 1)

    def place(self, file: StackFile, folder: Path) -> None:
        return None

    def register(self, spec: StackSpec, external: Connection | None, pack: Pack | None) -> Reached:
        import pulumi

        pods = pulumi.CustomResource("kubernetes:apps/v1:StatefulSet", spec.name, {"replicas": spec.kafka.brokers})
        return Reached({"bootstrapServers": "kafka:9092"}, pods, {"bootstrapServers": "kafka:9092"})

    def outdates(self, steps: Iterable[Step], stack: str) -> set[int]:
        return set()

    def applied(self, spec: StackSpec) -> None: ...


def test_a_new_target_needs_nothing_but_its_registries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for registry in (machines, rules, targets):
        monkeypatch.setattr(registry, "of", lambda name: Kubernetes())
    file = StackFile.model_validate(
        {
            "stack": "orders",
            "target": "local",
            "kafka": {"brokers": 5},
            "topics": [{"name": "t", "partitions": 1}],
            "users": [{"name": "u", "produce": ["t"]}],
        }
    )
    assert list(rules.review(file)) == []
    spec = resolve(file, tmp_path)
    assert (spec.kafka.brokers, spec.kafka.heap_bytes, spec.place) == (5, 1, None)
    declared = declare(programs.program(spec, programs.declared(spec, {})))
    # They are registered side by side: in no order.
    assert {r.type: r.inputs for r in declared}["kubernetes:apps/v1:StatefulSet"] == {"replicas": 5}
    kinds = ["asgard:kafka:Acl", "asgard:kafka:Topic", "asgard:kafka:User", "kubernetes:apps/v1:StatefulSet"]
    assert sorted(r.type for r in declared) == kinds
