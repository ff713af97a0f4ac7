"""YAML files with the line and column of every key and value, read the way people mean them.

Scalars are YAML 1.2's with decimal numbers and lower-case `true`, `false`, `null`; everything else is text, so `22:00`,
`on` and `yes` stay text. A number keeps its text (`document.text_of`), so the version `4.10` is not `4.1`. Keys are
always text. Refused, each with its place: duplicate keys, tags, merge keys, several documents, aliases without bound.

`${env:NAME}` and `${file:PATH}` inside a value are replaced (`$${` is a plain `${`); PATH is relative to the file. A
value that is just one such reference is read like a scalar written in its place, else it is text. Inserted text is not
expanded again.

libyaml's events are read directly: composing its nodes first takes several times as long.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from yaml.error import MarkedYAMLError, YAMLError
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from asgard.core.document import Document, Map, Place, Seq, scalar
from asgard.core.errors import InvalidFile, Problem, WrongUsage

MAX_BYTES = 64 * 1024 * 1024
MAX_REFERENCED_BYTES = 1024 * 1024
MAX_ALIASED = 100_000
MAX_DEPTH = 100
_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read(path: Path | str, *, references: bool = True) -> Document:
    """Read one YAML file; without `references`, `${…}` is kept as it is.

    Raises InvalidFile (not UTF-8, not YAML, empty) and WrongUsage (can't be read at all).
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise WrongUsage(f"{path}: is a directory or a device, not a file")
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise WrongUsage(f"{path}: is larger than {MAX_BYTES} bytes")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise WrongUsage(f"{path}: can't be read: {reason}", "Name the file with -f FILE.") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        raise InvalidFile([_at_offset(str(path), before, len(before), "is not UTF-8 text")]) from error
    return read_text(text, str(path), path.parent, references=references)


def read_text(text: str, file: str, folder: Path | None = None, *, references: bool = True) -> Document:
    """Read YAML text; `file` names it in messages, `folder` is where `${file:…}` starts from. Raises InvalidFile."""
    bad = _UNPRINTABLE.search(text)
    if bad:
        raise InvalidFile([_at_offset(file, text, bad.start(), f"has the control character {bad[0]!r}")])
    document = Document(file, None, None)
    try:
        _Builder(document, folder or Path(), references).build(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise InvalidFile([*document.problems, Problem(file, *where, "", _sentence(error, text))]) from error
    except YAMLError as error:
        raise InvalidFile([*document.problems, Problem(file, 1, 1, "", f"is not YAML: {error}")]) from error
    if document.at is None:
        raise InvalidFile([Problem(file, 1, 1, "", "is empty")])
    return document


def _at_offset(file: str, text: str, offset: int, message: str) -> Problem:
    line_start = text.rfind("\n", 0, offset) + 1
    return Problem(file, text.count("\n", 0, offset) + 1, offset - line_start + 1, "", message)


def _sentence(error: MarkedYAMLError, text: str) -> str:
    if error.problem_mark:
        lines = text.splitlines()
        line = lines[error.problem_mark.line] if error.problem_mark.line < len(lines) else ""
        if re.match(r" *\t", line):
            return "is not YAML: a tab indents this line; allowed are spaces"
    return "is not YAML: " + ", ".join(str(part) for part in (error.problem, error.context) if part)


def _events(text: str) -> Iterator[Event]:
    try:
        from yaml._yaml import CParser

        parser: Any = CParser(text)
    except ImportError:  # PyYAML built without libyaml: the same events, several times slower
        from yaml import SafeLoader

        parser = SafeLoader(text)
    get: Callable[[], Event | None] = parser.get_event
    while parser.check_event():
        event = get()
        if event is not None:
            yield event


class _Builder:
    """Builds values from events, without recursion: a file can't exhaust the stack."""

    def __init__(self, document: Document, folder: Path, references: bool) -> None:
        self.document = document
        self.references = references
        self.folder = folder
        self.stack: list[tuple[Map | Seq, str | None, int]] = []
        self.key: str | None = None
        self.values = 0
        self.aliased = 0
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.open_anchors: set[str] = set()

    def complain(self, mark: Place, name: str, message: str) -> None:
        self.document.problems.append(Problem(self.document.file, mark.line + 1, mark.column + 1, name, message))

    def build(self, text: str) -> None:
        documents = 0
        for event in _events(text):
            if isinstance(event, ScalarEvent):
                self.scalar(event)
            elif isinstance(event, MappingStartEvent | SequenceStartEvent):
                self.open(event)
            elif isinstance(event, MappingEndEvent | SequenceEndEvent):
                self.close()
            elif isinstance(event, AliasEvent):
                self.alias(event)
            elif isinstance(event, DocumentStartEvent):
                documents += 1
                if documents == 2:
                    mark: Any = event.start_mark
                    self.complain(mark, "", "starts a second document; allowed is one in a file")
                    return

    def scalar(self, event: ScalarEvent) -> None:
        text = event.value
        mark: Any = event.start_mark
        parent = self.stack[-1][0] if self.stack else None
        if isinstance(parent, Map) and self.key is None:
            self.begin(parent, text, mark)
            return
        if event.tag is not None:
            self.complain(mark, self.key or "", f"has the tag {event.tag}; tags are not allowed")
        self.values += 1
        value: Any
        if self.references and "${" in text:
            value = self.replaced(text, mark, plain=event.implicit[0])
        else:
            value = scalar(text) if event.implicit[0] else text
        self.put(value, mark)
        if event.anchor:
            self.anchors[event.anchor] = (value, 1)

    def begin(self, parent: Map, key: str, mark: Place) -> None:
        if key in parent.key_at:
            first = parent.key_at[key].line + 1
            self.complain(mark, key, f"is given twice (first in line {first}); allowed is once")
        elif key == "<<":
            self.complain(
                mark, key, "merge keys are not part of YAML 1.2; give the whole value an anchor and name it *…"
            )
        else:
            parent.key_at[key] = mark
        self.key = key

    def open(self, event: MappingStartEvent | SequenceStartEvent) -> None:
        mark: Any = event.start_mark
        if event.tag is not None:
            self.complain(mark, self.key or "", f"has the tag {event.tag}; tags are not allowed")
        parent = self.stack[-1][0] if self.stack else None
        if isinstance(parent, Map) and self.key is None:
            raise MarkedYAMLError(problem="a key must be text, not a list or mapping", problem_mark=mark)
        if len(self.stack) >= MAX_DEPTH:
            raise MarkedYAMLError(problem=f"nests deeper than {MAX_DEPTH} levels", problem_mark=mark)
        self.values += 1
        node = Map(mark) if isinstance(event, MappingStartEvent) else Seq(mark)
        self.put(node, mark)
        self.stack.append((node, event.anchor, self.values))
        if event.anchor:
            self.open_anchors.add(event.anchor)
            self.anchors.pop(event.anchor, None)

    def close(self) -> None:
        node, anchor, before = self.stack.pop()
        self.key = None
        if anchor:
            self.open_anchors.discard(anchor)
            self.anchors[anchor] = (node, self.values - before + 1)

    def alias(self, event: AliasEvent) -> None:
        name = event.anchor
        mark: Any = event.start_mark
        if self.stack and isinstance(self.stack[-1][0], Map) and self.key is None:
            raise MarkedYAMLError(problem="a key must be text, not an alias", problem_mark=mark)
        if name in self.open_anchors:
            raise MarkedYAMLError(problem=f"the alias *{name} contains itself", problem_mark=mark)
        if name not in self.anchors:
            raise MarkedYAMLError(problem=f"there is no anchor &{name} before this", problem_mark=mark)
        value, size = self.anchors[name]
        self.values += size
        self.aliased += size
        if self.aliased > MAX_ALIASED:
            raise MarkedYAMLError(problem=f"aliases stand for more than {MAX_ALIASED} values", problem_mark=mark)
        self.put(value, mark)

    def put(self, value: Any, mark: Place) -> None:
        if not self.stack:
            self.document.root, self.document.at = value, mark
            return
        parent = self.stack[-1][0]
        if isinstance(parent, Map):
            assert self.key is not None
            if self.key not in parent.value_at and self.key != "<<":
                parent[self.key] = value
                parent.value_at[self.key] = mark
            self.key = None
        else:
            parent.append(value)
            parent.item_at.append(mark)

    def replaced(self, text: str, mark: Place, *, plain: bool) -> Any:
        """Text with its references replaced; a reference that can't be is recorded as a problem."""
        name = self.key or ""

        def replace(match: re.Match[str]) -> str:
            if match[1] is None:
                return "${"
            kind, _, what = match[1].partition(":")
            if not match[0].endswith("}") or kind not in ("env", "file") or not what:
                self.complain(
                    mark,
                    name,
                    f"has {match[0]!r}; allowed are ${{env:NAME}} and ${{file:PATH}}, and $${{ for a plain ${{",
                )
                return ""
            try:
                return _environment(what) if kind == "env" else _content(self.folder / what)
            except ValueError as error:
                self.complain(mark, name, f"{match[0]}: {error}")
                return ""

        whole = _REFERENCE.fullmatch(text)
        value = _REFERENCE.sub(replace, text)
        return scalar(value) if whole and whole[1] is not None else value


def _environment(name: str) -> str:
    if name not in os.environ:
        raise ValueError(f"the environment variable {name} is not set")
    return os.environ[name]


def _content(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise ValueError(f"{path} is not a file")
        if path.is_file() and path.stat().st_size > MAX_REFERENCED_BYTES:
            raise ValueError(f"{path} is larger than {MAX_REFERENCED_BYTES} bytes")
        return path.read_text(encoding="utf-8").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text") from error
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror}") from error
