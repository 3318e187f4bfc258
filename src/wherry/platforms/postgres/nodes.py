"""Which of the engines of a database one is: a number, leased by the database's clock.

The numbers of runs contain it, so no two engines that live may have the same. Beside it stands
which release the engine serves, for as long as the lease, also where the number was given back: an
engine that starts again has not left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wherry import limits
from wherry.errors import Refused
from wherry.platforms.postgres.database import Session

if TYPE_CHECKING:
    from wherry.platforms.postgres.database import Database

PREFIX = "engine/node/"
RELEASE_PREFIX = "engine/release/"
LEASE_MS = int(limits.NODE_LEASE_S * 1000)
TRIES = 20  # others may take at the same moment what was free


class Nodes:
    """The numbers, as one engine sees them.

    Args:
        owner: Who this engine is, unlike any other.
        count: How many numbers there are, from 0 on.
    """

    def __init__(self, database: Database, owner: str, count: int) -> None:
        self._database = database
        self._owner = owner.encode()
        self._count = count
        self.release = ""  # that this engine serves

    async def take(self) -> int:
        """Lease the lowest number that is free.

        Raises:
            Refused: All are taken.
            Passing, OSError, asyncpg.PostgresError: The database cannot do it now.
        """
        for _ in range(TRIES):
            values = (self._owner, LEASE_MS, PREFIX, self._count)
            key = await self._database.value("node_take", *values)
            if key is not None:
                return int(key.removeprefix(PREFIX))
        raise Refused(
            f"All {self._count} engines that a database may have are there.",
            advice=f"Stop one; the place of one that died is free after {limits.NODE_LEASE_S:g} s.",
        )

    async def renew(self, number: int) -> bool:
        """Keep a number. False: it was ours no more, and may be another's."""

        key, serves = f"{PREFIX}{number}", f"{RELEASE_PREFIX}{number}"

        async def keep(session: Session) -> int:
            release = self.release.encode()
            kept: int = await session.value(
                "node_renew", key, self._owner, LEASE_MS, serves, release
            )
            return kept

        return bool(await self._database.run(keep, own=True))

    async def due(self) -> bool:
        """Whether the release that this engine serves should be the active one, and is not."""
        return bool(
            await self._database.run(
                lambda session: session.value("release_due", self.release, RELEASE_PREFIX), own=True
            )
        )

    async def give(self, number: int) -> None:
        """Let others have the number."""
        await self._database.run(
            lambda session: session.run("node_give", f"{PREFIX}{number}", self._owner)
        )

    async def held(self) -> int:
        """Return how many engines have a number, as far as is known."""
        return int(await self._database.value("nodes_held", PREFIX))

    async def look(self) -> None:
        """See that the database answers, however busy its other connections are."""
        await self._database.run(lambda session: session.value("alive"), own=True)


async def serve(session: Session, number: int, release: str) -> None:
    """Say, in this transaction, which release an engine serves from now on."""
    await session.run("node_serves", f"{RELEASE_PREFIX}{number}", release.encode(), LEASE_MS)
