"""Deletions: what the program no longer names, what was replaced, everything (`destroy`), and what must go before a replacement.

A resource is deleted once everything that depends on it is gone; resources that don't depend on each other are deleted
in parallel. Whatever a protected or undeletable resource needs is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from asgard.core.errors import Refused
from asgard.odin.engine import graph
from asgard.odin.engine.deployment import Deployment, Skipped, step
from asgard.odin.engine.graph import Record
from asgard.odin.engine.steps import PROVIDER_PREFIX, Op
from asgard.odin.resources.values import UNKNOWN, Values


def protected(urn: str, what: str) -> Refused:
    """The refusal to lose a protected resource."""
    return Refused(
        f"{urn.split('::', 3)[3]} is protected and would be {what}",
        "set `protect: false` for it and run `asgard odin up`, then try again",
    )


async def delete_unnamed(run: Deployment) -> None:
    """After the program: delete what it did not name, and what was replaced."""
    doomed = [record for urn, record in run.old.items() if urn not in run.seen and urn not in run.gone]
    doomed += await claimed(run)
    replaced = list(run.state.retired)
    if run.preview:
        replaced += [run.old[urn] for urn in run.replaced if urn not in run.gone]
    for urn in run.gone:
        if urn not in run.seen:
            run.record({"do": "drop", "urn": urn})
    await delete_all(run, [*doomed, *replaced], len(doomed))


async def claimed(run: Deployment) -> list[Record]:
    """Creations that an interrupted run began and the program no longer names, added to the state so that they can be deleted.

    Only the provider can tell whether such a resource was created, and only by creating (or adopting) it.
    """
    found: list[Record] = []
    for urn, (kind, begun) in list(run.state.pending.items()):
        if kind != "creating" or urn in run.state.live or urn in run.seen:
            continue
        name = urn.split("::", 3)[3]
        if run.preview:
            run.result.warnings.append(f"an interrupted run may have created {name}: the next `up` deletes it")
            continue
        try:
            provider = await run.provider(graph.provider_urn(begun))
            made = await provider.create(urn, run.inputs(begun), preview=False)
        except Refused:
            run.record({"do": "settled", "urn": urn})
            continue
        except Exception as error:
            run.fail(urn, error)
            continue
        found.append({**begun, "id": made.id, "outputs": run.vault.encode(urn, made.outputs)})
        run.record({"do": "put", "resource": found[-1]})
    return found


async def delete_all(run: Deployment, records: Sequence[Record], named: int) -> None:
    """Delete records, dependents first. Those from position `named` on were replaced."""
    waits = graph.waits(records)
    doomed = {record["urn"] for record in records[:named]}
    tasks: list[asyncio.Task[bool]] = []
    started = asyncio.Event()

    async def one(index: int) -> bool:
        await started.wait()
        gone = await asyncio.gather(*(tasks[other] for other in waits[index]))
        record = records[index]
        try:
            if not all(gone):
                raise Skipped
            await _delete(
                run, record, "delete" if index < named else "delete-replaced", record.get("deletedWith") in doomed
            )
        except Exception as error:
            run.fail(record["urn"], error)
            return False
        return True

    tasks.extend(asyncio.ensure_future(one(index)) for index in range(len(records)))
    started.set()
    await asyncio.gather(*tasks)


async def _delete(run: Deployment, record: Record, op: Op, with_another: bool) -> None:
    urn, replaced = record["urn"], op == "delete-replaced"
    drop = {"do": "drop-retired" if replaced else "drop", "urn": urn, "id": record.get("id")}
    if record.get("pendingReplacement"):
        run.done(step("remove-pending-replace", urn, id=record.get("id")))
        run.record(drop)
        return
    what = step(op, urn, run.inputs(record) if record.get("custom") else None, id=record.get("id"))
    if record.get("protect") and not replaced:
        if run.preview:
            run.done(what)
        raise protected(urn, "deleted")
    async with run.working(what):
        if not with_another:
            await _call(run, record)
        run.record(drop)


async def _call(run: Deployment, record: Record) -> None:
    """Have the provider delete it; components, providers, and kept or foreign resources need no call."""
    own = record.get("custom") and not record["type"].startswith(PROVIDER_PREFIX)
    if run.preview or not own or record.get("retainOnDelete") or record.get("external"):
        return
    provider = await run.provider(graph.provider_urn(record))
    await run.intend("deleting", record)
    try:
        await provider.delete(record["urn"], record["id"], run.outputs(record))
    except Exception:
        run.record({"do": "settled", "urn": record["urn"]})
        raise


async def delete_first(run: Deployment, root: Record) -> None:
    """Delete a resource before its replacement is created, and before it the dependents that its replacement would
    replace too."""
    condemned = await _replaced_with(run, root)
    for record, keys in reversed(condemned):
        if record.get("protect"):
            raise protected(record["urn"], f"replaced together with {root['urn'].split('::', 3)[3]}")
        await _delete_pending(run, record)
        run.gone[record["urn"]] = keys
    await _delete_pending(run, root)


async def _delete_pending(run: Deployment, record: Record) -> None:
    """Delete it; until its replacement is created, the state records that one is due."""
    what = step("delete-replaced", record["urn"], run.inputs(record), id=record.get("id"))
    async with run.working(what):
        await _call(run, record)
        run.record({"do": "put", "resource": {**record, "pendingReplacement": True}})


async def _replaced_with(run: Deployment, root: Record) -> list[tuple[Record, list[str]]]:
    """Dependents (in dependency order) that would be replaced if the values they take from a replaced resource became
    unknown."""
    replaced = {root["urn"]}
    found: list[tuple[Record, list[str]]] = []
    for record in graph.in_order(list(run.old.values())):
        if not record.get("custom") or record["urn"] in run.seen or record["urn"] in run.gone:
            continue
        if graph.provider_urn(record) in replaced or record.get("deletedWith") in replaced:
            found.append((record, ["provider"]))
            replaced.add(record["urn"])
            continue
        touched = [key for key, urns in record.get("propertyDependencies", {}).items() if replaced.intersection(urns)]
        if not touched or record["type"].startswith(PROVIDER_PREFIX):
            continue
        provider = await run.provider(graph.provider_urn(record))
        inputs: Values = {**run.inputs(record), **dict.fromkeys(touched, UNKNOWN)}
        ignored = record.get("ignoreChanges", [])
        differs = await provider.diff(record["urn"], record["id"], run.outputs(record), inputs, ignored)
        if differs.replaces:
            found.append((record, list(differs.replaces)))
            replaced.add(record["urn"])
    return found
