"""Unread data comes near retention: the alert is first, the recipe keeps it, and nothing expires unread, with the wait for it.

The test of the same way leaves the wait out: here a topic without a reader loses its records, and the two that groups still read do not.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from tests.harness import RealCluster
from tests.integration.test_unread_data_is_kept import CONFIG, EXTRA_S, RECORDS, RETENTION_S, kept_until_read

LEFT_S = 240


def prove() -> tuple[dict[str, object], list[str]]:
    """The figures, and what went wrong."""
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        home = os.environ["ASGARD_HOME"] = folder
        with RealCluster(Path(home) / "kafka", brokers=1, security="none", config=CONFIG) as cluster:
            began = time.monotonic()
            try:
                kept_until_read(cluster, Path(home), Path(home), left_s=LEFT_S, expires=True)
            except AssertionError as why:
                wrong.append(str(why))
            took = round(time.monotonic() - began)
    figures: dict[str, object] = {
        "topics_with_unread_data": 2,
        "records_each": RECORDS,
        "retention_s": RETENTION_S,
        "left_until_expiry_s": LEFT_S,
        "raised_by_s": EXTRA_S,
        "expired_unread": 0 if not wrong else None,
        "whole_way_s": took,
    }
    return figures, wrong
