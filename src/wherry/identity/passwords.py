"""Passwords: which ones are taken, and argon2id in a bounded number of slots.

Length and blocklist follow NIST SP 800-63B (no rules of composition, no forced change); the cost
is OWASP's minimum: 19 MiB, two passes, one lane, some 30-80 ms of one core.
"""

from __future__ import annotations

import threading
from types import TracebackType

from wherry import limits
from wherry.errors import TooManyRequests
from wherry.world import Chance

_SALT_BYTES = 16
_HASH_BYTES = 32

_common: frozenset[str] | None = None


def password_faults(password: str, username: str) -> list[str]:
    """Return what is wrong with a new password, each as a sentence; nothing if it is taken."""
    faults = []
    if len(password) < limits.PASSWORD_MIN:
        faults.append(f"must have at least {limits.PASSWORD_MIN} characters")
    if not fits(password):
        faults.append(f"must have at most {limits.PASSWORD_MAX_BYTES} bytes of valid text")
    plain = password.casefold()
    if plain in _common_passwords():
        faults.append("is among the most common passwords; choose another")
    name = username.casefold()
    if name and plain in (name, name.partition("@")[0]):
        faults.append("must not be the username")
    return faults


def fits(password: str) -> bool:
    """Tell whether a password can be hashed: bounded, and text that has bytes."""
    try:
        return len(_bytes(password)) <= limits.PASSWORD_MAX_BYTES
    except UnicodeEncodeError:  # a lone surrogate
        return False


def _bytes(password: str) -> bytes:
    """Return one form for one password, however a keyboard composes it (NIST: NFKC)."""
    if len(password) > limits.PASSWORD_MAX_BYTES:
        return b"x" * len(password)  # too long in any form: do not normalise a megabyte
    from unicodedata import normalize

    return normalize("NFKC", password).encode()


def _common_passwords() -> frozenset[str]:
    global _common
    if _common is None:
        from pathlib import Path

        text = Path(__file__).with_name("common_passwords.txt").read_text("utf-8")
        lines = (line for line in text.splitlines() if not line.startswith("#"))
        _common = frozenset(word for line in lines for word in line.split())
    return _common


class Hasher:
    """argon2id for at most `slots` passwords at a time; `queue` more wait, the rest is refused.

    The caller's thread does the work (argon2 releases the interpreter's lock), so log-ins never
    take more than `slots` cores, nor more than 19 MiB for each.

    Args:
        memory_kib, passes: The cost of one hash. Stored with each, so that old ones stay good.
    """

    def __init__(
        self,
        chance: Chance,
        *,
        memory_kib: int = limits.PASSWORD_MEMORY_KIB,
        passes: int = limits.PASSWORD_PASSES,
        slots: int = limits.PASSWORD_SLOTS,
        queue: int = limits.PASSWORD_QUEUE,
    ) -> None:
        self._chance = chance
        self._memory_kib = memory_kib
        self._passes = passes
        self._room = slots + queue
        self._inside = 0
        self._count = threading.Lock()
        self._slots = threading.Semaphore(slots)

    def slot(self) -> Slot:
        """Return a context in which one password is hashed.

        Raises (on entry):
            TooManyRequests: All slots are taken and enough wait already.
        """
        return Slot(self)

    def _enter(self) -> None:
        with self._count:
            if self._inside >= self._room:
                raise TooManyRequests(
                    "Too many people log in at this moment. Try again in a second.",
                    headers={"Retry-After": "1"},
                )
            self._inside += 1
        self._slots.acquire()

    def _leave(self) -> None:
        self._slots.release()
        with self._count:
            self._inside -= 1


class Slot:
    """The right to hash one password; see `Hasher.slot`."""

    def __init__(self, hasher: Hasher) -> None:
        self._hasher = hasher

    def __enter__(self) -> Slot:
        self._hasher._enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hasher._leave()

    def hash(self, password: str) -> str:
        """Return a salted hash in the PHC format, with its parameters."""
        from argon2.low_level import Type, hash_secret

        return hash_secret(
            _bytes(password),
            self._hasher._chance.token(_SALT_BYTES),
            time_cost=self._hasher._passes,
            memory_cost=self._hasher._memory_kib,
            parallelism=1,
            hash_len=_HASH_BYTES,
            type=Type.ID,
        ).decode()

    def matches(self, stored: str | None, password: str) -> bool:
        """Tell whether `password` is the one that was hashed.

        With `stored=None` (there is no such account) the same work is done for nothing, so that
        the time of an answer does not tell who has an account.
        """
        from argon2.exceptions import VerifyMismatchError
        from argon2.low_level import Type, verify_secret

        try:
            return verify_secret((stored or self._nobody()).encode(), _bytes(password), Type.ID)
        except VerifyMismatchError:
            return False

    def _nobody(self) -> str:
        """Return a hash of today's cost that no password has."""
        from base64 import b64encode

        chance = self._hasher._chance
        salt, value = (
            b64encode(chance.token(length)).decode().rstrip("=")
            for length in (_SALT_BYTES, _HASH_BYTES)
        )
        cost = f"m={self._hasher._memory_kib},t={self._hasher._passes},p=1"
        return f"$argon2id$v=19${cost}${salt}${value}"
