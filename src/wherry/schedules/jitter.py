"""A flexible time window: many schedules of one moment are spread over it."""

from __future__ import annotations

from wherry import limits


def jittered(firing_ms: int, window_s: int, key: str) -> int:
    """Return when to run a firing: at or after its time, before its window ends.

    Args:
        firing_ms: When the schedule fires.
        window_s: 0 (no window) to 86,400 (AWS: FlexibleTimeWindow of 1 to 1,440 minutes).
        key: The same key has the same place in every window, on every machine: with the name of
            the schedule its runs are spread among others and stay as far apart as its firings.

    Raises:
        ValueError: The window is out of its bounds.
    """
    if not 0 <= window_s <= limits.SCHEDULE_WINDOW_MAX_S:
        raise ValueError(f"window_s is {window_s}; 0 to {limits.SCHEDULE_WINDOW_MAX_S} are allowed")
    if window_s == 0:
        return firing_ms
    from hashlib import blake2b

    digest = blake2b(key.encode(), digest_size=8).digest()
    return firing_ms + int.from_bytes(digest, "big") % (window_s * 1000)
