"""Ticks of an axis and numbers as people read them. Pure. Values are counts, seconds, bytes, fractions, or those per second."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from asgard.core.pages.parts import Unit
from asgard.core.units import format_duration, format_size

_CLOCK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_ELAPSED_STEPS = (10, 20, 30, *_CLOCK_STEPS[6:])
MANY = 86400
_LEAST = 1e-12  # below it, a value counts as zero


@dataclass(frozen=True)
class Scale:
    """An axis: where it begins and ends, its ticks, and where a value lies on it (0 to 1)."""

    low: float
    high: float
    ticks: Sequence[float]
    log: bool = False

    def place(self, value: float) -> float:
        """From 0 (low) to 1 (high)."""
        if self.log:
            value = max(value, self.low)
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def linear(values: Sequence[float], unit: Unit, *, count: int = 4) -> Scale:
    """From zero (or the lowest value below it) to a round number above the highest."""
    low, high = min(0.0, *values), max(0.0, *values)
    if high - low < _LEAST:
        high = low + 1.0
    step = _step(high - low, count, unit)
    bottom = math.floor(low / step + 1e-9) * step
    top = max(
        math.ceil(high / step - 1e-9) * step, bottom + step
    )  # at least one step, even if all values are close to zero
    return Scale(bottom, top, _multiples(bottom, top, step))


def logarithmic(values: Sequence[float], *, count: int = 5) -> Scale:
    """Between powers of ten; with at most `count` ticks. Values of zero and below lie on its lower end."""
    positive = [value for value in values if value > _LEAST] or [1.0]
    first, last = math.floor(math.log10(min(positive)) + 1e-9), math.ceil(math.log10(max(positive)) - 1e-9)
    last = max(last, first + 1)
    every = math.ceil((last - first + 1) / count)
    return Scale(10.0**first, 10.0**last, [10.0**power for power in range(first, last + 1, every)], log=True)


def span(low: float, high: float, unit: Unit, *, count: int = 6) -> Scale:
    """Exactly from low to high, as for elapsed time and values along x."""
    if high <= low:
        high = low + 1.0
    step = _step(high - low, count, unit)
    return Scale(low, high, _multiples(math.ceil(low / step - 1e-9) * step, high, step))


def clock(low: float, high: float, zone: tzinfo, *, count: int = 6) -> Scale:
    """Unix times, with ticks at round times of the day of `zone`."""
    if high <= low:
        high = low + 1.0
    step = next((s for s in _CLOCK_STEPS if (high - low) / s <= count), None)
    if step is None:
        step = math.ceil((high - low) / count / MANY) * MANY
    ticks, at = [], math.floor(low)
    while at <= high:
        local = datetime.fromtimestamp(at, zone)
        into = local.hour * 3600 + local.minute * 60 + local.second
        if step > MANY:
            into += local.toordinal() % (step // MANY) * MANY
        if into % step == 0 and at >= low:
            ticks.append(float(at))
        at += min(step, 3600) - into % min(step, 3600)
    return Scale(low, high, ticks)


def clock_words(low: float, high: float, zone: tzinfo) -> Callable[[float], str]:
    """`14:05`, with seconds if the whole axis is short, with the date if it is long."""
    form = "%H:%M:%S" if high - low < 600 else "%H:%M" if high - low <= MANY * 1.1 else "%b %-d"
    return lambda at: datetime.fromtimestamp(at, zone).strftime(form)


def short(value: float, unit: Unit) -> str:
    """A tick: `0`, `1.5k`, `250 ms`, `2 s`, `10 min`, `1.5 GiB`, `80%`."""
    if value == 0:
        return "0"
    if unit == "seconds":
        return _short_seconds(value)
    if unit in ("bytes", "bytes_per_s"):
        return format_size(value).replace(".0 ", " ") + ("/s" if unit == "bytes_per_s" else "")
    if unit == "percent":
        return f"{value * 100:.3g}%"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def exact(value: float | None, unit: Unit) -> str:
    """A value to read off: `1,234`, `1,234/s`, `3.21 ms`, `9.4 s`."""
    if value is None:
        return "-"
    if value == 0:
        return {"seconds": "0 s", "per_s": "0/s"}.get(unit, "0")
    if unit == "seconds":
        return f"{value * 1000:.3g} ms" if abs(value) < 1 else format_duration(value)
    if unit in ("bytes", "bytes_per_s"):
        return format_size(value) + ("/s" if unit == "bytes_per_s" else "")
    if unit == "percent":
        return f"{value * 100:.1f} %"
    number = f"{value:,.0f}" if value == round(value) or abs(value) >= 100 else f"{value:,.2f}".rstrip("0").rstrip(".")
    return number + ("/s" if unit == "per_s" else "")


def elapsed_words(high: float) -> Callable[[float], str]:
    """Ticks of time since a start: in seconds on an axis of up to three minutes."""
    if high <= 180:
        return lambda at: f"{at:.4g} s"
    return lambda at: _short_seconds(at) if at else "0"


def elapsed(seconds: float) -> str:
    """Time since a start, to a tenth of a second in the first minute."""
    return f"{seconds:.3g} s" if seconds < 10 else f"{seconds:.1f} s" if seconds < 60 else format_duration(seconds)


def _short_seconds(value: float) -> str:
    if abs(value) < 1e-3:
        return f"{value * 1e6:.3g} µs"
    if abs(value) < 1:
        return f"{value * 1000:.3g} ms"
    for size, word in ((86400, "d"), (3600, "h"), (60, "min")):
        if abs(value) >= size and value / size * 2 == round(value / size * 2):
            return f"{value / size:g} {word}"
    return f"{value:.4g} s"


def _step(width: float, count: int, unit: Unit) -> float:
    """A round step that cuts `width` into at most `count` parts."""
    least = width / count
    if unit == "seconds" and least > 5:
        return next((float(s) for s in _ELAPSED_STEPS if s >= least), math.ceil(least / MANY) * float(MANY))
    if unit in ("bytes", "bytes_per_s"):
        return 2.0 ** max(0, math.ceil(math.log2(least) - 1e-9))
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * nice for nice in (1, 2, 5, 10) if power * nice >= least * (1 - 1e-9))


def _multiples(first: float, last: float, step: float) -> list[float]:
    count = math.floor((last - first) / step + 1e-9)
    return [round(first + i * step, 12) for i in range(count + 1)]
