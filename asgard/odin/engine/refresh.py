"""Refresh: read every resource in the state as it really is now, and record the result."""

from __future__ import annotations

import asyncio

from asgard.odin.engine import diff, graph
from asgard.odin.engine.deployment import Deployment, step
from asgard.odin.engine.graph import Record
from asgard.odin.engine.state import now
from asgard.odin.engine.steps import PROVIDER_PREFIX
from asgard.odin.resources.values import secret


async def refresh_all(run: Deployment) -> None:
    """Read every resource, in parallel. One that is gone is removed from the state (`delete`); one that differs is
    updated there (`refresh`)."""
    own = [
        record
        for record in run.old.values()
        if record.get("custom")
        and not record["type"].startswith(PROVIDER_PREFIX)
        and not record.get("pendingReplacement")
    ]
    await asyncio.gather(*(_one(run, record) for record in own))


async def _one(run: Deployment, record: Record) -> None:
    try:
        await _refresh(run, record)
    except Exception as error:
        run.fail(record["urn"], error)


async def _refresh(run: Deployment, record: Record) -> None:
    urn, id = record["urn"], record["id"]
    inputs, outputs = run.inputs(record), run.outputs(record)
    provider = await run.provider(graph.provider_urn(record))
    there = await provider.read(urn, id, outputs, inputs)
    if there is None:
        run.done(step("delete", urn, inputs, id=id))
        run.record({"do": "drop", "urn": urn})
        return
    found = there.outputs
    hidden = {key: secret(found[key]) for key in record.get("additionalSecretOutputs", ()) if key in found}
    found = {**found, **hidden}
    changed = diff.differences(outputs, found)
    if not changed:
        run.done(step("same", urn, id=id))
        return
    fresh = dict(record)
    fresh["outputs"] = found if run.preview else run.vault.encode(urn, found)
    fresh["id"] = there.id
    if there.inputs:
        fresh["inputs"] = there.inputs if run.preview else run.vault.encode(urn, there.inputs)
    fresh["modified"] = now()
    run.done(step("refresh", urn, outputs, found, diff=changed, id=id))
    run.record({"do": "put", "resource": fresh})
