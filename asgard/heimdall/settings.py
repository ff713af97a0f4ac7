"""`heimdall.yaml` read as a whole, with the teams' own files beside it (`heimdall.d/*.yaml`): thresholds, owners, rules, receivers.

A team's file adds receivers and subscriptions only; its receivers carry the file's name before theirs (`payments/pager`), so that
two teams may use the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgard.core.errors import InvalidFile, Problem
from asgard.core.mail import MailServer
from asgard.heimdall.alerts.model import AlertRule, Receiver, Subscription
from asgard.heimdall.lag import rules as lag_rules
from asgard.heimdall.lag.model import Thresholds
from asgard.heimdall.owners import Owners, Ownership

if TYPE_CHECKING:
    from asgard.core.document import Document
    from asgard.core.schema.alerts import ReceiverEntry, RuleEntry, SubscriptionEntry, TeamFile

TEAMS = "heimdall.d"
_NEEDS = {
    "webhook": ("url", "url_file"),
    "slack": ("url", "url_file"),
    "alertmanager": ("url", "url_file"),
    "pagerduty": ("key_file",),
    "email": ("to",),
    "command": ("command",),
}
_WITHIN, _ABOVE = frozenset({"data-loss", "disk-full"}), frozenset({"time-lag", "under-replicated", "audit-loss"})
_DURATION = frozenset({"time-lag"})


@dataclass(frozen=True)
class HeimdallSettings:
    """What `heimdall.yaml` says; without one, the defaults and no rules."""

    thresholds: Callable[[str], Thresholds] = lambda group: Thresholds()
    owners: Owners = field(default_factory=Owners)
    rules: tuple[AlertRule, ...] = ()
    receivers: tuple[Receiver, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    mail: MailServer | None = None
    max_series: int = 50_000
    partition_series: bool = True


def load(path: Path | None) -> HeimdallSettings:
    """The file's settings, or those of heimdall.yaml in the working directory if it exists. Raises WrongUsage and InvalidFile."""
    from asgard.core import yaml
    from asgard.core.schema.alerts import TeamFile, WatchFile
    from asgard.core.schema.validate import check

    chosen = path or Path(lag_rules.FILE)
    if path is None and not chosen.is_file():
        return HeimdallSettings()
    document = yaml.read(chosen)
    checked = check(document, WatchFile)
    problems = list(checked.problems)
    found = checked.value
    if problems or found is None:
        raise InvalidFile(problems)
    receivers, subscriptions = _told(document, found, "", problems)
    for file in sorted((chosen.parent / TEAMS).glob("*.yaml")):
        team = yaml.read(file)
        theirs = check(team, TeamFile)
        problems += theirs.problems
        if theirs.value is not None and not theirs.problems:
            more = _told(team, theirs.value, f"{file.stem}/", problems)
            receivers, subscriptions = receivers + more[0], subscriptions + more[1]
    rules = tuple(_rule(document, i, entry, problems) for i, entry in enumerate(found.rules))
    _refuse_twice(document, "rules", [r.name for r in rules], problems)
    if any(r.kind == "email" for r in receivers) and found.mail is None:
        problems.append(document.problem((), "has receivers of kind email and no mail: with host and from"))
    if problems:
        raise InvalidFile(problems)
    return HeimdallSettings(
        thresholds=lag_rules.load(chosen),
        owners=Owners(tuple(Ownership(o.owner, tuple(o.topics), tuple(o.groups)) for o in found.owners)),
        rules=rules,
        receivers=receivers,
        subscriptions=subscriptions,
        mail=_mail(found.mail),
        max_series=found.metrics.max_series,
        partition_series=found.metrics.partitions,
    )


def _rule(document: Document, number: int, entry: RuleEntry, problems: list[Problem]) -> AlertRule:
    def wrong(key: str, text: str) -> None:
        problems.append(document.problem(("rules", number, key), text))

    above = None
    if entry.above is not None and entry.when not in _ABOVE:
        wrong("above", f"says nothing for {entry.when}" + ("; meant is within" if entry.when in _WITHIN else ""))
    elif entry.above is not None:
        try:
            above = _above(entry.when, entry.above)
        except ValueError as error:
            wrong("above", str(error))
    if entry.within is not None and entry.when not in _WITHIN:
        wrong("within", f"says nothing for {entry.when}" + ("; meant is above" if entry.when in _ABOVE else ""))
    return AlertRule(
        entry.name, entry.when, tuple(entry.groups), tuple(entry.topics), above, entry.within, entry.for_, entry.clear,
        entry.severity, dict(entry.labels), entry.drills == "silence",
    )  # fmt: skip


def _above(kind: str, value: Any) -> float:
    from asgard.core.document import shown
    from asgard.core.schema.fields import seconds

    if kind in _DURATION:
        return seconds(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"is {shown(value)}; allowed is a whole number, 0 or more")
    return float(value)


def _told(
    document: Document, found: TeamFile, prefix: str, problems: list[Problem]
) -> tuple[tuple[Receiver, ...], tuple[Subscription, ...]]:
    names = [r.name for r in found.receivers]
    _refuse_twice(document, "receivers", names, problems)
    for number, entry in enumerate(found.receivers):
        _check_receiver(document, number, entry, problems)
    for number, one in enumerate(found.subscriptions):
        if one.receiver not in names:
            known = ", ".join(names) or "none yet"
            problems.append(
                document.problem(
                    ("subscriptions", number, "receiver"), f"is {one.receiver}; receivers of this file are {known}"
                )
            )
    return (
        tuple(_receiver(prefix, r) for r in found.receivers),
        tuple(_subscription(prefix, s) for s in found.subscriptions),
    )


def _check_receiver(document: Document, number: int, entry: ReceiverEntry, problems: list[Problem]) -> None:
    needs = _NEEDS[entry.kind]
    if not any(getattr(entry, key) for key in needs):
        problems.append(
            document.problem(("receivers", number), f"is of kind {entry.kind} and needs {' or '.join(needs)}")
        )
    others = (
        {key for keys in _NEEDS.values() for key in keys}
        - set(needs)
        - ({"url"} if entry.kind == "pagerduty" else set())
    )
    for key in sorted(others):
        if getattr(entry, key):
            problems.append(document.problem(("receivers", number, key), f"says nothing for kind {entry.kind}"))


def _receiver(prefix: str, entry: ReceiverEntry) -> Receiver:
    return Receiver(
        prefix + entry.name, entry.kind, entry.url, entry.url_file, entry.key_file, tuple(entry.to),
        tuple(entry.command or ()), entry.timeout,
    )  # fmt: skip


def _subscription(prefix: str, entry: SubscriptionEntry) -> Subscription:
    where = {name: tuple(values) for name, values in entry.where.items()}
    return Subscription(prefix + entry.receiver, where, entry.cleared)


def _mail(entry: Any) -> MailServer | None:
    if entry is None:
        return None
    return MailServer(entry.host, entry.port, entry.sender, entry.starttls, entry.user, entry.password_file)


def _refuse_twice(document: Document, section: str, names: Sequence[str], problems: list[Problem]) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            problems.append(
                document.problem((section, number, "name"), f"is {name}, as one before it; names are unique")
            )
