"""One resource of a running program: compare the program's goal with the state, and apply it (or report what would be done).

The order of decisions is that of Pulumi's step generator (pkg/resource/deploy/step_generator.go): import, check, diff,
then same, update, or replacement with the old one deleted before (`delete_before_replace`) or after.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from asgard.core.errors import Failed, Refused, WrongUsage
from asgard.odin.engine import deletions, diff
from asgard.odin.engine.deployment import PARALLEL, Deployment, Skipped, step
from asgard.odin.engine.goals import Goal, Registered, record_of, skeleton
from asgard.odin.engine.graph import Record, dependencies
from asgard.odin.engine.providers import package_of
from asgard.odin.engine.state import now
from asgard.odin.engine.steps import Op
from asgard.odin.provider.protocol import Difference, Provider
from asgard.odin.resources.values import UNKNOWN_TEXT, Values, has_unknown, secret


@dataclass(frozen=True)
class Existing:
    """A resource as the state has it: its record, and its inputs with secrets opened."""

    record: Record
    inputs: Values

    @property
    def id(self) -> str:
        """Its id; empty if it has none yet."""
        found: str = self.record.get("id", "")
        return found


@dataclass
class ResourcePlan:
    """What a diff asks for."""

    changed: bool = False
    detail: dict[str, str] = field(default_factory=dict)
    replace_keys: list[str] = field(default_factory=list)
    delete_first: bool = False


async def register(run: Deployment, goal: Goal) -> Registered:
    """Process one resource. A failure is recorded in the run and returned to the program; others continue."""
    if goal.urn in run.seen:
        run.fail(goal.urn, WrongUsage(f"two resources have the name {goal.urn}", "give one of them another name"))
        return Registered(goal.urn, outcome="failed")
    run.seen.add(goal.urn)
    try:
        if run.stopping or any(urn in run.failed for urn in dependencies(skeleton(goal))):
            raise Skipped
        return await _register(run, goal)
    except Skipped as skipped:
        run.fail(goal.urn, skipped)
        return Registered(goal.urn, outcome="skipped")
    except Exception as error:
        run.fail(goal.urn, error)
        return Registered(goal.urn, outcome="failed")


async def register_all(run: Deployment, goals: Sequence[Goal]) -> None:
    """Process many resources in parallel, each after those among them that it depends on."""
    mine = {goal.urn for goal in goals}
    waiting = list(goals)
    while waiting:
        ready = [goal for goal in waiting if mine.isdisjoint(goal.dependencies)]
        queue = iter(ready)
        await asyncio.gather(*(_register_from(run, queue) for _ in range(min(PARALLEL, len(ready)))))
        mine -= {goal.urn for goal in ready}
        waiting = [goal for goal in waiting if goal.urn in mine]


async def _register_from(run: Deployment, queue: Iterator[Goal]) -> None:
    for goal in queue:
        await register(run, _with_provider(run, goal))


def _with_provider(run: Deployment, goal: Goal) -> Goal:
    """The goal with the id of its provider, which the program has registered by now. Without an id it waits for another
    run."""
    provider, _, id = goal.provider.rpartition("::")
    record = run.new.get(provider)
    if record is None:
        run.failed.add(provider)
    return goal if id or record is None else replace(goal, provider=f"{provider}::{record.get('id') or UNKNOWN_TEXT}")


async def _register(run: Deployment, goal: Goal) -> Registered:
    old = run.old.get(goal.urn)
    recreated = run.gone.get(goal.urn)
    if not goal.custom:
        return _component(run, goal, old)
    provider = await _provider(run, goal)
    if recreated is None and (import_id := _import_id(run, goal, old)):
        return await _import(run, goal, provider, import_id)
    if recreated is not None and old is not None:
        inputs = await check(provider, goal, {}, goal.inputs)
        run.replaced.add(goal.urn)
        existing = Existing(old, run.inputs(old))
        run.done(step("replace", goal.urn, existing.inputs, inputs, replace_keys=recreated))
        return await _create(run, goal, provider, inputs, existing, ResourcePlan(True, {}, recreated))
    if old is None:
        if run.imports is not None and not goal.is_provider:
            raise Refused("it is not among the imported resources, and an import creates nothing")
        inputs = await check(provider, goal, {}, goal.inputs)
        return await _create(run, goal, provider, inputs, None, ResourcePlan())
    existing = Existing(old, run.inputs(old))
    wanted = diff.keep_old(goal.inputs, existing.inputs, goal.ignore_changes) if goal.ignore_changes else goal.inputs
    inputs = await check(provider, goal, existing.inputs, wanted)
    plan = await _diff(run, goal, provider, existing, inputs)
    if plan.replace_keys or old.get("pendingReplacement"):
        return await _replace(run, goal, provider, existing, plan)
    if plan.changed:
        return await _update(run, goal, provider, existing, inputs, plan)
    return await _same(run, goal, old, inputs)


def _component(run: Deployment, goal: Goal, old: Record | None) -> Registered:
    record = record_of(run, goal, goal.inputs, None, None, old)
    if old is not None and "outputs" in old:
        record["outputs"] = old["outputs"]
    changed = {} if old is None else diff.differences(run.inputs(old), goal.inputs)
    run.done(step("create" if old is None else "update" if changed else "same", goal.urn, diff=changed))
    _put(run, record, old)
    return Registered(goal.urn)


async def _provider(run: Deployment, goal: Goal) -> Provider:
    if goal.is_provider:
        return run.providers.bare(package_of(goal.urn))
    return await run.provider(goal.provider.rpartition("::")[0])


async def check(provider: Provider, goal: Goal, old: Values, new: Values) -> Values:
    """The inputs with the provider's defaults; raises WrongUsage with every problem it found."""
    answer = await (provider.check_config(new) if goal.is_provider else provider.check(goal.urn, old, new))
    if answer.wrong:
        raise WrongUsage("; ".join(f"{name}: {reason}" if name else reason for name, reason in answer.wrong))
    return answer.inputs


async def _diff(run: Deployment, goal: Goal, provider: Provider, existing: Existing, inputs: Values) -> ResourcePlan:
    if goal.deleted_with and goal.deleted_with in run.replaced:
        return ResourcePlan(True, {}, ["deletedWith"])
    outputs = run.outputs(existing.record)
    if goal.is_provider:
        answer = await provider.diff_config(outputs, inputs)
    else:
        answer = await provider.diff(goal.urn, existing.id, outputs, inputs, goal.ignore_changes)
    return plan_of(answer, existing.inputs, inputs, goal.replace_on_changes)


def plan_of(answer: Difference, old_inputs: Values, inputs: Values, replace_on_changes: list[str]) -> ResourcePlan:
    """The provider's answer as a plan; if the provider can't tell, the inputs decide."""
    detail, changed = dict(answer.detail), answer.changed
    if changed is None:
        detail = diff.differences(old_inputs, inputs)
        changed = bool(detail)
    if not changed:
        return ResourcePlan()
    if not detail:
        detail = diff.differences(old_inputs, inputs) or dict.fromkeys(answer.names, "update")
    replaces = list(answer.replaces)
    for path, kind in detail.items():
        if any(diff.covers(pattern, path) for pattern in replace_on_changes) and not kind.endswith("-replace"):
            detail[path] = f"{kind}-replace"
    replaces += diff.top(path for path, kind in detail.items() if kind.endswith("-replace"))
    return ResourcePlan(True, detail, list(dict.fromkeys(replaces)), answer.delete_first)


async def _same(run: Deployment, goal: Goal, old: Record, inputs: Values) -> Registered:
    if goal.is_provider:
        await run.providers.configure(goal.urn, inputs)
    outputs = run.outputs(old)
    record = record_of(run, goal, inputs, outputs, old.get("id"), old)
    for key in ("created", "modified"):
        if key in old:
            record[key] = old[key]
    run.done(step("same", goal.urn, id=old.get("id")))
    _put(run, record, old)
    return Registered(goal.urn, old.get("id", ""), outputs)


async def _create(
    run: Deployment, goal: Goal, provider: Provider, inputs: Values, replaced: Existing | None, plan: ResourcePlan
) -> Registered:
    """Create a resource, in place of `replaced` if there is one."""
    op: Op = "create-replacement" if replaced else "create"
    old, old_inputs = (replaced.record, replaced.inputs) if replaced else (None, None)
    what = step(op, goal.urn, old_inputs, inputs, diff=plan.detail, replace_keys=plan.replace_keys)
    async with run.working(what):
        if goal.is_provider:
            await run.providers.configure(goal.urn, inputs)
            id, outputs = "" if run.preview else str(uuid.uuid4()), inputs
        else:
            # In a real run too: the provider checks that the name is free before the intent is on disk, so a run killed
            # in between leaves no claim on a resource that belongs to someone else.
            made = await provider.create(goal.urn, inputs, preview=True)
            if not run.preview:
                _refuse_unknown(inputs)
                await run.intend("creating", record_of(run, goal, inputs, None, None, None))
                try:
                    made = await provider.create(goal.urn, inputs, preview=False)
                except (Refused, WrongUsage):
                    # Certainly not created. After any other error it may have been (a time-out): the claim stays for
                    # the next run.
                    run.record({"do": "settled", "urn": goal.urn})
                    raise
            id, outputs = made.id, _outputs(goal, made.outputs)
            if not id and not run.preview:
                raise Failed("the provider created it but returned no id")
        what.id = id or None
        record = record_of(run, goal, inputs, outputs, id, old)
        record["created"] = record["modified"] = now()
        if replaced and goal.urn not in run.gone:
            run.record({"do": "retire", "urn": goal.urn})
        _put(run, record, None)
    return Registered(goal.urn, "" if run.preview else id, outputs)


async def _update(
    run: Deployment, goal: Goal, provider: Provider, existing: Existing, inputs: Values, plan: ResourcePlan
) -> Registered:
    old, id = existing.record, existing.id
    what = step("update", goal.urn, existing.inputs, inputs, diff=plan.detail, id=id)
    async with run.working(what):
        if goal.is_provider:
            await run.providers.configure(goal.urn, inputs)
            outputs = inputs
        else:
            if not run.preview:
                _refuse_unknown(inputs)
                await run.intend("updating", old)
            try:
                outputs = await provider.update(goal.urn, id, run.outputs(old), inputs, preview=run.preview)
            except Exception:
                run.record({"do": "settled", "urn": goal.urn})
                raise
            outputs = _outputs(goal, outputs)
        record = record_of(run, goal, inputs, outputs, id, old)
        record.update({"created": old["created"]} if "created" in old else {}, modified=now())
        _put(run, record, None)
    return Registered(goal.urn, id, outputs)


async def _replace(
    run: Deployment, goal: Goal, provider: Provider, existing: Existing, plan: ResourcePlan
) -> Registered:
    old = existing.record
    if old.get("protect") and goal.protect:
        raise deletions.protected(goal.urn, f"replaced (because of {', '.join(plan.replace_keys)})")
    inputs = await check(provider, goal, {}, goal.inputs)
    first = plan.delete_first if goal.delete_before_replace is None else goal.delete_before_replace
    replace = step(
        "replace",
        goal.urn,
        existing.inputs,
        inputs,
        diff=plan.detail,
        replace_keys=plan.replace_keys,
        id=old.get("id"),
    )
    run.replaced.add(goal.urn)
    if not first and not old.get("pendingReplacement"):
        made = await _create(run, goal, provider, inputs, existing, plan)
        run.done(replace)
        return made
    if not old.get("pendingReplacement"):
        await deletions.delete_first(run, old)
    run.gone[goal.urn] = plan.replace_keys
    run.done(replace)
    return await _create(run, goal, provider, inputs, existing, plan)


def _import_id(run: Deployment, goal: Goal, old: Record | None) -> str:
    name = goal.urn.split("::", 3)[3]
    wanted = goal.import_id or (run.imports or {}).get((goal.type, name), "")
    if old is None or not wanted or wanted in (old.get("id"), old.get("importID")):
        return wanted if old is None else ""
    raise Refused(f"{name} is in the state already, as {old.get('id')!r}, and can't be imported as {wanted!r}")


async def _import(run: Deployment, goal: Goal, provider: Provider, id: str) -> Registered:
    what = step("import", goal.urn, None, goal.inputs, id=id)
    async with run.working(what):
        there = await provider.read(goal.urn, id, {}, goal.inputs)
        if there is None:
            raise Failed(f"there is no {goal.type} {id!r} to import")
        found = _outputs(goal, there.outputs)
        inputs = await check(provider, goal, there.inputs, goal.inputs)
        differs = await provider.diff(goal.urn, there.id, found, inputs, goal.ignore_changes)
        plan = plan_of(differs, there.inputs, inputs, [])
        if plan.changed:
            raise Refused(
                f"the existing resource differs from the requested one in {', '.join(sorted(plan.detail))}",
                "make the stack file match what exists, import, then change it",
            )
        what.new, what.id = step("import", goal.urn, None, inputs).new, there.id
        record = record_of(run, goal, inputs, found, there.id, None)
        record["importID"] = id
        record["created"] = record["modified"] = now()
        _put(run, record, None)
    return Registered(goal.urn, there.id, found)


def _outputs(goal: Goal, outputs: Values) -> Values:
    hidden = {key: secret(outputs[key]) for key in goal.additional_secret_outputs if key in outputs}
    return {**outputs, **hidden} if hidden else outputs


def _refuse_unknown(inputs: Values) -> None:
    for key, value in inputs.items():
        if has_unknown(value):
            raise Failed(f"{key} is not known, though everything it depends on is done")


def _put(run: Deployment, record: Record, old: Record | None) -> None:
    run.new[record["urn"]] = record
    if record != old:
        run.record({"do": "put", "resource": record})
