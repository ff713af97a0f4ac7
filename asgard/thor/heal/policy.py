"""What a cluster's owner lets Thor do by itself, read from the `policy:` of `thor.yaml`. Times are seconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from asgard.core.errors import InvalidFile


@dataclass(frozen=True)
class Restart:
    """A dead node is started `attempts` times per absence; each start may take `wait_s`."""

    attempts: int = 2
    wait_s: float = 90.0


@dataclass(frozen=True)
class Flapping:
    """A broker flaps if it was lost `times` times within `within_s`."""

    times: int = 3
    within_s: float = 1800.0


@dataclass(frozen=True)
class Recipient:
    """Whom to notify: a web hook or a command. A try takes at most `timeout_s`; `retries` follow the first."""

    webhook: str | None = None
    command: tuple[str, ...] = ()
    timeout_s: float = 5.0
    retries: int = 3

    def __str__(self) -> str:
        """Without the path of the web hook, which may hold a token."""
        return self.command[0] if self.command else "/".join((self.webhook or "").split("/")[:3])


@dataclass(frozen=True)
class Policy:
    """See docs/thor-heal.md. Windows of `quiet_hours` have the same form as those of limits."""

    grace_s: float = 300.0
    restart: Restart = Restart()
    replace: bool = False
    max_dead: int | None = None
    quiet_hours: tuple[str, ...] = ()
    flapping: Flapping = Flapping()
    notify: tuple[Recipient, ...] = ()
    leaders: bool = True
    limits: bool = True
    balance: bool = False
    dry_run: bool = False
    foreign_moves: Literal["end", "tell"] = "end"

    def most_dead(self, brokers: int) -> int:
        """With this many brokers, how many may be gone at once and still be healed."""
        return self.max_dead if self.max_dead is not None else max(1, brokers // 10)


def read(path: Path | str) -> Policy:
    """The `policy:` of a YAML file; the defaults if it has none. Raises InvalidFile and WrongUsage."""
    from asgard.core import yaml
    from asgard.core.schema.policy import PolicyFile
    from asgard.core.schema.validate import check

    checked = check(yaml.read(path), PolicyFile)
    if checked.problems or checked.value is None:
        raise InvalidFile(checked.problems)
    p = checked.value.policy
    return Policy(
        p.grace,
        Restart(p.restart.attempts, p.restart.wait),
        p.replace,
        p.max_dead,
        tuple(p.quiet_hours),
        Flapping(p.flapping.times, p.flapping.within),
        tuple(Recipient(n.webhook, tuple(n.command or ()), n.timeout, n.retries) for n in p.notify),
        p.leaders,
        p.limits,
        p.balance,
        p.dry_run,
        p.foreign_moves,
    )
