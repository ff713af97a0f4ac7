"""A journal in a directory of its own, and one whose clock a test moves."""

import pytest

from asgard.journal.store.database import open_journal


class Clock:
    """Seconds since 1970 that go on only when a test says so."""

    def __init__(self, at=1_800_000_000.0):
        self.at = at

    def __call__(self):
        return self.at


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def journal(tmp_path, clock):
    with open_journal(f"sqlite:///{tmp_path / 'home' / 'journal.db'}", clock=clock) as opened:
        yield opened
