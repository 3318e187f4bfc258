"""Arithmetic on samples."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(samples: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: the least sample that `percent` of all do not exceed.

    `percent` above 0 and up to 100. Raises ValueError without samples.
    """
    if not samples:
        raise ValueError("there are no samples")
    if not 0 < percent <= 100:
        raise ValueError("a percentile is above 0 and at most 100")
    ordered = sorted(samples)
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]
