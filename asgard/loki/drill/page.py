"""The page a stakeholder reads after a drill: what broke, whether anything was lost, how long users noticed; then the evidence. Pure.

One file that needs no network. Of several runs it shows the worst.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from asgard.core.pages.parts import (
    Command,
    Evidence,
    Facts,
    Figure,
    Figures,
    Mark,
    Moment,
    Part,
    Section,
    Timeline,
    Tone,
    Verdict,
)
from asgard.core.pages.render import render
from asgard.core.units import format_duration
from asgard.loki.drill import tables
from asgard.loki.drill.result import Drill, Series, Struck
from asgard.loki.drill.times import ALLOWED_S
from asgard.loki.load.page import EVIDENCE, charts, lost_figure, table
from asgard.loki.load.verdict import milliseconds

_DEFINITIONS = (
    ("noticed", "Time from the fault until Thor saw that a broker did not answer, or that Kafka reported it."),
    ("by Kafka", "Time from the fault until Kafka's metadata showed it. Only then do leaders change."),
    ("recovered", "Time from the fault until every replica of every partition was in sync again."),
    (
        "blocked",
        f"Time during which a record that was due was not acknowledged (producers) or not delivered (consumers) within {ALLOWED_S:g} s. "
        "One partition is enough.",
    ),
    ("lost", "Acknowledged, but not found afterwards by a consumer that read everything from the beginning."),
)


def page(series: Series) -> str:
    """The page as text."""
    shown, alone = worst(series.runs), len(series.runs) == 1
    run = "" if alone else f" in the run with seed {shown.seed}"
    parts: list[Part] = [verdict(series), Figures(_figures(series))]
    if not alone:
        parts.append(table("How often each promise held", tables.often(series)))
    parts.append(Timeline(f"What happened{run}", moments(shown)))
    parts.append(Section(f"What users saw{run}", charts(shown.load, marks(shown)), columns=True))
    parts.append(Section("The figures", _tables(series, shown)))
    parts.append(Evidence([*_known(shown)], EVIDENCE))
    parts.append(Command(series.command, "Repeat this drill"))
    parts.append(_facts(series, shown))
    parts.append(Facts("What the words mean", _DEFINITIONS))
    began = shown.load.began_at
    return render(
        f"{'Passed' if series.passed else 'Failed'}: {series.scenario} on {series.cluster}, {_fate(series)}",
        parts,
        eyebrow=f"Disaster drill {series.scenario} on {series.cluster} · {began[:16].replace('T', ' ')} UTC",
        made_at=datetime.fromisoformat(began.replace("Z", "+00:00")),
    )


def worst(runs: Sequence[Drill]) -> Drill:
    """The run that is shown: the first that did not pass, else the one in which producers were blocked longest."""
    failed = next((run for run in runs if not run.passed), None)
    return failed or max(runs, key=lambda run: run.producers_waited_s)


def verdict(series: Series) -> Verdict:
    """Lost records first, then what else did not hold, then the healing."""
    runs, shown = series.runs, worst(series.runs)
    lost, acknowledged = sum(run.lost for run in runs), sum(run.acknowledged for run in runs)
    several = f" in {len(runs)} drills" if len(runs) > 1 else ""
    broken = [promise for promise in shown.promises if not promise.kept]
    if lost:
        verb = "was" if lost == 1 else "were"
        headline = f"{lost:,} of {acknowledged:,} acknowledged records {verb} lost{several}."
    elif not acknowledged:
        headline = "The cluster acknowledged no records."
    elif not all(_decided(run) for run in runs):
        headline = "It could not be determined whether records were lost."
    elif shown.loses:
        headline = "Nothing was lost this time, so this drill proves nothing."
    elif broken:
        headline = f"Nothing was lost{several}, but {len(broken)} of {len(shown.promises)} promises did not hold."
    elif (healed := _healed(runs)) is not None:
        most = "within" if len(runs) > 1 or len(shown.faults) > 1 else "in"
        headline = f"Nothing was lost{several}. The cluster healed itself {most} {format_duration(healed)}."
    else:
        headline = f"Nothing was lost{several}."
    told = [_broke(series, shown)]
    told += [f"Did not hold: {promise.words} ({promise.seen})." for promise in broken if promise.name != "kept"]
    if shown.loses:
        told.append("This scenario loses records on purpose: it uses acks=1 and lets a broker without them take over.")
    tone: Tone = "good" if series.passed else "warn" if not lost and acknowledged else "bad"
    return Verdict("Passed" if series.passed else "Failed", headline, tone, told)


def moments(run: Drill) -> list[Moment]:
    """What happened in a run, by time."""
    found: list[tuple[float, Moment]] = []

    def add(at_s: float, text: str, tone: Tone, detail: str = "") -> None:
        found.append((at_s, Moment(format_duration(at_s), text, tone, detail)))

    several = len(run.faults) > 1
    for fault in run.faults:
        which = f" ({fault.text})" if several else ""
        add(fault.at_s, _capital(fault.text), "bad")
        if fault.kafka_s is not None and fault.heals:
            add(fault.at_s + fault.kafka_s, f"Kafka's metadata shows the failure; leaders change{which}", "info")
        if fault.noticed_s is not None:
            add(fault.at_s + fault.noticed_s, f"Thor notices{which}", "info")
        if fault.healed_s is None:
            add(run.load.seconds, f"Not recovered: {fault.text}", "bad", fault.healing or "The drill restored it.")
        else:
            after = f"{format_duration(fault.healed_s)} after the fault. {_capital(fault.healing)}"
            add(fault.at_s + fault.healed_s, f"Recovered: every replica is in sync{which}", "good", after.strip())
    for at_s, text in _blocked(run):
        add(at_s, text, "warn", "On at least one partition.")
    return [moment for _, moment in sorted(found, key=lambda pair: pair[0])]


def _blocked(run: Drill) -> list[tuple[float, str]]:
    """When producers and consumers were blocked; those that began together are reported together."""
    found, rest = [], list(run.consumers_waited)
    for stretch in run.producers_waited:
        text = f"Producers are blocked for {format_duration(stretch.seconds)}"
        beside = next((other for other in rest if abs(other.from_s - stretch.from_s) <= ALLOWED_S), None)
        if beside is not None:
            rest.remove(beside)
            text += f", consumers for {format_duration(beside.seconds)}"
        found.append((stretch.from_s, text))
    return found + [(s.from_s, f"Consumers are blocked for {format_duration(s.seconds)}") for s in rest]


def marks(run: Drill) -> list[Mark]:
    """Faults and healings, for the charts, and workers of the load that were lost."""
    found = [Mark(m.at_s, m.text, m.until_s, "fault") for m in run.load.marks if m.text.startswith("worker ")]
    for fault in run.faults:
        end_s = fault.at_s + fault.healed_s if fault.healed_s is not None else run.load.seconds
        noticed_s = fault.at_s + fault.noticed_s if fault.noticed_s is not None else None
        heals = fault.heals and noticed_s is not None and fault.healed_s is not None
        found.append(Mark(fault.at_s, fault.text, noticed_s if heals else end_s, "fault"))
        if heals and noticed_s is not None:
            found.append(Mark(noticed_s, "Thor heals", end_s, "healing"))
    return found


def _figures(series: Series) -> list[Figure]:
    runs = series.runs
    lost, acknowledged = sum(run.lost for run in runs), sum(run.acknowledged for run in runs)
    found = [lost_figure(lost, acknowledged, all(_decided(run) for run in runs))]
    several = "longest of all drills; " if len(runs) > 1 else ""
    for who, seconds, wait in (
        ("Producers", max(run.producers_waited_s for run in runs), [run.worst_s for run in runs]),
        ("Consumers", max(run.consumers_waited_s for run in runs), [run.worst_end_to_end_s for run in runs]),
    ):
        known = [value for value in wait if value is not None]
        note = f"{several}slowest record {milliseconds(max(known))}" if known else several
        value = format_duration(seconds) if seconds else "not at all"
        found.append(Figure(f"{who} blocked", value, note, "warn" if seconds else "good"))
    faults = [fault for run in runs for fault in run.faults]
    healed = _healed(runs, every=False)
    stuck = sum(1 for fault in faults if fault.healed_s is None or fault.by_hand)
    if stuck:
        found.append(Figure("Time to heal", "not healed", f"{stuck} of {len(faults)} faults", "bad"))
    elif healed is not None:
        note = f"longest of {len(faults)} faults" if len(faults) > 1 else _noticed(faults[0])
        found.append(Figure("Time to heal", format_duration(healed), note))
    if len(runs) > 1:
        passed = sum(run.passed for run in runs)
        found.append(Figure("Drills passed", f"{passed} of {len(runs)}", "", "good" if passed == len(runs) else "bad"))
    else:
        found.append(Figure("Records acknowledged", f"{acknowledged:,}", _duplicates(runs[0])))
    return found


def _tables(series: Series, shown: Drill) -> list[Part]:
    seed = "" if len(series.runs) == 1 else f" (seed {shown.seed})"
    return [
        table(f"Promises{seed}", tables.promises(shown)),
        table("Faults", tables.faults(series)),
        table("Records", tables.records(series)),
    ]


def _known(run: Drill) -> list[str]:
    """The story in words: it names what was checked, and why something happened."""
    told = [
        "Records were sent at a constant rate to all partitions, whether or not earlier ones were acknowledged. Every record carries a number; a fresh "
        "consumer then read the topic from its beginning and compared it with the acknowledgements of the producers."
    ]
    return [*told, *run.story]


def _facts(series: Series, run: Drill) -> Facts:
    load = run.load
    first = load.scenario.producers[0].stages[0]
    facts = [
        ("cluster", f"{series.cluster} ({series.cluster_id})"),
        ("started", f"{load.began_at[:19].replace('T', ' ')} UTC"),
        ("seed", str(run.seed)),
        ("load", f"{first.to_per_s:,.0f} records/s for {format_duration(load.seconds)}"),
        ("sent with", load.check.mode if load.check else ""),
    ]
    return Facts("Facts", [(name, value) for name, value in facts if value])


def _broke(series: Series, run: Drill) -> str:
    rate = run.load.scenario.producers[0].stages[0].to_per_s
    what = (
        ", then ".join(f"{fault.text} {format_duration(fault.at_s)} after the start" for fault in run.faults)
        or run.about
    )
    who = "What broke" if len(series.runs) == 1 else f"What broke in the run with seed {run.seed}"
    return f"{who}: {what}, while {rate:,.0f} records/s were produced and consumed."


def _fate(series: Series) -> str:
    lost = sum(run.lost for run in series.runs)
    return f"{lost:,} records lost" if lost else "nothing lost" if all(map(_decided, series.runs)) else "not decided"


def _decided(run: Drill) -> bool:
    return run.load.check is not None and run.load.check.outcome != "undecided"


def _healed(runs: Sequence[Drill], *, every: bool = True) -> float | None:
    """The longest time to heal. None: nothing had to heal, or (`every`) something did not."""
    faults = [fault for run in runs for fault in run.faults if fault.heals or not every]
    times = [fault.healed_s for fault in faults if fault.healed_s is not None]
    return max(times) if times and (len(times) == len(faults) or not every) else None


def _noticed(fault: Struck) -> str:
    return "" if fault.noticed_s is None else f"noticed after {format_duration(fault.noticed_s)}"


def _duplicates(run: Drill) -> str:
    return f"{run.duplicates:,} duplicated" if run.duplicates else "none duplicated" if _decided(run) else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
