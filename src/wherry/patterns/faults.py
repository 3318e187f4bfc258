"""What is wrong with a pattern: each fault with its path in the pattern and the reason."""

from __future__ import annotations

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """One fault of a pattern.

    Args:
        at: Where in the pattern: `$.detail.state[0].numeric[1]`.
        fault: The reason, and what to do.
    """

    at: str
    fault: str

    def __str__(self) -> str:
        return f"{self.at}: {self.fault}"


def member(at: str, name: str) -> str:
    """Return the path of an object's member."""
    plain = name.replace("-", "_").removeprefix("$").isidentifier()
    return f"{at}.{name}" if plain else f"{at}[{name!a}]"
