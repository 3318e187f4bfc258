"""What a fault may touch of engines that share a Postgres."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from ..engine.server_kit import Engine
from ..engine.shared_kit import Wire
from ..postgres_kit import Server
from ..s3_kit import Proxy


class Shared(Protocol):
    """What a fault may touch."""

    engines: list[Engine]
    server: Server
    standby: Server  # where the next standby is to be made: the engines' addresses name both
    wire: Wire  # between the first engine and the servers
    s3: Proxy  # between all engines and S3 (kinds that need "s3")
    chance: random.Random
    lease_s: float
    lock_s: float  # an engine waits so long for a row that somebody else holds
    answer_s: float  # after so long an engine gives up a connection that says nothing

    def jump(self, number: int, seconds: int) -> None:
        """Set the wall's clock of an engine off by so much."""
        ...

    def forgive(self, since_ns: int) -> None:
        """What was accepted from then on until now may be lost."""
        ...

    def code_of(self, engine: Engine) -> Path:
        """Return where an engine has its code."""
        ...

    def grows(self, by: int) -> None:
        """Wait until so many more orders are accepted."""
        ...


class Kind(NamedTuple):
    """A kind of fault, and its need: "s3" for objects that lie there."""

    do: Callable[[Shared], int | None]
    needs: str = ""
