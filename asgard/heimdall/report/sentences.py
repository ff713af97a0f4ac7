"""A day in words: the answer first, then how far it can be trusted. Pure; page and chat say the same."""

from __future__ import annotations

from asgard.core.pages.parts import Tone, Verdict
from asgard.heimdall import words
from asgard.heimdall.report.day import Day
from asgard.heimdall.volume.model import Verdict as Judged

VERDICT_TONES: dict[Judged, Tone] = {
    "as usual": "good",
    "unknown": "plain",
    "high": "info",
    "late": "warn",
    "low": "warn",
    "missing": "bad",
}
_NAMED = 3


def answer(day: Day) -> Verdict:
    """The day's answer."""
    word, tone = _word(day)
    return Verdict(word, headline(day), tone, sentences(day))


def _word(day: Day) -> tuple[str, Tone]:
    if any(t.verdict == "missing" for t in day.topics) or any(g.expired_unread for g in day.groups):
        return "Incomplete", "bad"
    if day.wrong:
        return "Unusual", "warn"
    if not day.comparable:
        return "Not comparable", "info"
    return ("Complete", "good") if day.over else ("So far", "good")


def headline(day: Day) -> str:
    """One sentence."""
    arrived = f"{words.count(day.records)} records in {words.many(len(day.topics), 'topic')}"
    arrived += " arrived" if day.over else " arrived so far"
    if day.wrong:
        verb = "has" if len(day.wrong) == 1 else "have"
        return f"{arrived}; {words.many(len(day.wrong), 'topic')} {verb} gaps."
    return f"{arrived}; nothing is missing." if day.comparable else f"{arrived}."


def sentences(day: Day) -> list[str]:
    """What else a reader must know before the figures."""
    told = []
    if day.wrong:
        named = ", ".join(f"{t.topic} ({t.owner}, {words.many(len(t.unusual), 'hour')})" for t in day.wrong[:_NAMED])
        more = f" and {len(day.wrong) - _NAMED} more" if len(day.wrong) > _NAMED else ""
        told.append(f"Gaps: {named}{more}.")
    if not day.comparable:
        told.append("No hour can be compared yet: at least three of the four weeks before must be known.")
    if day.losing and (soonest := day.losing[0]).loses_data_in_s is not None and soonest.loses_data_in_s < 86400:
        told.append(
            f"Retention deletes data that {soonest.name} has not read, beginning in {words.duration(soonest.loses_data_in_s)}."
        )
    lost = [g for g in day.groups if g.expired_unread]
    if lost:
        told.append(f"Deleted before it was read: {', '.join(f'{words.count(g.expired_unread)} records of {g.name}' for g in lost[:_NAMED])}.")  # fmt: skip
    if day.behind:
        named = ", ".join(f"{g.name} ({g.status})" for g in day.behind[:_NAMED])
        more = f" and {len(day.behind) - _NAMED} more" if len(day.behind) > _NAMED else ""
        told.append(f"Behind at some time: {named}{more}.")
    drills = [h for h in day.happenings if h.kind == "drill"]
    if drills:
        told.append(f"{words.many(len(drills), 'drill')} broke things on purpose; faults of drills are marked, too.")
    return told


def notes(day: Day) -> list[str]:
    """How the figures were obtained, and what is not known."""
    told = [
        "Counts come from Kafka's time index: the offset at the start of an hour is subtracted from that at its end. No record is read. "
        "Where a count may not be exact the table says why."
    ]
    if not day.over:
        told.append(f"The day was not over when this was made, at {words.clock(day.made_at, day.tz)}.")
    if not day.collected:
        told.append("Nothing was collected on this day (asgard heimdall collect), so lag over the day is not known.")
    elif day.gaps:
        longest = max(day.gaps, key=lambda gap: gap[1] - gap[0])
        told.append(
            f"Nothing was collected in {words.many(len(day.gaps), 'stretch')} of the day; the longest, of "
            f"{words.duration(longest[1] - longest[0])}, began at {words.clock(longest[0], day.tz)}. Counts are complete all the same."
        )
    told += [f"Not known: {what}: {why}." for what, why in list(day.problems.items())[:_NAMED]]
    return told
