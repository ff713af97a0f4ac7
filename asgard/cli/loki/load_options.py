"""The options of `loki load run`: each has its help and its place in a scenario file; flags are converted to that form."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from asgard.core.errors import WrongUsage

if TYPE_CHECKING:
    from asgard.core.document import Loc
    from asgard.loki.load.run import Senders
    from asgard.loki.load.scenario import Scenario

_LOAD = "The load, instead of a scenario file"
_WHERE = "Processes and machines"


@dataclass(frozen=True)
class Place:
    """The place of a flag's value in a scenario file, as keys from its root."""

    flag: str
    loc: Loc


def _flag(name: str, metavar: str, text: str, panel: str = _LOAD) -> Any:
    return typer.Option(name, metavar=metavar, help=text, rich_help_panel=panel)


@dataclass(frozen=True)
class LoadFlags:
    """A load from flags. None: not given, so a scenario file's default applies."""

    topic: Annotated[
        str | None,
        _flag("--topic", "NAME", "Write to a scratch topic with this topic's settings."),
        Place("--topic", ("producers", 0, "topic")),
    ] = None
    in_place: Annotated[
        bool,
        typer.Option("--in-place", help="Write to the topic itself, not to a scratch topic."),
        Place("--in-place", ("topics", 0, "in_place")),
    ] = False
    partitions: Annotated[
        int | None,
        _flag("--partitions", "N", "Of the scratch topic."),
        Place("--partitions", ("topics", 0, "partitions")),
    ] = None
    replication: Annotated[
        int | None,
        _flag("--replication", "N", "Of the scratch topic."),
        Place("--replication", ("topics", 0, "replication")),
    ] = None
    rate: Annotated[
        str | None,
        _flag("--rate", "RATE", "Records a second (open loop); default: full speed."),
        Place("--rate", ("producers", 0, "rate")),
    ] = None
    duration: Annotated[
        str | None, _flag("--duration", "TIME", "How long to send; default: 30s."), Place("--duration", ("duration",))
    ] = None
    records: Annotated[
        int | None, _flag("--records", "N", "Maximum number of records."), Place("--records", ("records",))
    ] = None
    warm_up: Annotated[
        str | None,
        _flag(
            "--warm-up",
            "TIME",
            "Warm-up: sent and checked, but not measured; default: a fifth of the duration, at most 5s; 0s: none.",
        ),
        Place("--warm-up", ("warm_up",)),
    ] = None
    producers: Annotated[
        int | None,
        _flag("--producers", "N", "Default: one per worker."),
        Place("--producers", ("producers", 0, "users")),
    ] = None
    consumers: Annotated[
        int | None,
        _flag("--consumers", "N", "Consumers, all in one group; default: none."),
        Place("--consumers", ("consumers", 0, "users")),
    ] = None
    size: Annotated[
        str | None,
        _flag("--size", "SIZE", "Size of a value; default: 1KiB."),
        Place("--size", ("producers", 0, "value", "size")),
    ] = None
    events: Annotated[
        str | None,
        _flag("--events", "KIND", "Realistic values instead of a size: rides."),
        Place("--events", ("producers", 0, "value", "events")),
    ] = None
    payload: Annotated[
        str | None,
        _flag("--payload", "FILE", "Send these records in turn, in the format of `heimdall peek --json`."),
        Place("--payload", ("producers", 0, "value", "file")),
    ] = None
    keys: Annotated[
        str | None,
        _flag("--keys", "SPREAD", "none, fixed, uniform or zipf."),
        Place("--keys", ("producers", 0, "keys", "spread")),
    ] = None
    acks: Annotated[str | None, _flag("--acks", "ACKS", "all, 1 or 0."), Place("--acks", ("producers", 0, "acks"))] = (
        None
    )
    compression: Annotated[
        str | None,
        _flag("--compression", "CODEC", "none, gzip, snappy, lz4 or zstd."),
        Place("--compression", ("producers", 0, "compression")),
    ] = None
    linger: Annotated[
        str | None,
        _flag("--linger", "TIME", "linger.ms; default: 5ms, or 100ms at full speed."),
        Place("--linger", ("producers", 0, "linger")),
    ] = None
    batch: Annotated[
        str | None,
        _flag("--batch", "SIZE", "batch.size; default: 1MB."),
        Place("--batch", ("producers", 0, "batch")),
    ] = None
    slo: Annotated[
        list[str] | None,
        _flag(
            "--slo",
            "NAME=VALUE",
            "Goal that must hold: p50, p99, p999, end_to_end, errors, rate, lost, duplicates. Repeatable.",
        ),
    ] = None

    def scenario(self, file: Path | None, assignments: list[str], workers: int, *, check: bool = True) -> Scenario:
        """The load of a file, else of these flags, without `check` unchecked. Raises WrongUsage and what reading raises."""
        from asgard.loki.load import read

        given = self._given()
        if file is not None:
            if given:
                raise WrongUsage(
                    f"{next(iter(given.values()))[0]} is for a load without a file",
                    "With a file, change values with --set KEY=VALUE.",
                )
            unchecked = [] if check else ["check=false"]
            return read.read_file(file, assignments=[*assignments, *unchecked], workers=workers)
        if self.topic is None:
            raise WrongUsage("no load given", "Name a scenario file, or a topic with --topic.")
        flags = {loc: flag for loc, (flag, _) in given.items()}
        values = self._document(given, self.topic) | ({} if check else {"check": False})
        return read.from_flags(values, flags, workers=workers)

    def _given(self) -> dict[Loc, tuple[str, Any]]:
        """All given flags and their values, by their place in a file."""
        found: dict[Loc, tuple[str, Any]] = {}
        hints = get_type_hints(LoadFlags, include_extras=True)
        for field in fields(self):
            place = next((m for m in hints[field.name].__metadata__ if isinstance(m, Place)), None)
            value = getattr(self, field.name)
            if place is not None and value is not None and value is not False:
                found[place.loc] = place.flag, int(value) if field.name == "acks" and value in ("0", "1") else value
        return found | {("slo", name): (f"--slo {name}", value) for name, value in map(_pair, self.slo or ())}

    def _document(self, given: dict[Loc, tuple[str, Any]], topic: str) -> dict[str, Any]:
        """The flags, in the form of a scenario file."""
        root: dict[str, Any] = {"producers": [{}]}
        if any(loc[0] == "topics" for loc in given):
            root["topics"] = [{"name": topic}]
        if self.consumers:
            root["consumers"] = [{"topic": topic}]
        for loc, (_, value) in given.items():
            if loc == ("consumers", 0, "users") and not self.consumers:
                continue
            node: Any = root
            for part in loc[:-1]:
                node = node[part] if isinstance(part, int) else node.setdefault(part, {})
            node[loc[-1]] = value
        return root


@dataclass(frozen=True)
class SiteFlags:
    """Processes and machines that send the load."""

    workers: Annotated[
        int, _flag("--workers", "N", "Number of sending processes; with --master, of workers to wait for.", _WHERE)
    ] = 1
    master: Annotated[
        bool, typer.Option("--master", help="Wait for workers of other machines.", rich_help_panel=_WHERE)
    ] = False
    bind: Annotated[str, _flag("--bind", "HOST", "Where a master listens.", _WHERE)] = "127.0.0.1"
    port: Annotated[int, _flag("--port", "PORT", "Where a master listens.", _WHERE)] = 5557
    worker: Annotated[str | None, _flag("--worker", "HOST:PORT", "Work for this master.", _WHERE)] = None

    @property
    def site(self) -> Senders:
        """Where a load started by this process runs."""
        from asgard.loki.load.run import Senders

        return Senders(self.workers, self.master, self.bind, self.port)


def _pair(text: str) -> tuple[str, Any]:
    from asgard.core.document import scalar

    name, equals, value = text.partition("=")
    if not equals:
        raise WrongUsage(f"--slo {text}: not a valid goal", "Write it as --slo NAME=VALUE, as in --slo p99=250ms.")
    return name.strip(), scalar(value.strip())
