"""Ride bookings, as a taxi company's services would send them: for the demo and for loads. The same seed gives the same events."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass

CITIES = ("Barcelona", "Cairo", "Istanbul", "Lagos", "Lisbon", "Mexico City", "Mumbai", "Nairobi")
CLASSES = ("economy", "comfort", "van", "electric")


@dataclass(frozen=True, slots=True)
class RideEvent:
    """One event: topic, key (the ride's id, so that a ride's events stay in order), value (JSON), event time (ms, UTC)."""

    topic: str
    key: bytes
    value: bytes
    at_ms: int


def rides(count: int, seed: int, start_ms: int, every_ms: float = 1.0) -> Iterator[RideEvent]:
    """`count` events: bookings, and for two in three of them the completed ride, from `start_ms` on."""
    source = random.Random(seed)
    made, clock = 0, float(start_ms)
    while made < count:
        clock += source.expovariate(1 / every_ms)
        ride = f"{source.getrandbits(48):012x}"
        booking = {
            "ride": ride,
            "rider": f"r{source.randrange(50_000)}",
            "city": source.choice(CITIES),
            "class": source.choice(CLASSES),
            "at": int(clock),
        }
        yield _event("rides.booked", booking)
        made += 1
        if made < count and source.random() < 2 / 3:
            kilometres = round(source.lognormvariate(1.6, 0.6), 1)
            done = {**booking, "at": int(clock) + source.randrange(300_000, 3_600_000), "km": kilometres}
            yield _event("rides.completed", {**done, "fare": round(2.5 + 1.4 * kilometres, 2)})
            made += 1


def _event(topic: str, body: dict[str, object]) -> RideEvent:
    return RideEvent(
        topic, str(body["ride"]).encode(), json.dumps(body, separators=(",", ":")).encode(), int(str(body["at"]))
    )
