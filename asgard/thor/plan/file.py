"""Plans on disk: Kafka's own reassignment JSON, with Asgard's part under the key `asgard`.

Kafka's tools can run such a file; its `asgard.undo` is the way back in the same form. Reading it gives the plan again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asgard.cluster.plan import Batch, BrokerChange, BrokerLoad, Change, DirChange, DirLoad, Plan, Spread, Unmet
from asgard.cluster.snapshot_file import without_collector
from asgard.core.errors import InvalidFile, Problem, WrongUsage
from asgard.core.paths import write_for_user
from asgard.thor.plan import given

FORMAT = "asgard.plan/v1"


def document(plan: Plan) -> dict[str, Any]:
    """The plan as it is written to a file. Batches run one after the other, each partition in the batch it names."""
    moves = [
        {"topic": c.topic, "partition": c.partition, "batch": c.batch, "bytes": c.bytes_moved, "why": c.why}
        for c in plan.changes
    ]
    forth = [(c.topic, c.partition, c.after, c.log_dirs) for c in plan.changes]
    back = [(c.topic, c.partition, c.before, c.log_dirs_before) for c in plan.changes]
    changed = {(c.topic, c.partition) for c in plan.changes}
    forth += [row for row in _within(plan, "target") if row[:2] not in changed]
    back += [row for row in _within(plan, "source") if row[:2] not in changed]
    return {
        "version": 1,
        "partitions": _reassignment(forth),
        "asgard": {
            "format": FORMAT,
            "kind": plan.kind,
            "arguments": list(plan.arguments),
            "cluster_id": plan.cluster_id,
            "taken_at": plan.taken_at,
            "summary": {
                "partitions": plan.moved,
                "bytes_moved": plan.bytes_moved,
                "lower_bound_bytes": plan.lower_bound_bytes,
                "seconds": round(plan.seconds, 1),
                "throttle_bytes_per_s": plan.throttle_bytes_per_s,
                "spread_before": asdict(plan.spread_before),
                "spread_after": asdict(plan.spread_after),
            },
            "limits": plan.limits,
            "unmet": [asdict(u) for u in plan.unmet],
            "notes": list(plan.notes),
            "batches": [asdict(b) for b in plan.batches],
            "brokers": [asdict(b) for b in plan.brokers],
            "moves": moves,
            **({"directory_moves": [asdict(c) for c in plan.dir_changes]} if plan.dir_changes else {}),
            **({"log_dirs": [asdict(d) for d in plan.log_dirs]} if plan.log_dirs else {}),
            "undo": {"version": 1, "partitions": _reassignment(back)},
        },
    }


def write(plan: Plan, path: Path | str) -> None:
    """Write the plan atomically."""
    with without_collector():
        write_for_user(Path(path), encoded(document(plan)))


def encoded(root: dict[str, Any]) -> bytes:
    """The document as JSON, one partition, batch or broker per line: to read, compare and grep."""
    import msgspec

    encode = msgspec.json.encode

    def level(value: dict[str, Any], indent: bytes) -> bytes:
        entries = []
        for key, item in value.items():
            if isinstance(item, list) and item and isinstance(item[0], dict):
                lines = (b",\n" + indent + b"  ").join(encode(i) for i in item)
                text = b"[\n" + indent + b"  " + lines + b"\n" + indent + b"]"
            elif isinstance(item, dict) and any(isinstance(v, list | dict) for v in item.values()):
                text = level(item, indent + b" ")
            else:
                text = encode(item)
            entries.append(indent + encode(key) + b": " + text)
        return b"{\n" + b",\n".join(entries) + b"\n" + indent[1:] + b"}"

    return level(root, b" ") + b"\n"


def read(path: Path | str) -> Plan:
    """Read a plan that Asgard wrote. Raises WrongUsage (can't be read) and InvalidFile (not such a plan)."""
    found = read_any(path)
    if not isinstance(found, Plan):
        what = f"is a reassignment that another tool wrote, without the key `asgard` ({FORMAT})"
        raise _invalid(Path(path), f"{what}; `asgard thor apply` takes it")
    return found


def read_any(path: Path | str) -> Plan | tuple[given.WantedReplicas, ...]:
    """Read a plan of Asgard, or a reassignment in Kafka's own form. Raises WrongUsage and InvalidFile."""
    import msgspec

    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WrongUsage(
            f"{path}: can't be read: {error.strerror}", "Name a file that `thor plan … --out` wrote."
        ) from error
    try:
        with without_collector():
            root = msgspec.json.decode(data)
            if isinstance(root, dict) and "asgard" not in root:
                return _given(root, path)
            return _plan(root)
    except msgspec.MsgspecError as error:
        raise _invalid(path, f"is not JSON of a plan: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _invalid(path, f"is not an Asgard plan ({FORMAT}): {error}") from error


def _given(root: dict[str, Any], path: Path) -> tuple[given.WantedReplicas, ...]:
    try:
        return given.parse(root)
    except ValueError as error:
        raise _invalid(path, f"is neither an Asgard plan nor a Kafka reassignment: {error}") from error


Row = tuple[str, int, tuple[int, ...], tuple[str, ...]]
"""A partition, its replicas, and their directories (empty if none are named)."""


def _within(plan: Plan, end: str) -> list[Row]:
    """One row per partition for the replicas that go to another directory of their broker."""
    named: dict[tuple[str, int], dict[int, str]] = {}
    replicas: dict[tuple[str, int], tuple[int, ...]] = {}
    for c in plan.dir_changes:
        replicas[c.topic, c.partition] = c.replicas
        named.setdefault((c.topic, c.partition), {})[c.broker] = getattr(c, end)
    return [(*key, there, tuple(named[key].get(r, "") for r in there)) for key, there in replicas.items()]


def _reassignment(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """As Kafka's tools read it: `any` is a directory that Kafka chooses."""
    return [
        {"topic": t, "partition": p, "replicas": list(replicas)}
        | ({"log_dirs": [d or "any" for d in dirs]} if any(dirs) else {})
        for t, p, replicas, dirs in rows
    ]


def _paths(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple("" if d == "any" else d for d in row.get("log_dirs") or ())


def _plan(root: dict[str, Any]) -> Plan:
    part = root["asgard"]
    if part["format"] != FORMAT:
        raise ValueError(f"its format is {part['format']!r}")
    before = {(u["topic"], u["partition"]): tuple(u["replicas"]) for u in part["undo"]["partitions"]}
    after = {(a["topic"], a["partition"]): tuple(a["replicas"]) for a in root["partitions"]}
    to = {(a["topic"], a["partition"]): _paths(a) for a in root["partitions"]}
    back_to = {(u["topic"], u["partition"]): _paths(u) for u in part["undo"]["partitions"]}
    within = tuple(DirChange(**{**c, "replicas": tuple(c["replicas"])}) for c in part.get("directory_moves", ()))
    if {(m["topic"], m["partition"]) for m in part["moves"]} | {(c.topic, c.partition) for c in within} != after.keys():
        raise ValueError("its partitions and moves disagree")
    changes = tuple(
        Change(
            m["topic"],
            m["partition"],
            before[m["topic"], m["partition"]],
            after[m["topic"], m["partition"]],
            m["bytes"],
            m["batch"],
            m["why"],
            to[m["topic"], m["partition"]],
            back_to[m["topic"], m["partition"]],
        )
        for m in part["moves"]
    )
    brokers = tuple(
        BrokerChange(**{**b, "before": BrokerLoad(**b["before"]), "after": BrokerLoad(**b["after"])})
        for b in part["brokers"]
    )
    summary = part["summary"]
    return Plan(
        part["kind"],
        tuple(part["arguments"]),
        part["cluster_id"],
        part["taken_at"],
        changes,
        tuple(Batch(**b) for b in part["batches"]),
        brokers,
        Spread(**summary["spread_before"]),
        Spread(**summary["spread_after"]),
        tuple(Unmet(**{**u, "subjects": tuple(u["subjects"])}) for u in part["unmet"]),
        tuple(part["notes"]),
        summary["throttle_bytes_per_s"],
        summary["lower_bound_bytes"],
        part["limits"],
        within,
        tuple(DirLoad(**d) for d in part.get("log_dirs", ())),
    )


def _invalid(path: Path, message: str) -> InvalidFile:
    return InvalidFile([Problem(str(path), 1, 1, "", message)])
