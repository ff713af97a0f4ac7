"""A broker's configs from before Asgard set them: noted on disk before each change.

Otherwise a run killed between the change and the save of its state would mistake its own value for the earlier one. A
note stays until the key is given back, and is valid as long as one of our values is set. One file per cluster, under
ASGARD_HOME.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from asgard.core import paths
from asgard.core.errors import Failed
from asgard.kafka import temporary
from asgard.kafka.model import ConfigChange
from asgard.kafka.temporary import Key, Setting

FORMAT = "asgard.configs/v1"


class Former:
    """The notes of one cluster. The caller holds the cluster's lease, if there is one."""

    def __init__(self, cluster_id: str) -> None:
        self.file = paths.home() / "configs" / f"{cluster_id}.json"

    def values(self, broker: str, there: Mapping[str, str], keys: Iterable[str]) -> dict[str, str]:
        """The values on the broker from before Asgard, for those keys that had one; `there` are the current values."""
        notes = self._read()
        found = {key: _before(notes, broker, key, there.get(key)) for key in keys}
        return {key: value for key, value in found.items() if value is not None}

    def note(self, change: ConfigChange, there: Mapping[str, str]) -> None:
        """Write down what a change is about to replace; on disk when it returns."""
        notes = self._read()
        for name, value in change.set.items():
            key: Key = ("broker", change.name, name)
            stands = there.get(name)
            # Until the change is done, the value of an earlier change may still be set as well as the new one.
            ours = (stands, value) if stands is not None and _is_ours(notes, key, stands) else (value,)
            notes[key] = Setting(key, ours, _before(notes, change.name, name, stands))
        self._write(notes)

    def forget(self, broker: str, keys: Iterable[str]) -> None:
        """Drop the notes of keys that were given back."""
        notes = self._read()
        gone = {("broker", broker, name) for name in keys}
        kept = {key: setting for key, setting in notes.items() if key not in gone}
        if len(kept) < len(notes):
            self._write(kept)

    def close(self) -> None:
        """Drop all notes: the cluster is gone."""
        self.file.unlink(missing_ok=True)

    def _read(self) -> dict[Key, Setting]:
        try:
            document = json.loads(self.file.read_text())
            if document["format"] != FORMAT:
                raise ValueError(f"its format is {document['format']!r}")
            return {setting.key: setting for setting in temporary.parse(document["settings"])}
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError) as error:
            raise Failed(
                f"{self.file} can't be read: {error}", "Bring it back from a backup, or move it away."
            ) from error

    def _write(self, notes: Mapping[Key, Setting]) -> None:
        if not notes:
            self.close()
            return
        document = {"format": FORMAT, "settings": temporary.plain(notes.values())}
        paths.private_dir(paths.home())
        paths.write_atomic(self.file, json.dumps(document) + "\n")


def _is_ours(notes: Mapping[Key, Setting], key: Key, value: str | None) -> bool:
    return key in notes and value in notes[key].ours


def _before(notes: Mapping[Key, Setting], broker: str, name: str, stands: str | None) -> str | None:
    key: Key = ("broker", broker, name)
    return notes[key].before if _is_ours(notes, key, stands) else stands
