"""JSONPath (RFC 9535) in tolerances and filters: `$.brokers[0].state`, `$..leader`, `$.topics[*]['name','lag']`, `$.list[1:3]`."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonpath import JSONPath, JSONPathEnvironment


@functools.cache
def _environment() -> JSONPathEnvironment:
    from jsonpath import JSONPathEnvironment  # 50 ms that commands without a path need not spend

    return JSONPathEnvironment(strict=True)


def parse(path: str) -> JSONPath:
    """Read a path. Raises ValueError with what is wrong and what is allowed."""
    from jsonpath.exceptions import JSONPathError

    if not path.startswith("$"):
        raise ValueError(f"has the path {path!r}; allowed is a JSONPath that begins with $, as in $.brokers[0]")
    try:
        return _environment().compile(path)  # type: ignore[return-value]
    except JSONPathError as error:
        raise ValueError(
            f"has the path {path!r}, {str(error).splitlines()[0]}; allowed is a JSONPath (RFC 9535), as in $.brokers[0].state"
        ) from error


def find(path: JSONPath, value: Any) -> list[Any]:
    """The values at the end of a path, in its order."""
    return list(path.findall(json.dumps(value) if isinstance(value, str) else value))  # it reads text as JSON
