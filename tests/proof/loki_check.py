"""The check in full: 100 million records in bounded memory and linear time, and verdicts on real losses, counted by hand as well."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from asgard.kafka.admin import connect
from asgard.loki.check.verdict import CheckOutcome, CheckVerdict
from asgard.loki.check.verify import verify as verdict_on
from tests.benchmarks.bench_check import figures
from tests.harness import RealCluster
from tests.harness.recorded import (
    RecordedLoad,
    in_sync,
    keep_with_min_isr_2,
    lose_with_acks_1,
    lose_with_all_disks,
    lose_with_min_isr_1,
)

ROUNDS = 3
SIZES = (1_000_000, 10_000_000, 100_000_000)
PEAK_BYTES = 2 * 1024**3
SLOWER = 1.5
"""How much more CPU a record may take among 100 million than among 10: memory beyond the processor's cache is slower."""
SCENARIOS: dict[str, tuple[Callable[[RealCluster, RecordedLoad, str], int | None], bool, CheckOutcome]] = {
    "acks=all, RF 3, min ISR 2: the leader is killed": (keep_with_min_isr_2, False, CheckOutcome.KEPT),
    "acks=1: the leader dies before its follower has what it acknowledged": (lose_with_acks_1, True, CheckOutcome.KEPT),
    "acks=all, min ISR 1: an unclean election": (lose_with_min_isr_1, True, CheckOutcome.KEPT),
    "acks=all, RF 3, min ISR 2: every replica's directory is deleted": (lose_with_all_disks, True, CheckOutcome.BROKEN),
}
"""What is done; whether it loses records; what the verdict has to be (`kept`: Kafka promised nothing in that mode)."""


def prove() -> tuple[dict[str, object], list[str]]:
    """Both parts."""
    costs, wrong = _costs()
    verdicts, more = _verdicts()
    return {"costs": costs, "verdicts": verdicts}, wrong + more


def _costs() -> tuple[list[dict[str, float]], list[str]]:
    found = figures(*SIZES)
    wrong = []
    if found[-1]["peak_mb"] * 1e6 > PEAK_BYTES:
        wrong.append(f"{SIZES[-1]:,} records took {found[-1]['peak_mb']} MB")
    if found[-1]["cpu_ns_a_record"] > SLOWER * found[-2]["cpu_ns_a_record"]:
        wrong.append(f"a record among {SIZES[-1]:,} took {found[-1]['cpu_ns_a_record']} ns: not linear")
    return found, wrong


def _verdicts() -> tuple[list[dict[str, object]], list[str]]:
    found: list[dict[str, object]] = []
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder, RealCluster(Path(folder) / "kafka", brokers=3) as cluster:
        for number in range(ROUNDS):
            for place, (name, (scenario, loses, outcome)) in enumerate(SCENARIOS.items()):
                topic = f"t-{number}-{place}"
                load = RecordedLoad(Path(folder) / topic, cluster.connection)
                died = scenario(cluster, load, topic)
                load.recorder.close()
                by_hand = load.lost_by_hand(topic)
                first = _verdict(cluster, load.directory)
                if died is not None:
                    cluster.start_node(died)
                cluster.all_up()
                if died is not None:
                    in_sync(cluster, topic, 2)
                last = _verdict(cluster, load.directory)
                found.append({"round": number, "scenario": name, "lost_by_hand": by_hand, **_figures(first, last)})
                print(found[-1], flush=True)
                kept = first.outcome is outcome and first.lost == last.lost == by_hand and (by_hand > 0) == loses
                copies = {died: by_hand} if died is not None else {}
                where = not loses or (_in_kafka(first) == _in_kafka(last) == by_hand and _copies(first) == copies)
                if not (kept and where and _copies(last) == {}):
                    wrong.append(f"round {number}, {name}: {first}, then {last}")
    return found, wrong


def _verdict(cluster: RealCluster, directory: Path) -> CheckVerdict:
    with connect(cluster.connection) as control:
        nodes = [cluster.run_dir(node) for node in cluster.specs]
        return verdict_on(directory, cluster.connection, control, nodes=nodes, settle_s=2)


def _figures(first: CheckVerdict, last: CheckVerdict) -> dict[str, object]:
    return {
        "acknowledged": first.counts.acknowledged,
        "lost": first.lost,
        "lost_in_kafka": _in_kafka(first),
        "copies_left_on_dead_brokers": sum(_copies(first).values()),
        "copies_left_after_their_return": sum(_copies(last).values()),
        "outcome": str(first.outcome),
        "sentence": first.sentence,
    }


def _in_kafka(verdict: CheckVerdict) -> int:
    return verdict.traces.in_kafka if verdict.traces else 0


def _copies(verdict: CheckVerdict) -> dict[int, int]:
    return dict(verdict.traces.left_on) if verdict.traces else {}
