"""What a preview or an update looks like: counts, and a line for each change, in the style of Pulumi.

Pure: steps in, text or plain data out. What deletes data is marked.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from asgard.core.console import style
from asgard.core.units import format_size
from asgard.odin.engine.steps import Result, Step
from asgard.odin.resources.checks import release_of
from asgard.odin.resources.dataloss import Loss
from asgard.odin.resources.kinds import CLUSTER, READY

_SIGNS: dict[str, tuple[str, str, str]] = {
    "create": ("+", "green", "to create"),
    "update": ("~", "yellow", "to update"),
    "replace": ("+-", "yellow", "to replace"),
    "delete": ("-", "red", "to delete"),
    "import": ("=", "cyan", "to import"),
    "read": (">", "cyan", "to read"),
}
_DONE = {
    "create": "created",
    "update": "updated",
    "replace": "replaced",
    "delete": "deleted",
    "import": "imported",
    "read": "read",
}
_SHOWN = 200
_TYPE, _WIDEST = 22, 60
"""Columns of a type: minimum and maximum."""


def changes(result: Result) -> list[Step]:
    """The steps worth a line: those that change something outside the state."""
    return [step for step in result.steps if step.op in _SIGNS and not step.is_bookkeeping]


def text(result: Result, losses: Sequence[Loss] = (), *, done: bool = False) -> str:
    """The changes for people, one block each, then what they lose, then the counts."""
    steps = changes(result)
    width = min(_WIDEST, max([_TYPE, *(len(step.type) for step in steps[:_SHOWN])]))
    lines = [line for step in steps[:_SHOWN] for line in block(step, width)]
    if len(steps) > _SHOWN:
        lines.append(f"  … and {len(steps) - _SHOWN} more (--json shows all)")
    for sentence in [*map(loss_sentence, losses), *one_way(result)]:
        lines.append(style(f"  ! {sentence}", "bold", "red"))
    if lines:
        lines.append("")
    return "\n".join([*lines, counts(result, done=done)])


def loss_sentence(loss: Loss) -> str:
    """What a change deletes of a topic, why, and which groups have not read it yet."""
    size = "" if loss.bytes is None else f" ({format_size(loss.bytes)})"
    unread = f"; not read yet by {', '.join(loss.unread_by)}" if loss.unread_by else ""
    return f"{loss.topic} loses up to {loss.records:,} records{size}: {'; '.join(loss.why)}{unread}"


def one_way(result: Result) -> list[str]:
    """The parts of a plan that can't be undone, or that cut clients off: feature levels that rise with the release (4.2
    to 4.3, not 4.3.0 to 4.3.1), and listeners without TLS that close in one go."""
    found = []
    for step in result.steps:
        old, new = (str((values or {}).get("version")) for values in (step.old, step.new))
        later = step.type == READY and (step.new or {}).get("raisesLevels") is False
        if (step.type == CLUSTER or later) and step.op == "update" and release_of(old) != release_of(new):
            found.append(
                f"the feature levels of {step.name} (metadata.version and others) rise to those of Kafka {new}: "
                f"there is no way back from there to {old}"
            )
        without, with_tls = ((values or {}).get("tls") or "off" for values in (step.old, step.new))
        if step.type == CLUSTER and step.op == "update" and (without, with_tls) == ("off", "on"):
            found.append(
                f"`tls: true` closes the listeners that clients of {step.name} use now; with `tls: optional` they stay open "
                "until every client has its new client.properties"
            )
    return found


def block(step: Step, width: int = _TYPE) -> list[str]:
    """One change: its sign, type and name, and each property that changes."""
    sign, colour, _ = _SIGNS[step.op]
    lines = [style(f"{sign:>3} {step.type:<{width}} {step.name}", colour)]
    if step.op in ("update", "replace"):
        for path, kind in step.diff.items():
            old, new = lookup(step.old, path), lookup(step.new, path)
            if path == "running":  # of a node: observed, not declared
                old, new = False, True
            elif path == "certificate":
                old, new = "due", "valid"
            elif path == "userData":  # base64 of a compressed script
                old, new = "a script", "another script"
            forces = "  (forces a replacement)" if kind.endswith("replace") else ""
            lines.append(
                f"      {_SIGNS.get(kind.removesuffix('-replace'), ('~',))[0]} {path}: {_value(old)} → {_value(new)}{forces}"
            )
    return lines


def counts(result: Result, *, done: bool = False) -> str:
    """`+ 3 to create, ~ 1 to update, 12 unchanged`."""
    steps = changes(result)
    parts = []
    for op, (sign, _, word) in _SIGNS.items():
        number = sum(step.op == op for step in steps)
        if number:
            parts.append(f"{sign} {number} {_DONE[op] if done else word}")
    unchanged = result.counts.get("same", 0)
    if not parts:
        return f"No changes; {unchanged} resources are as they should be."
    return ", ".join([*parts, f"{unchanged} unchanged"])


def document(result: Result, losses: Collection[Loss] = ()) -> dict[str, Any]:
    """The same for programs."""
    return {
        "changes": [step.as_json() for step in changes(result)],
        "counts": result.counts,
        "losses": list(losses),
        "one_way": one_way(result),
        "errors": [
            {
                "resource": failure.name,
                "what": failure.message,
                "hint": failure.hint,
                "exit_code": int(failure.exit_code),
            }
            for failure in result.errors
        ],
        "skipped": result.skipped,
    }


def lookup(values: Any, path: str) -> Any:
    """The value at a property path (`config["retention.ms"]`, `nodes[0].id`); None if there is none."""
    import re

    for key, quoted, index in re.findall(r'([^.\[\]"]+)|\["([^"]*)"\]|\[(\d+)\]', path):
        if index:
            values = values[int(index)] if isinstance(values, list) and int(index) < len(values) else None
        else:
            values = values.get(key or quoted) if isinstance(values, dict) else None
    return values


def _value(value: Any) -> str:
    if value is None:
        return "(none)"
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}…"
