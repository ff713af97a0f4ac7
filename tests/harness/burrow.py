"""Burrow's rules as a table of cases: windows of commits, what Burrow calls them, what Heimdall calls them, and why where they differ.

Burrow's status is that of its documented evaluation rules; `issues` are those of its issues in which users found that wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from asgard.heimdall.lag.evaluate import group_lags
from asgard.heimdall.lag.judge import judge_group
from asgard.heimdall.lag.model import GroupLag, GroupToJudge, OffsetSample, Retention, Status, Thresholds
from asgard.kafka.groups import ListedGroup

ITS_WORDS = {"OK": "ok", "WARN": "slow", "STALL": "stalled", "STOP": "stopped", "REWIND": "rewound"}
"""Burrow's statuses in Heimdall's words."""


@dataclass(frozen=True)
class Case:
    """A window of one partition: commits and ends ten seconds apart, the age of the oldest unread record, whether the group has members."""

    name: str
    commits: Sequence[int | None]
    ends: Sequence[int]
    age_s: float | None
    active: bool
    heimdall: Status
    burrow: str
    why: str = ""
    issues: tuple[int, ...] = ()

    @property
    def differs(self) -> bool:
        return ITS_WORDS[self.burrow] != self.heimdall

    def judge(self) -> GroupLag:
        """What Heimdall makes of it."""
        return judged(window(self.commits, self.ends), active=self.active, age=self.age_s)


def window(
    commits: Sequence[int | None], ends: Sequence[int], *, start: int = 0, every_s: float = 10.0
) -> list[OffsetSample]:
    """Samples of one partition, `every_s` apart; None is a commit that is not known."""
    return [
        OffsetSample(
            1_000_000 + n * every_s,
            {"t": np.array([start])},
            {"t": np.array([end])},
            {"g": {"t": np.array([-1 if commit is None else commit])}},
        )
        for n, (commit, end) in enumerate(zip(commits, ends, strict=True))
    ]


def judged(
    samples: Sequence[OffsetSample],
    *,
    active: bool = True,
    age: float | None = None,
    thresholds: Thresholds | None = None,
    keep_ms: int | None = None,
) -> GroupLag:
    """The group `g` of these samples; `age` is that of the oldest unread record."""
    lags = group_lags(samples, "g")
    if age is not None:
        lags = [
            replace(lag, time_lag_s=np.where(lag.lag > 0, age, 0.0), exact=np.full(len(lag.lag), True)) for lag in lags
        ]
    group = ListedGroup("g", "classic", "Stable" if active else "Empty", 1)
    asked = GroupToJudge(group, thresholds or Thresholds())
    return judge_group(asked, lags, samples[-1].at - samples[0].at, {"t": Retention(keep_ms)})


def line(first: int, last: int, count: int = 10) -> list[int]:
    """Numbers at even distances."""
    return [round(first + (last - first) * n / (count - 1)) for n in range(count)]


CASES = [
    Case("keeps up", line(0, 900), line(0, 900), 0, True, "ok", "OK"),
    Case("no traffic for hours", [500] * 10, [500] * 10, None, True, "ok", "OK"),
    Case("no traffic, and no members", [500] * 10, [500] * 10, None, False, "ok", "OK"),
    Case("falls behind by every commit", line(0, 100), line(1000, 5000), 400, True, "slow", "WARN"),
    Case("commits go on at the same place", [100] * 10, line(200, 300), 400, True, "stalled", "STALL"),
    Case("read, then stood still for a minute", [*line(0, 90), *[90] * 8], [200] * 18, 400, True, "stalled", "STALL"),
    Case("commits by hand, without joining the group", line(0, 90), line(10, 100), 2, False, "ok", "OK"),
    Case("went away with records unread", [100] * 10, line(200, 300), 400, False, "stopped", "STOP"),
    Case("was set back", [900, 900, 100, 200, 300], [950] * 5, 10, True, "rewound", "REWIND"),
    Case("behind by hours and catching up within minutes", line(0, 90_000), [100_000] * 10, 7200, True, "ok", "OK"),
    Case(
        "stopped, and lag was zero once in the window",
        [*line(0, 400, 5), *[400] * 9],
        [*line(0, 400, 5), *line(500, 900, 9)],
        400,
        False,
        "stopped",
        "OK",
        "a zero in the past proves nothing: the lag now counts, and that the group has no members",
        (303, 745),
    ),
    Case(
        "members stopped committing, and lag was zero once in the window",
        [*line(0, 400, 5), *[400] * 9],
        [*line(0, 400, 5), *line(500, 900, 9)],
        400,
        True,
        "stalled",
        "OK",
        "a zero in the past proves nothing: no commit moved for a minute while records waited",
        (745,),
    ),
    Case(
        "commits every minute, and left two minutes ago",
        [0, *[100] * 6, *[200] * 6, *[300] * 12],
        [150, *[250] * 6, *[350] * 6, *line(450, 700, 12)],
        100,
        False,
        "stopped",
        "OK",
        "Kafka is asked whether the group has members; Burrow waits until the silence is longer than its window",
        (303,),
    ),
    Case(
        "saw-tooth of commits and refreshes while lag grows for hours",
        line(0, 900),
        [r + (0 if n % 2 else 3000) + n * 500 for n, r in enumerate(line(20_000, 20_900))],
        900,
        True,
        "slow",
        "OK",
        "the slope of the whole window counts, not whether lag grew between every pair of commits",
        (303, 453),
    ),
    Case(
        "lag grows a little and the records are seconds old",
        line(0, 900),
        line(11, 1045),
        4,
        True,
        "ok",
        "WARN",
        "seconds of delay are no reason to wake anybody, however the lag grows",
        (223,),
    ),
    Case(
        "a steady lag of two hundred, a second old",
        line(0, 9000),
        line(200, 9200),
        1,
        True,
        "ok",
        "WARN",
        "the age of the oldest unread record counts, not that the lag stays the same",
        (223,),
    ),
    Case(
        "a burst just came in and the consumer is about to commit",
        [100] * 10,
        [100] * 9 + [4000],
        1,
        True,
        "ok",
        "STALL",
        "nothing waited at the window's beginning, so no progress could have been made",
    ),
    Case(
        "one record a day, read an hour late by a batch job that left",
        [100] * 10,
        [101] * 10,
        30,
        False,
        "ok",
        "STOP",
        "a record younger than the patience of a stall may be between two commits",
    ),
    Case(
        "behind by hours and catching up within a day",
        line(0, 90),
        [100_000] * 10,
        7200,
        True,
        "slow",
        "OK",
        "lag shrinks, but by then the reader has waited for a day",
    ),
]
