"""Text that comes from elsewhere, made fit to be shown."""

from __future__ import annotations


def legible(text: str) -> str:
    """The text as UTF-8 can hold it: a half of a surrogate pair, which JSON may hold, is shown as its escape (`\\ud83d`)."""
    return text.encode("utf-8", "backslashreplace").decode()
