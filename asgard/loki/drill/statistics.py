"""How often something held in a few runs, and how far that may be from how often it holds. Pure.

The interval is Wilson's (E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927), which
Brown, Cai and DasGupta recommend for few trials ("Interval estimation for a binomial proportion", Statistical Science 16, 2001). The
textbook's ± would say that what held in 5 of 5 runs always holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

CONFIDENCE = 0.95
_Z = 1.959963984540054  # of the normal distribution, for 95 %


@dataclass(frozen=True)
class Share:
    """Held in `kept` of `of` runs; with 95 % confidence it holds in a share from `low` to `high` of all."""

    kept: int
    of: int
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.kept} of {self.of} ({self.low:.1%} to {self.high:.1%} with 95 % confidence)"


def share(kept: int, of: int) -> Share:
    """How often something held. Raises ValueError if there were no runs, or it held in more than there were."""
    if not 0 <= kept <= of or of == 0:
        raise ValueError(f"{kept} of {of}")
    p, z2 = kept / of, _Z * _Z
    middle = (p + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z / (1 + z2 / of) * math.sqrt(p * (1 - p) / of + z2 / (4 * of * of))
    low = 0.0 if kept == 0 else max(0.0, middle - half)
    high = 1.0 if kept == of else min(1.0, middle + half)
    return Share(kept, of, low, high)
