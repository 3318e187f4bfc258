"""Refresh tokens: opaque, rotated at each use; one that comes back after its turn ends them all.

A session begins with a log-in and lasts 30 days. Its row holds the SHA-256 of the one token that
is good now. A token is the session's ID and 256 bits of chance: whoever shows another secret for
an ID that exists has an old token, so either the owner or a thief is a step behind, and nobody
can say who. The session is revoked (RFC 9700, section 4.14.2).
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from base64 import urlsafe_b64encode

import msgspec

from wherry import limits
from wherry.codec import from_msgpack, to_msgpack
from wherry.errors import Unauthenticated
from wherry.identity.state import IssuerState
from wherry.world import Chance, Clock

_TOKEN_LENGTH = 200


class Session(msgspec.Struct, frozen=True):
    """One log-in and what has become of it. Times in seconds since the epoch."""

    username: str
    secret_hash: bytes
    logged_in_s: int
    until_s: int
    revoked: bool = False


class Sessions:
    """Sessions in an `IssuerState`."""

    def __init__(self, state: IssuerState, clock: Clock, chance: Chance) -> None:
        self._state = state
        self._clock = clock
        self._chance = chance
        self._lock = threading.Lock()  # one token, one use, however many show it at once

    def begin(self, username: str) -> tuple[str, Session]:
        """Return the first refresh token of a new session, and the session."""
        now_s = self._clock.now_ms() // 1000
        name = _text(self._chance.token(16))
        return self._rotate(name, Session(username, b"", now_s, now_s + limits.REFRESH_TOKEN_S))

    def rotate(self, token: str) -> tuple[str, Session]:
        """Return the token that replaces this one, and the session. Its end does not move.

        Raises:
            Unauthenticated: The token is unknown, expired, revoked, or was used already.
        """
        with self._lock:
            name, session, current = self._find(token)
            if session is None or session.revoked:
                raise session_ended()
            if not current:
                self._revoke(name, session)
                raise session_ended()
            return self._rotate(name, session)

    def end(self, token: str) -> None:
        """Revoke the session of this token, old or current, if there is one (RFC 7009)."""
        with self._lock:
            name, session, _ = self._find(token)
            if session is not None:
                self._revoke(name, session)

    def _find(self, token: str) -> tuple[str, Session | None, bool]:
        name, _, secret = token.partition(".")
        if len(token) > _TOKEN_LENGTH or not token.isascii() or not secret:
            return "", None, False
        raw = self._state.get(f"session/{name}")
        session = from_msgpack(raw, type=Session) if raw else None
        if session is None or self._clock.now_ms() >= session.until_s * 1000:
            return "", None, False
        return name, session, hmac.compare_digest(_hash(secret), session.secret_hash)

    def _rotate(self, name: str, session: Session) -> tuple[str, Session]:
        secret = _text(self._chance.token(32))
        session = msgspec.structs.replace(session, secret_hash=_hash(secret))
        self._write(name, session)
        return f"{name}.{secret}", session

    def _revoke(self, name: str, session: Session) -> None:
        self._write(name, msgspec.structs.replace(session, revoked=True, secret_hash=b""))

    def _write(self, name: str, session: Session) -> None:
        self._state.put(f"session/{name}", to_msgpack(session), expires_at_s=session.until_s)


def session_ended() -> Unauthenticated:
    """Return the error for a refresh token that is good no more; never told why."""
    return Unauthenticated(
        "The session has ended. Log in again.",
        extra={"reason": "session"},
        headers={"WWW-Authenticate": "Bearer"},
    )


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")
