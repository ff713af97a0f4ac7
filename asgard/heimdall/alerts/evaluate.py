"""From what is seen and the previous states of alerts to their new states and what changed. Pure.

An alert is raised once when its rule has held for `for`, however often it is evaluated; it is cleared when the rule has not held
for `clear`. If nothing is known, it stays as it is. In a drill, a rule that says so raises nothing; what still holds when the
drill is over is raised then. An alert that goes further than when it was raised is cleared, and raised with another id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from math import inf

from asgard.heimdall.alerts import conditions
from asgard.heimdall.alerts.model import (
    AlertRule,
    AlertState,
    Evaluation,
    RuleMatch,
    Seen,
    Subscription,
    Transition,
    Verdicts,
)
from asgard.heimdall.owners import Owners

States = Mapping[tuple[str, str], AlertState]


def evaluate(rules: Sequence[AlertRule], seen: Seen, former: States, owners: Owners, now: float) -> Evaluation:
    """One evaluation of all rules."""
    states: dict[tuple[str, str], AlertState] = {}
    changes: list[Transition] = []
    silenced: list[AlertState] = []
    by_rule: dict[str, list[AlertState]] = {}
    for state in former.values():
        by_rule.setdefault(state.rule, []).append(state)
    for rule in rules:
        verdicts = conditions.judge(rule, seen, owners)
        silent = rule.silent_in_drills and seen.drill is not None
        for finding in verdicts.holds:
            before = former.get((rule.name, finding.subject))
            state, raised = _held(rule, finding, before, silent, now)
            states[state.key] = state
            if raised:
                if before is not None and before.phase == "raised":  # receivers know it by its old id
                    changes.append(Transition("cleared", before, now, "it goes further, and is raised again"))
                changes.append(Transition("raised", state, now, state.text))
            if silent and state.phase == "pending":
                silenced.append(state)
        for state in by_rule.pop(rule.name, ()):
            if state.key in states:
                continue
            kept, cleared = _not_held(rule, state, verdicts, now)
            if kept is not None:
                states[kept.key] = kept
            if cleared:
                changes.append(Transition("cleared", state, now, "it no longer holds"))
    for gone in by_rule.values():
        changes += [Transition("cleared", s, now, "its rule is gone") for s in gone if s.phase == "raised"]
    return Evaluation(states, tuple(changes), tuple(silenced))


def _held(
    rule: AlertRule, finding: RuleMatch, before: AlertState | None, silent: bool, now: float
) -> tuple[AlertState, bool]:
    """The state of an alert whose rule holds, and whether it is raised just now."""
    labels = {**finding.labels, **rule.labels, "rule": rule.name, "kind": rule.kind, "severity": rule.severity}
    state = AlertState(
        rule.name, finding.subject, "pending", now, finding.text, finding.value, labels, extent=finding.extent
    )
    if before is not None:
        state = replace(before, text=finding.text, value=finding.value, labels=labels, well_since=None)
        if not _covers(before.extent, finding.extent):
            state = replace(state, extent=finding.extent)
            if state.phase == "raised":
                return replace(state, raised_at=now), True
    if state.phase == "pending" and not silent and now - state.since >= rule.for_s:
        return replace(state, phase="raised", raised_at=now), True
    return state, False


def _covers(before: Mapping[str, float], now: Mapping[str, float]) -> bool:
    """Whether the earlier extent covers the current one: it begins no later, ends no earlier, and is no less."""
    return all(
        before.get(name, inf) <= now[name] if name == "from" else before.get(name, -inf) >= now[name] for name in now
    )


def _not_held(rule: AlertRule, state: AlertState, verdicts: Verdicts, now: float) -> tuple[AlertState | None, bool]:
    """The state of an alert whose rule does not hold, or is not known to: kept, or cleared."""
    if verdicts.unknown is None or state.subject in verdicts.unknown:
        return state, False
    if state.phase == "pending":
        return None, False
    since = now if state.well_since is None else state.well_since
    if now - since >= rule.clear_s:
        return None, True
    return replace(state, well_since=since), False


def receivers_of(transition: Transition, subscriptions: Iterable[Subscription]) -> list[str]:
    """The receivers of a transition, each once."""
    labels = transition.state.labels
    found: dict[str, None] = {}
    for one in subscriptions:
        if transition.what == "cleared" and not one.cleared:
            continue
        if all(any(fnmatchcase(labels.get(name, ""), p) for p in wanted) for name, wanted in one.where.items()):
            found[one.receiver] = None
    return list(found)
