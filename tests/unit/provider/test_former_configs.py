"""What is known of the time before Asgard set a broker's config, whatever the moment at which a run was killed."""

from pathlib import Path

import pytest

from asgard.core.errors import Failed
from asgard.kafka.model import ConfigChange
from asgard.odin.provider.former import Former


@pytest.fixture
def former(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Former:
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path))
    return Former("c1")


def setting(**values: str) -> ConfigChange:
    return ConfigChange("broker", "", values)


@pytest.mark.parametrize(
    ("stands", "before"),
    [
        ("old", "old"),  # killed before the first change
        ("mine", "old"),  # killed after it, before or after the note of the second one
        ("mine too", "old"),  # killed after the second one
        ("theirs", "theirs"),  # somebody else has set it since
    ],
)
def test_the_value_from_before_is_known_at_every_moment(former: Former, stands: str, before: str) -> None:
    former.note(setting(k="mine"), {"k": "old"})
    former.note(setting(k="mine too"), {"k": "mine"})
    assert former.values("", {"k": stands}, ["k"]) == {"k": before}


def test_nothing_stood_there_before(former: Former) -> None:
    former.note(setting(k="mine"), {})
    assert former.values("", {"k": "mine"}, ["k"]) == {}
    assert former.values("2", {"k": "mine"}, ["k"]) == {"k": "mine"}, "another broker has its own"


def test_a_key_that_was_given_back_is_forgotten(former: Former) -> None:
    former.note(setting(k="mine", other="mine"), {"k": "old"})
    former.forget("", ["k"])
    assert former.values("", {"k": "mine", "other": "mine"}, ["k", "other"]) == {"k": "mine"}
    former.forget("", ["other"])
    assert not former.file.exists()


def test_a_damaged_file_is_named(former: Former) -> None:
    former.note(setting(k="mine"), {})
    former.file.write_text("{")
    with pytest.raises(Failed, match=r"configs/c1\.json can't be read"):
        former.values("", {}, ["k"])
