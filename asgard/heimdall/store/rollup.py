"""Samples into minutes, hours and days. Pure: arrays in, arrays out.

For a topic a period holds the records that arrived (the sum of end offset moves), for a group the largest and the last lag, the
oldest unread record, and the worst status; for the cluster the worst of each. A rollup merged sample by sample equals one built
from all its samples at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from asgard.heimdall.store.pack import Arrays

Numbers = NDArray[np.int64]


def period(sample: Arrays, before: Arrays | None) -> Arrays:
    """The rollup of one sample: what arrived since the sample before it. Without one, nothing is known to have arrived."""
    return {
        "t_id": sample["t_id"],
        "t_records": arrived(sample, before),
        "g_id": sample["g_id"],
        "g_lag_max": sample["g_lag"],
        "g_lag": sample["g_lag"],
        "g_time": sample["g_time"],
        "g_status": sample["g_status"],
        "g_expired": sample["g_expired"],
        "c_brokers": sample["c_brokers"],
        "c_under": sample["c_under"],
        "c_offline": sample["c_offline"],
        "c_samples": np.ones(1, np.int64),
    }


def arrived(sample: Arrays, before: Arrays | None) -> Numbers:
    """Records by topic since the sample before.

    For a new or recreated partition, everything it holds counts. One whose leader did not answer in either
    sample counts for nothing until two samples in a row have it.
    """
    if before is None:
        return np.zeros(len(sample["t_id"]), np.int64)
    was_at = {
        t: (b, n)
        for t, b, n in zip(before["t_id"].tolist(), begins(before["t_n"]).tolist(), before["t_n"].tolist(), strict=True)
    }
    end, start = sample["end"], np.maximum(sample["start"], 0)
    was = start.copy()
    for topic, begin, size in zip(
        sample["t_id"].tolist(), begins(sample["t_n"]).tolist(), sample["t_n"].tolist(), strict=True
    ):
        there = was_at.get(topic)
        if there is not None:
            both = min(there[1], size)
            old = before["end"][there[0] : there[0] + both]
            now = end[begin : begin + both]
            made_anew = (now >= 0) & (old > now)
            was[begin : begin + both] = np.where(old < 0, now, np.where(made_anew, start[begin : begin + both], old))
    return _by_topic(np.where(end >= 0, end - was, 0), sample["t_n"])


def merge(one: Arrays, other: Arrays) -> Arrays:
    """Two periods as one; `other` is the later."""
    topics, t_one, t_other = _union(one["t_id"], other["t_id"])
    groups, g_one, g_other = _union(one["g_id"], other["g_id"])
    records = np.zeros(len(topics), np.int64)
    records[t_one] += one["t_records"]
    records[t_other] += other["t_records"]
    merged: Arrays = {"t_id": topics, "t_records": records, "g_id": groups}
    for name in ("g_lag_max", "g_status", "g_expired"):
        merged[name] = np.maximum(
            _spread(one[name], g_one, len(groups), -1), _spread(other[name], g_other, len(groups), -1)
        )
    times = [_spread(found["g_time"], at, len(groups), np.nan) for found, at in ((one, g_one), (other, g_other))]
    merged["g_time"] = np.fmax(*times)
    last = _spread(one["g_lag"], g_one, len(groups), -1)
    last[g_other] = other["g_lag"]
    merged["g_lag"] = last
    merged["c_brokers"] = np.minimum(one["c_brokers"], other["c_brokers"])
    merged["c_under"] = np.maximum(one["c_under"], other["c_under"])
    merged["c_offline"] = np.maximum(one["c_offline"], other["c_offline"])
    merged["c_samples"] = one["c_samples"] + other["c_samples"]
    return merged


def begins(counts: Numbers) -> Numbers:
    """Where each run of these lengths begins."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)[:-1]]).astype(np.int64) if len(counts) else counts


def _by_topic(values: Numbers, counts: Numbers) -> Numbers:
    sums = np.concatenate([np.zeros(1, np.int64), np.cumsum(values)])
    begin = begins(counts)
    return np.asarray(sums[begin + counts] - sums[begin], np.int64)


def _union(one: Numbers, other: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    both = np.union1d(one, other)
    return both, np.searchsorted(both, one), np.searchsorted(both, other)


def _spread(values: NDArray[Any], at: Numbers, size: int, empty: float) -> NDArray[Any]:
    out = np.full(size, empty, values.dtype)
    out[at] = values
    return out
