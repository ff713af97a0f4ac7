"""Whom the monkey takes: its rules against a naive model of each of them, over whatever Hypothesis thinks of."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from asgard.loki.monkey.choose import UNSEEN_S, Choice, Past, choose
from asgard.loki.monkey.config import Group, Monkey
from asgard.loki.monkey.health import Health
from asgard.machines.member import Kind, Member, Population
from tests.harness.examples import examples

WELL = Health()
ALWAYS = ("00:00-24:00",)
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC).timestamp()  # a Tuesday
OPTED_IN: Mapping[str, tuple[str, ...]] = {"chaos": ("yes", "please")}
SURE = Group("g", "container", OPTED_IN, 0, "kill", probability=1.0, at_most=99)


def member(
    name: str, healthy: bool = True, chaos: str | None = "yes", kind: Kind = "container", of: str = ""
) -> Member:
    labels = {"chaos": chaos} if chaos else {}
    return Member(name, kind, of, labels, "running" if healthy else "exited", healthy)


def run(
    group: Group,
    members: list[Member],
    *,
    seed: int = 0,
    monkey: Monkey | None = None,
    health: Health = WELL,
    past: Past = Past(),
    now: float = NOON,
) -> Choice:
    monkey = monkey or Monkey("m", (group,), hours=ALWAYS, at_most=99)
    return choose(monkey, {group.name: Population(tuple(members))}, health, past, now, random.Random(seed))


def taken(choice: Choice) -> str | None:
    return choice.victim.member.id if choice.victim else None


# --- one rule after the other, in words


def test_only_who_has_opted_in_is_ever_taken() -> None:
    members = [member("a", chaos=None), member("b", chaos="no"), member("c", chaos="YES"), member("d", chaos="please")]
    choices = [run(SURE, members, seed=seed) for seed in range(50)]
    assert {taken(choice) for choice in choices} == {"d"}
    assert [c.why for c in choices[0].considered if c.member.id in "abc"] == ["has not opted in"] * 3
    assert run(replace(SURE, opt_in={}), members).victim is None, "who asks for nothing gets nobody"


def test_who_is_ill_already_is_not_taken_and_counts_as_gone() -> None:
    choice = run(replace(SURE, at_most=1), [member("a"), member("b", healthy=False)])
    assert choice.victim is None
    assert "1 of 2 gone already, and at most 1 may be" in choice.why


def test_enough_healthy_ones_stay() -> None:
    members = [member(n) for n in "abcde"]
    assert taken(run(replace(SURE, min_healthy=4), members)) is not None
    assert "5 of 5 healthy, and 5 must stay" in run(replace(SURE, min_healthy=5), members).why
    assert taken(run(replace(SURE, min_healthy="80%"), members)) is not None
    assert "5 of 5 healthy, and 5 must stay (81%)" in run(replace(SURE, min_healthy="81%"), members).why


def test_those_that_are_listed_no_more_are_missing_where_the_size_is_known() -> None:
    two_of_five = [member("a"), member("b")]
    assert taken(run(replace(SURE, min_healthy="20%"), two_of_five)) is not None
    assert "2 of 5 healthy, and 2 must stay" in run(replace(SURE, min_healthy="40%", size=5), two_of_five).why
    assert "3 of 5 gone already" in run(replace(SURE, at_most=3, size=5), two_of_five).why


def test_nobody_is_taken_while_the_cluster_could_not_bear_it() -> None:
    choice = run(SURE, [member("a")], health=Health(("under-replicated: 1 partition (t-0)",)))
    assert choice.victim is None
    assert choice.why == "nothing is stopped: the cluster could not take it: under-replicated: 1 partition (t-0)"
    assert [c.why for c in choice.considered] == [choice.groups[0].why]


def test_nobody_is_taken_a_moment_after_something_was_broken() -> None:
    assert "broken 59 s ago" in run(SURE, [member("a")], past=Past(taken_at=NOON - 59)).why
    assert taken(run(SURE, [member("a")], past=Past(taken_at=NOON - UNSEEN_S))) == "a"


def test_at_most_so_many_are_gone_in_all_groups_together() -> None:
    groups = tuple(replace(SURE, name=name) for name in ("x", "y"))
    found = {"x": Population((member("a", healthy=False), member("b"))), "y": Population((member("c"),))}

    def choice(at_most: int) -> Choice:
        monkey = Monkey("m", groups, hours=ALWAYS, at_most=at_most)
        return choose(monkey, found, WELL, Past(), NOON, random.Random(1))

    assert choice(1).why == "nothing is stopped: 1 gone already, and at most 1 may be"
    assert taken(choice(2)) in ("b", "c")


def test_one_run_takes_one_member_also_where_two_groups_are_due() -> None:
    groups = tuple(replace(SURE, name=name) for name in ("x", "y"))
    found = {"x": Population((member("a"),)), "y": Population((member("b"),))}
    monkey = Monkey("m", groups, hours=ALWAYS, at_most=9)
    choices = [choose(monkey, found, WELL, Past(), NOON, random.Random(seed)) for seed in range(40)]
    assert {taken(c) for c in choices} == {"a", "b"}, "no group is always first"
    assert all(sum(c.taken for c in choice.considered) == 1 for choice in choices)
    assert "one run stops one member" in next(c.why for c in choices[0].considered if not c.taken)


def test_who_is_in_two_groups_must_be_one_too_many_in_both() -> None:
    roomy, full = replace(SURE, name="roomy"), replace(SURE, name="full", min_healthy=1, probability=0.000001)
    both = Population((member("a"),))
    monkey = Monkey("m", (roomy, full), hours=ALWAYS, at_most=9)
    choice = choose(monkey, {"roomy": both, "full": both}, WELL, Past(), NOON, random.Random(0))
    assert choice.victim is None
    assert "is in full too: 1 of 1 healthy, and 1 must stay" in choice.why


def test_an_instance_is_the_same_one_found_as_ec2_and_in_its_auto_scaling_group() -> None:
    ec2, asg = replace(SURE, name="vm", kind="ec2"), replace(SURE, name="web", kind="asg", min_healthy="100%")
    found = {
        "vm": Population((member("i-1", kind="ec2"),)),
        "web": Population((member("i-1", kind="asg", of="web-1"),), {"web-1": 1}),
    }
    choice = choose(Monkey("m", (ec2, asg), hours=ALWAYS), found, WELL, Past(), NOON, random.Random(0))
    assert choice.victim is None


def test_each_auto_scaling_group_keeps_its_own_minimum() -> None:
    group = replace(SURE, name="web", kind="asg", min_healthy="60%")
    full = tuple(member(f"i-{i}", kind="asg", of="full") for i in range(3))
    short = (member("i-9", kind="asg", of="short"),)
    found = {"web": Population((*full, *short), {"full": 3, "short": 3, "empty": 0})}
    monkey = Monkey("m", (group,), hours=ALWAYS, at_most=9)
    choice = choose(monkey, found, WELL, Past(), NOON, random.Random(3))
    assert choice.victim is not None
    assert choice.victim.member.group == "full"
    assert {t.group: (t.size, t.healthy, t.gone) for t in choice.groups} == {
        "web/full": (3, 3, 0),
        "web/short": (3, 1, 2),
        "web/empty": (0, 0, 0),
    }


# --- hours, days off, time zones

AMSTERDAM = Monkey(
    "m", (SURE,), "Europe/Amsterdam", ("mon-fri 09:00-17:00",), ((date(2026, 12, 24), date(2027, 1, 1)),)
)


@pytest.mark.parametrize(
    ("utc", "may"),
    [
        ("2026-11-24 07:59", False),  # 08:59 in winter
        ("2026-11-24 08:00", True),
        ("2026-11-24 15:59", True),
        ("2026-11-24 16:00", False),
        ("2026-07-07 06:59", False),  # 08:59 in summer
        ("2026-07-07 07:00", True),
        ("2026-07-07 15:00", False),
        ("2026-11-28 10:00", False),  # a Saturday
        ("2026-12-23 10:00", True),
        ("2026-12-24 10:00", False),  # days off, first and last of them
        ("2027-01-01 10:00", False),
        ("2027-01-04 10:00", True),
    ],
)
def test_hours_and_days_off_are_those_of_the_time_zone(utc: str, may: bool) -> None:
    now = datetime.strptime(utc, "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp()
    choice = run(SURE, [member("a")], monkey=AMSTERDAM, now=now)
    assert (choice.victim is not None) == may
    assert may or "outside the hours" in choice.why or "is a day off" in choice.why


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_when_the_clocks_change_it_is_the_wall_clock_that_counts(day: str) -> None:
    """In 2026 Amsterdam's summer begins on 29 March and ends on 25 October, both at 01:00 UTC."""
    change = datetime.fromisoformat(f"{day}T01:00:00+00:00")
    before, after = (1, 2) if "-03-" in day else (2, 1)
    monkey = replace(AMSTERDAM, hours=("sun 02:30-03:30",), days_off=())
    midnight = change - timedelta(hours=4)
    for minute in range(0, 8 * 60, 5):
        moment = midnight + timedelta(minutes=minute)
        shown = moment + timedelta(hours=before if moment < change else after)
        may = shown.strftime("%a %H:%M") >= "Sun 02:30" and shown.strftime("%a %H:%M") < "Sun 03:30"
        choice = run(SURE, [member("a")], monkey=monkey, now=moment.timestamp())
        assert (choice.victim is not None) == may, f"{moment} UTC, the clock shows {shown:%a %H:%M}"


# --- how often


def test_with_a_mean_time_it_does_not_matter_how_often_cron_runs_it() -> None:
    group = replace(SURE, probability=None, mean_s=86400.0)

    def chance(open_s: float) -> float:
        return run(group, [member("a")], past=Past(looked_at=NOON - open_s)).groups[0].chance

    assert chance(0) == 0.0
    assert 1 - (1 - chance(600)) ** 6 == pytest.approx(chance(3600), rel=1e-6)
    assert run(group, [member("a")]).groups[0].chance == 0.0, "the first look starts the clock"


def test_a_mean_time_is_calendar_time_and_closed_hours_do_not_add_up() -> None:
    """40 of 168 hours are open: on Monday morning only the open hours since the last run count, each for 4.2."""
    group = replace(SURE, probability=None, mean_s=5 * 86400.0)
    monkey = Monkey("m", (group,))
    friday = datetime(2026, 11, 20, 16, 50, tzinfo=UTC).timestamp()
    monday = datetime(2026, 11, 23, 9, 10, tzinfo=UTC).timestamp()
    choice = run(group, [member("a")], monkey=monkey, past=Past(looked_at=friday), now=monday)
    open_s, share = 1200, Fraction(40, 168)
    assert choice.groups[0].chance == pytest.approx(open_s / (5 * 86400 * share), rel=0.01)


def test_over_a_year_kills_come_as_far_apart_as_asked_for() -> None:
    group = replace(SURE, probability=None, mean_s=86400.0)
    monkey = Monkey("m", (group,))
    dice, past, kills, chances = random.Random(7), Past(), 0, 0.0
    for tick in range(0, 364 * 86400, 1200):
        now = datetime(2026, 1, 5, tzinfo=UTC).timestamp() + tick
        choice = choose(monkey, {"g": Population((member("a"),))}, WELL, past, now, dice)
        if "outside the hours" in choice.why:
            continue  # such a run leaves nothing in the journal
        kills += choice.victim is not None
        chances += choice.groups[0].chance
        past = Past(looked_at=now)
    assert chances == pytest.approx(364, rel=0.04), "a run takes one at most, so a little less than one a day"
    assert abs(kills - chances) < 4 * chances**0.5


# --- all rules together, against a model that knows nothing of how they are made

# Mostly such that somebody may be taken: else a rule that is never there would not be missed.
mostly = st.sampled_from([True] * 7 + [False])
members_ = st.lists(
    st.builds(
        member,
        st.sampled_from([f"c{i}" for i in range(9)]),
        mostly,
        st.sampled_from(["yes"] * 6 + ["please"] * 2 + [None, "no", "Yes", "yes "]),
    ),
    max_size=9,
    unique_by=lambda m: m.id,
)
least_ = st.one_of(st.integers(0, 5), st.integers(0, 100).map(lambda n: f"{n}%"))
moments = st.integers(1_767_225_600, 1_830_297_600).map(float)  # 2026 and 2027
zones = st.sampled_from(["UTC", "Europe/Amsterdam", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
windows = st.sampled_from(["00:00-24:00"] * 6 + ["mon-fri 09:00-17:00", "22:00-02:30", "sat-sun 00:00-24:00", "fri 23:00-01:00", "sun 02:00-03:00"])  # fmt: skip
days_off = st.dates(date(2026, 1, 1), date(2027, 12, 1)).flatmap(
    lambda first: st.integers(0, 20).map(lambda days: (first, first + timedelta(days=days)))
)


def clock_allows(window: str, shown: datetime) -> bool:
    """The window, minute by minute, by what the clock shows: the minute itself is looked for on each day that it may begin on."""
    days, _, hours = window.rpartition(" ")
    names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    first, last = (days.split("-") * 2)[:2] if days else ("mon", "sun")
    begins, ends = hours.split("-")
    on = names[names.index(first) : names.index(last) + 1]
    now = shown.strftime("%H:%M")
    today, yesterday = names[shown.weekday()], names[shown.weekday() - 1]
    if begins < ends:
        return today in on and begins <= now < ends
    return (today in on and now >= begins) or (yesterday in on and now < ends)


@given(
    members=members_,
    least=least_,
    at_most=st.integers(1, 6),
    in_all=st.integers(1, 6),
    size=st.one_of(st.none(), st.none(), st.integers(1, 9)),
    well=mostly,
    since=st.one_of(st.none(), st.floats(0, 200), st.floats(60, 1e6), st.floats(60, 1e6)),
    now=moments,
    zone=zones,
    window=windows,
    off=st.one_of(st.just([]), st.just([]), st.lists(days_off, max_size=9)),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=examples(100), deadline=None)
def test_somebody_is_taken_exactly_where_every_rule_allows_it(
    members: list[Member], least: int | str, at_most: int, in_all: int, size: int | None, well: bool,
    since: float | None, now: float, zone: str, window: str, off: list[tuple[date, date]], seed: int,
) -> None:  # fmt: skip
    group = Group("g", "container", OPTED_IN, least, "kill", probability=1.0, size=size, at_most=at_most)
    monkey = Monkey("m", (group,), zone, (window,), tuple(off), in_all)
    health = WELL if well else Health(("under-replicated",))
    past = Past(taken_at=None if since is None else now - since)
    choice = run(group, members, seed=seed, monkey=monkey, health=health, past=past, now=now)

    mine = [m for m in members if m.labels.get("chaos") in ("yes", "please")]
    fit = {m.id for m in mine if m.healthy}
    whole = max(len(mine), size or 0)
    gone = whole - len(fit)
    shown = datetime.fromtimestamp(now, ZoneInfo(zone))
    must_stay = Fraction(least[:-1]) / 100 * whole if isinstance(least, str) else least
    may = (
        well
        and clock_allows(window, shown)
        and not any(first <= shown.date() <= last for first, last in off)
        and (since is None or now - (now - since) >= UNSEEN_S)
        and gone + 1 <= min(at_most, in_all)
        and len(fit) >= 1
        and len(fit) - 1 >= must_stay
    )
    event(f"somebody {'is' if may else 'is not'} taken")
    assert (choice.victim is not None) == may, choice.why
    assert choice.victim is None or choice.victim.member.id in fit
    assert sorted(c.member.id for c in choice.considered) == sorted(m.id for m in members), "everybody, once"
    assert all(c.why for c in choice.considered)


@given(members=members_, seed=st.integers(0, 2**32), order=st.randoms(use_true_random=False))
def test_the_same_seed_and_the_same_members_give_the_same_victim_in_whatever_order(
    members: list[Member], seed: int, order: random.Random
) -> None:
    first = run(SURE, members, seed=seed)
    order.shuffle(members)
    assert run(SURE, members, seed=seed) == replace(first, considered=run(SURE, members, seed=seed).considered)


class Weeks(RuleBasedStateMachine):
    """A group that lives for weeks: the monkey takes, others die by themselves, some come back."""

    @initialize(
        size=st.integers(1, 8),
        least=least_,
        at_most=st.integers(1, 6),
        in_all=st.integers(1, 6),
        seed=st.integers(0, 999),
    )
    def begin(self, size: int, least: int | str, at_most: int, in_all: int, seed: int) -> None:
        self.dice = random.Random(seed)
        self.healthy = {f"c{i}": True for i in range(size)}
        self.by_accident: set[str] = set()
        self.now, self.past = NOON, Past()
        self.group = replace(SURE, min_healthy=least, at_most=at_most)
        self.monkey = Monkey("m", (self.group,), hours=ALWAYS, at_most=in_all)
        self.bystanders = [member("x", chaos=None), member("y", chaos="no")]

    @rule(minutes=st.integers(0, 5))
    def time_passes(self, minutes: int) -> None:
        self.now += 60 * minutes

    @rule(which=st.integers(0, 7))
    def one_dies_by_itself(self, which: int) -> None:
        name = f"c{which}"
        if self.healthy.get(name):
            self.healthy[name] = False
            self.by_accident.add(name)

    @rule(which=st.integers(0, 7))
    def one_comes_back(self, which: int) -> None:
        name = f"c{which}"
        if name in self.healthy:
            self.healthy[name] = True
            self.by_accident.discard(name)

    @rule(well=st.booleans())
    def cron_runs_the_monkey(self, well: bool) -> None:
        members = [member(name, healthy) for name, healthy in self.healthy.items()] + self.bystanders
        self.dice.shuffle(members)
        health = WELL if well else Health(("at min ISR",))
        choice = choose(self.monkey, {"g": Population(tuple(members))}, health, self.past, self.now, self.dice)
        if choice.victim is None:
            return
        name = choice.victim.member.id
        assert well
        assert self.healthy.get(name), "one that has opted in, and was healthy"
        if self.past.taken_at is not None:
            assert self.now - self.past.taken_at >= UNSEEN_S
        self.healthy[name] = False
        self.past = Past(self.now, self.now)
        fit = sum(self.healthy.values())
        assert len(self.healthy) - fit <= min(self.group.at_most, self.monkey.at_most), "so many gone at once, at most"
        assert fit >= self.group.least(len(self.healthy)), "the minimum stays healthy"

    @precondition(lambda self: not self.by_accident)
    @invariant()
    def the_monkey_alone_never_goes_below_the_minimum(self) -> None:
        fit, size = sum(self.healthy.values()), len(self.healthy)
        assert fit == size or fit >= self.group.least(size)


Weeks.TestCase.settings = settings(max_examples=examples(12), stateful_step_count=40, deadline=None)
TestWeeks = Weeks.TestCase
