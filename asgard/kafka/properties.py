"""Client properties as Java reads them: the text of a properties file, and the JAAS line in it.

Both readers follow Java's own (`java.util.Properties.load`, and the StreamTokenizer of Kafka's JaasConfig), so a file
means the same here as for Kafka's tools. What Java would refuse is refused here, with its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from asgard.core.errors import WrongUsage

_CONTINUES = re.compile(r"(?<!\\)(?:\\\\)*\\\Z")
_SPLIT = re.compile(r"((?:\\.|[^\\=:\s])*)[ \t\f]*(?:[=:][ \t\f]*)?(.*)", re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|u|.)", re.DOTALL)
_CONTROL = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_PLAIN = re.compile(r"[ -~]\Z")

_JAAS_TOKEN = re.compile(
    r"""\s+|//[^\n]*|/\*.*?\*/|(?P<comment>/[^\n]*)|(?P<quoted>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')"""
    r"|(?P<open>[\"'])|(?P<number>-?[0-9.]+)|(?P<word>[^\W\d_][\w.$-]*|[_$][\w.$-]*)|(?P<other>.)",
    re.DOTALL,
)
_JAAS_ESCAPE = re.compile(r"\\([0-3]?[0-7]{1,2}|.)", re.DOTALL)
_JAAS_CONTROL = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_FLAGS = ("required", "requisite", "sufficient", "optional")


def read_properties(path: Path) -> dict[str, str]:
    """The properties of a Java properties file, in UTF-8 or, as Java writes them, in Latin-1."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WrongUsage(f"can't read the client properties {path}: {error.strerror}") from error
    try:
        return parse_properties(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return parse_properties(content.decode("latin-1"))


def parse_properties(text: str) -> dict[str, str]:
    """The text of a Java properties file. Blanks around a value are dropped, as Kafka does when it reads one."""
    properties = {}
    for line in _logical_lines(text):
        match = _SPLIT.match(line)
        assert match is not None
        properties[_unescaped(match[1])] = _unescaped(match[2]).strip()
    return properties


def render_properties(properties: Mapping[str, str]) -> str:
    """The text of a properties file that `read_properties` and Java read alike; plain ASCII."""
    return "".join(f"{key}={''.join(map(_escaped, value))}\n" for key, value in properties.items())


def _logical_lines(text: str) -> Iterator[str]:
    """Lines with their continuations joined, without comments and blank ones."""
    pending: str | None = None
    for raw in re.split(r"\r\n|\n|\r", text):
        line = raw.lstrip(" \t\f")
        if pending is None and (not line or line[0] in "#!"):
            continue
        pending = (pending or "") + line
        if _CONTINUES.search(pending):
            pending = pending[:-1] or None
            continue
        yield pending
        pending = None
    if pending:
        yield pending


def _unescaped(text: str) -> str:
    def meant(match: re.Match[str]) -> str:
        code = match[1]
        if code == "u":
            raise WrongUsage(f"a properties file has {text!r}: after \\u four hexadecimal digits are required")
        if len(code) == 5:
            return chr(int(code[1:], 16))
        return _CONTROL.get(code, code)

    # A pair of surrogates is one character.
    return _ESCAPE.sub(meant, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _escaped(char: str) -> str:
    if char == "\\":
        return "\\\\"
    if _PLAIN.match(char):
        return char
    named = next((name for name, control in _CONTROL.items() if control == char), None)
    if named:
        return f"\\{named}"
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def jaas_options(text: str) -> dict[str, str]:
    """The options of a `sasl.jaas.config`: `Module required name="value" name='value' name=value;`. Raises WrongUsage."""
    tokens = list(_jaas_tokens(text))
    if not tokens:
        raise _wrong_jaas("is empty")
    if len(tokens) < 2 or tokens[0][0] != "word" or tokens[1][1].lower() not in _FLAGS:
        raise _wrong_jaas("must begin with a login module and `required`")
    options: dict[str, str] = {}
    rest = iter(tokens[2:])
    for kind, key in rest:
        if (kind, key) == ("other", ";"):
            if next(rest, None) is not None:
                raise _wrong_jaas("names more than one login module; Kafka allows one")
            return options
        if kind not in ("word", "quoted"):
            raise _wrong_jaas(f"has {key!r} where the name of an option is expected")
        sign, value = next(rest, None), next(rest, None)
        if sign != ("other", "=") or value is None or value[0] not in ("word", "quoted"):
            number = value is not None and value[0] == "number"
            raise _wrong_jaas(f"gives {key} no value" + (" in quotes: a number needs them" if number else ""))
        options[key] = value[1]
    raise _wrong_jaas("does not end with a semicolon")


def _jaas_tokens(text: str) -> Iterator[tuple[str, str]]:
    for match in _JAAS_TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "comment":
            raise _wrong_jaas("has a / outside quotes, and Java takes what follows for a comment")
        if kind == "open":
            raise _wrong_jaas("has a quote that is never closed")
        if kind == "quoted":
            yield kind, _JAAS_ESCAPE.sub(_jaas_meant, match[0][1:-1])
        elif kind is not None:
            yield kind, match[0]


def _jaas_meant(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code, 8)) if code[0] in "01234567" else _JAAS_CONTROL.get(code, code)


def _wrong_jaas(what: str) -> WrongUsage:
    """Never shows the value: it holds a password."""
    return WrongUsage(
        f"sasl.jaas.config {what}",
        'Allowed is: org.apache.kafka.common.security.scram.ScramLoginModule required username="NAME" password="…";',
    )
