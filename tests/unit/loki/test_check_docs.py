"""docs/loki-check.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from asgard.loki.check.anomalies import Anomaly
from asgard.loki.check.catalogue import look
from asgard.loki.check.history import SUFFIX, Acked, End, HistoryFiles, Producer, Sent, Start
from asgard.loki.check.promises import TABLE, Mode

PAGE = Path(__file__).parents[3] / "docs" / "loki-check.md"
MODES = {
    "acks=0": Mode("0", idempotence=False),
    "acks=1": Mode("1", idempotence=False),
    "acks=all": Mode("all", idempotence=False),
    "idempotence": Mode(),
    "transactions": Mode(transactions=True),
    "subscribe": Mode(subscribe=True),
    "unclean election": Mode(unclean_election=True),
}


def table() -> list[str]:
    """The table of promises, as the page has it."""
    lines = [["case", "promise", *MODES], ["---"] * (len(MODES) + 2)]
    for rule in TABLE:
        where = f" ({rule.case.circumstance})" if rule.case.circumstance else ""
        breaks = ["breaks" if rule.promise and rule.holds(mode) else "–" for mode in MODES.values()]
        lines.append([f"{rule.case.anomaly}{where}", str(rule.promise or "none"), *breaks])
    return [f"| {' | '.join(line)} |" for line in lines]


def test_the_table_of_promises_is_that_of_the_code() -> None:
    assert "\n".join(table()) in PAGE.read_text()


def test_every_anomaly_is_defined() -> None:
    for anomaly in Anomaly:
        assert re.search(rf"^\| {anomaly}\b.* \|", PAGE.read_text(), re.M), anomaly


def test_the_worked_example_of_the_format_can_be_read(tmp_path: Path) -> None:
    (example,) = re.findall(r"```hex\n(.*?)```", PAGE.read_text(), re.S)
    (tmp_path / f"p{SUFFIX}").write_bytes(bytes.fromhex(re.sub(r"#.*", "", example)))
    source = HistoryFiles(tmp_path)
    assert not source.torn
    blocks = [block for _, block in source.blocks()]
    assert [type(block) for block in blocks] == [Start, Producer, Sent, Acked, End]
    (acked,) = (block for block in blocks if isinstance(block, Acked))
    assert (acked.producer, acked.topic, acked.partition) == (7, "t", 0)
    assert (acked.sequences.values().tolist(), acked.offsets.values().tolist()) == ([0, 1, 2], [100, 101, 103])
    catalogue = look(source)
    assert (catalogue.run.hex(), catalogue.killed, catalogue.sent) == (
        "00112233445566778899aabbccddeeff",
        set(),
        {("t", 7): 3},
    )
