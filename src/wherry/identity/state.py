"""Where the development issuer keeps what it must not forget: keys, accounts, sessions."""

from __future__ import annotations

import threading
from typing import Protocol

from wherry.world import Clock


class IssuerState(Protocol):
    """Bytes under a text key. Every method is safe to call from several threads."""

    def get(self, key: str) -> bytes | None:
        """Return what is under `key`; None if nothing is, or if it has expired."""
        ...

    def put(
        self,
        key: str,
        value: bytes,
        if_absent: bool = False,
        *,
        expires_at_s: int | None = None,
    ) -> bool:
        """Write `value` durably; with `if_absent` only where nothing is (atomically).

        Args:
            expires_at_s: Seconds since the Unix epoch; from then on the row may be swept and
                is not to be returned. None: it stays.

        Returns:
            Whether it was written.
        """
        ...


class MemoryState:
    """An `IssuerState` that ends with the process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rows: dict[str, tuple[bytes, int | None]] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        with self._lock:
            return self._get(key)

    def put(
        self,
        key: str,
        value: bytes,
        if_absent: bool = False,
        *,
        expires_at_s: int | None = None,
    ) -> bool:
        with self._lock:
            if if_absent and self._get(key) is not None:
                return False
            self._rows[key] = (value, expires_at_s)
            return True

    def _get(self, key: str) -> bytes | None:
        value, expires_at_s = self._rows.get(key, (None, None))
        if expires_at_s is not None and self._clock.now_ms() >= expires_at_s * 1000:
            del self._rows[key]
            return None
        return value
