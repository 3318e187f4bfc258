"""The bounds of one server: those of `wherry.limits`, unless a test sets smaller ones."""

from __future__ import annotations

import msgspec

from wherry import limits


class Bounds(msgspec.Struct, frozen=True):
    """Sizes in bytes, times in seconds; see `wherry.limits` for each."""

    header_bytes: int = limits.HEADER_BYTES
    header_count: int = limits.HEADER_COUNT
    body_bytes: int = limits.REQUEST_BODY_BYTES
    bodies_bytes: int = limits.REQUEST_BODIES_BYTES
    headers_timeout_s: float = limits.HEADERS_TIMEOUT_S
    body_timeout_s: float = limits.BODY_TIMEOUT_S
    rate_bytes_per_s: int = limits.BODY_RATE_BYTES_PER_S
    rate_window_s: float = limits.RATE_WINDOW_S
    idle_s: float = limits.IDLE_CONNECTION_S
    linger_s: float = limits.LINGER_S
    connections: int = limits.CONNECTIONS
    write_buffer_bytes: int = limits.WRITE_BUFFER_BYTES
