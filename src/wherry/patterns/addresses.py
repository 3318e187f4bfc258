"""IP addresses, read as event-ruler (Java) reads them.

Octets are decimal (`010.0.0.1` is `10.0.0.1`), an IPv6 address has no dotted part and no zone,
and an IPv4 address mapped into IPv6 (`::ffff:a00:1`) is that IPv4 address.
"""

from __future__ import annotations

import re

import msgspec

_FOUR = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+", re.ASCII)
_SIX = re.compile(r"[0-9a-fA-F:]+")
_FOUR_LENGTH = 15  # of the longest dotted address; Java reads no longer one
_SIX_LENGTH = 39


class Network(msgspec.Struct, frozen=True):
    """A block of addresses of one family (`bits` is 32 or 128), both ends within."""

    bits: int
    low: int
    high: int


def address(text: str) -> tuple[int, int] | None:
    """Return the family (32 or 128 bits) and the address, None if the text is no address."""
    if len(text) <= _FOUR_LENGTH and _FOUR.fullmatch(text):
        octets = [int(octet) for octet in text.split(".")]
        if max(octets) > 255:
            return None
        return 32, int.from_bytes(bytes(octets), "big")
    if 2 <= len(text) <= _SIX_LENGTH and ":" in text and _SIX.fullmatch(text):
        return _six(text)
    return None


def _six(text: str) -> tuple[int, int] | None:
    from ipaddress import IPv6Address

    try:
        found = IPv6Address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped
    return (32, int(mapped)) if mapped else (128, int(found))


def network(text: str) -> Network | str:
    """Return the block that `10.0.0.0/24` means, or what is wrong with the text.

    Bits of the address below the mask are dropped, as event-ruler does.
    """
    base, slash, mask = text.partition("/")
    if not slash or "/" in mask or not mask:
        return "is no CIDR block: one '/' is needed, as in \"10.0.0.0/24\""
    if not re.fullmatch(r"[+-]?[0-9]{1,9}", mask, re.ASCII):
        return f"has {mask!a} after the '/', where the number of bits belongs"
    found = address(base)
    if found is None:
        return f"has {base!a} before the '/', which is no IP address"
    family, value = found
    if not 0 <= int(mask) < family:
        # event-ruler takes no block of one address; the address itself is that pattern.
        return (
            f"has {mask} bits; 0 to {family - 1} are allowed (write one address "
            "without cidr, as a plain value)"
        )
    rest = (1 << (family - int(mask))) - 1
    return Network(bits=family, low=value & ~rest, high=value | rest)
