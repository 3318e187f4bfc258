"""How often a password may be tried.

The rule. Guesses are counted in lanes. Every account has an open lane, for log-ins from devices
that nobody knows; and one lane for each device where its owner has logged in before, which the
device proves with a token that it was given then (OWASP, "Device cookies").

- In a lane, 5 failures in a row cost nothing. After each further one the lane is closed for
  1, 2, 4, ... s, at most 15 minutes. After 100 in a row (NIST SP 800-63B) it takes one attempt a
  day. A closed lane answers 429 with Retry-After, looks at no password, and is not closed any
  longer by the attempts it refuses. A success ends the row; so do two days without a failure.
- A stranger can close the open lane and keep it closed, for no rule can tell a stranger from the
  owner at a new device otherwise than by the password, which is what must not be tried freely.
  The stranger cannot touch the lane of a known device, nor a session: the honest user logs in
  from any device used before, from sign-up on, at any time. Only a device that is new while the
  attack lasts has to share the open lane's attempts; none is ever shut for good.
- An attempt counts as failed from before its password is hashed until it has succeeded, so
  that many at once are no way around the delay. A name without an account has a lane as well.
"""

from __future__ import annotations

import threading

import msgspec

from wherry import limits
from wherry.codec import from_msgpack, to_msgpack
from wherry.errors import TooManyRequests
from wherry.identity.state import IssuerState
from wherry.world import Clock


class Lane(msgspec.Struct, frozen=True):
    """Failures in a row, and when the last one was (milliseconds since the epoch)."""

    failures: int = 0
    last_ms: int = 0


def delay_s(failures: int) -> int:
    """Return for how long a lane is closed after the last of so many failures."""
    if failures >= limits.LOGIN_FAILURES:
        return limits.LOGIN_CLOSED_S
    over = failures - limits.LOGIN_FREE_FAILURES
    if over <= 0:
        return 0
    return int(min(limits.LOGIN_DELAY_S << (over - 1), limits.LOGIN_DELAY_MAX_S))


class Throttle:
    """Counts attempts in lanes that outlive the process."""

    def __init__(self, state: IssuerState, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self._lock = threading.Lock()

    def check(self, lane: str) -> None:
        """Raise `TooManyRequests` if the lane is closed."""
        self._open(lane)

    def enter(self, lane: str) -> None:
        """Count an attempt as failed, for now; or raise `TooManyRequests`."""
        with self._lock:
            failures = min(self._open(lane).failures + 1, limits.LOGIN_FAILURES)
            self._write(lane, Lane(failures, self._clock.now_ms()))

    def succeed(self, lane: str) -> None:
        """End the row of failures."""
        with self._lock:
            self._write(lane, Lane())

    def _open(self, lane: str) -> Lane:
        raw = self._state.get(f"lane/{lane}")
        found = from_msgpack(raw, type=Lane) if raw else Lane()
        now_ms = self._clock.now_ms()
        if found.last_ms > now_ms:  # the clock was set back: the delay begins again, once
            found = Lane(found.failures, now_ms)
            self._write(lane, found)
        elapsed_ms = now_ms - found.last_ms
        if elapsed_ms >= limits.LOGIN_FORGOTTEN_S * 1000:
            return Lane()
        wait_ms = delay_s(found.failures) * 1000 - elapsed_ms
        if wait_ms > 0:
            raise TooManyRequests(
                "Too many log-ins to this account have failed. Try again later.",
                headers={"Retry-After": str(-(-wait_ms // 1000))},
            )
        return found

    def _write(self, lane: str, value: Lane) -> None:
        until_s = self._clock.now_ms() // 1000 + limits.LOGIN_FORGOTTEN_S
        self._state.put(f"lane/{lane}", to_msgpack(value), expires_at_s=until_s)
