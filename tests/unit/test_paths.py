"""How Asgard writes files: whole or not at all, and for whose eyes."""

import os

import pytest

from asgard.core import paths
from asgard.core.errors import WrongUsage


@pytest.fixture
def umask():
    former = os.umask(0o027)
    yield
    os.umask(former)


def mode(path):
    return path.stat().st_mode & 0o777


def test_what_asgard_keeps_is_for_its_owner_and_what_the_user_named_is_as_the_umask_says(tmp_path, umask):
    paths.write_atomic(tmp_path / "deep" / "state.json", "{}")
    paths.write_for_user(tmp_path / "plan.json", b"{}")
    assert (mode(tmp_path / "deep" / "state.json"), mode(tmp_path / "plan.json")) == (0o600, 0o640)


def test_a_write_that_fails_leaves_the_old_content_and_nothing_beside_it(tmp_path, monkeypatch):
    file = tmp_path / "state.json"
    paths.write_atomic(file, "old")

    def full(_fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        paths.write_atomic(file, "new")
    with pytest.raises(WrongUsage, match=r"state\.json: can't be written: No space left on device"):
        paths.write_for_user(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_the_user_mistyped_is_not_made(tmp_path):
    with pytest.raises(WrongUsage, match="can't be written: No such file or directory"):
        paths.write_for_user(tmp_path / "palns" / "plan.json", "{}")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_for_several_files_is_made_and_its_files_are_named(tmp_path):
    written = paths.write_folder(tmp_path / "deep" / "out", {"a.json": "{}", "b.csv": b"x"})
    assert [(file.name, file.read_text()) for file in written] == [("a.json", "{}"), ("b.csv", "x")]
    with pytest.raises(WrongUsage, match=r"a\.json: can't be written: File exists"):
        paths.write_folder(written[0], {"b.csv": "x"})
