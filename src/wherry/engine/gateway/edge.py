"""What the edge reads off a request before any function sees it: IDs, traces, addresses."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from wherry import limits
from wherry.errors import BadRequest

_CORRELATION = re.compile(rf"[A-Za-z0-9._:/+=@-]{{1,{limits.CORRELATION_ID_LENGTH}}}\Z")
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}\Z")
_IDEMPOTENCY = re.compile(rf"[\x20-\x7e]{{1,{limits.IDEMPOTENCY_KEY_LENGTH}}}\Z")
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16


def correlation_id(headers: dict[str, str]) -> str | None:
    """Return the caller's X-Correlation-Id if it is usable."""
    given = headers.get("x-correlation-id")
    return given if given is not None and _CORRELATION.match(given) else None


def trace_context(headers: dict[str, str]) -> tuple[str, str] | None:
    """Return trace ID and parent span of a W3C `traceparent`.

    A header that is not of version 00's form is ignored, as the specification asks.
    """
    given = headers.get("traceparent")
    if given is not None:
        found = _TRACEPARENT.match(given)
        if found and found[1] != _NO_TRACE and found[2] != _NO_SPAN:
            return found[1], found[2]
    return None


def idempotency_key(headers: dict[str, str]) -> str | None:
    """Return the Idempotency-Key, without the quotes of a structured field.

    Raises:
        BadRequest: It is empty, too long, or not printable ASCII.
    """
    given = headers.get("idempotency-key")
    if given is None:
        return None
    if len(given) >= 2 and given[0] == given[-1] == '"':
        given = given[1:-1]
    if not _IDEMPOTENCY.match(given):
        raise BadRequest(
            f"The Idempotency-Key has to be 1 to {limits.IDEMPOTENCY_KEY_LENGTH} printable "
            "ASCII characters."
        )
    return given


class TrustedProxies:
    """Whose X-Forwarded-For is believed. Addresses or networks: `10.0.0.0/8`, `::1`."""

    def __init__(self, networks: tuple[str, ...]) -> None:
        self._networks: list[IPv4Network | IPv6Network] = [
            ip_network(text, strict=False) for text in networks
        ]

    def _trusts(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(
            parsed.version == network.version and parsed in network for network in self._networks
        )

    def client(self, peer: str, headers: dict[str, str]) -> str:
        """Return the client's address: the last one in the chain that no trusted proxy is."""
        if not self._networks or not self._trusts(peer):
            return peer
        client = peer
        for hop in reversed(headers.get("x-forwarded-for", "").split(",")):
            hop = hop.strip()
            try:
                ip_address(hop)
            except ValueError:
                break
            client = hop
            if not self._trusts(hop):
                break
        return client
