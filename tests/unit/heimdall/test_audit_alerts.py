"""Which alerts an audit's losses raise and clear."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asgard.compose.audit_alerts import Missing, changes, missing
from asgard.heimdall.audit.judge import Row
from asgard.heimdall.audit.plan import Plan, Tier

PLAN = Plan("a", (Tier("raw", ("r",)), Tier("next", ("n1", "n2"))), window_s=60, lateness_s=30)
ROW = Row(0, "raw", "r", "closed", 9, 0, 0, 3, 0, None, 0, None, None, None, None)


@pytest.mark.parametrize(
    ("rows", "lost"),
    [
        pytest.param([], {}, id="nothing"),
        pytest.param([replace(ROW, lost=0), replace(ROW, state="open"), replace(ROW, state="partial")], {}, id="no loss"),
        pytest.param(
            [ROW, replace(ROW, start_s=120, lost=2)],
            {"n1": Missing("n1", 0, 210, 5), "n2": Missing("n2", 0, 210, 5)},
            id="from the first window to the last one's lateness, in each topic of the next tier",
        ),
    ],
)  # fmt: skip
def test_records_are_missing_in_the_tier_after_the_one_that_has_them(rows, lost):
    assert missing(PLAN, rows) == lost


OLD = Missing("t", 0, 60, 5)


@pytest.mark.parametrize(
    ("before", "now", "raised", "cleared"),
    [
        pytest.param([], [OLD], ["t"], [], id="new"),
        pytest.param([OLD], [OLD], [], [], id="the same"),
        pytest.param([OLD], [replace(OLD, lost=2)], [], [], id="some of it came"),
        pytest.param([OLD], [replace(OLD, lost=6)], ["t"], [], id="more of it"),
        pytest.param([OLD], [replace(OLD, until_s=120)], ["t"], [], id="another window too"),
        pytest.param([OLD], [], [], ["t"], id="all of it came"),
        pytest.param([OLD], [Missing("u", 0, 60, 1)], ["u"], ["t"], id="another topic"),
    ],
)
def test_an_alert_is_raised_when_more_is_missing_and_cleared_when_nothing_is(before, now, raised, cleared):
    found = changes({m.topic: m for m in before}, {m.topic: m for m in now})
    assert ([m.topic for m in found[0]], [m.topic for m in found[1]]) == (raised, cleared)
