"""Which of the engines of a database one is: a number, leased by the database's clock.

The numbers of runs contain it, so no two engines that live may have the same.

Beside the numbers stands which release each engine serves, by a name that it keeps when it starts
again: for as long as a lease, also when it has ended, since it may come back. `Configure` writes
it, in the transaction that makes a release the active one; a renewal lets it live on.
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
SAYS = b"2/"  # how the owner of a number begins that says what it serves; others came before that
SURE_RENEWALS = 3
LEASE_MS = int(limits.NODE_LEASE_S * 1000)
TRIES = 20  # others may take at the same moment what was free


class Nodes:
    """The numbers, as one engine sees them.

    Args:
        owner: Who this engine is, unlike any other.
        count: How many numbers there are, from 0 on.
        name: Of this engine, the same when it starts again.
    """

    def __init__(self, database: Database, owner: str, count: int, name: str = "") -> None:
        self._database = database
        self._owner = SAYS + owner.encode()
        self._count = count
        self._name = name
        self._renewed = 0  # so often without a gap of half a lease
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
        key, serves = f"{PREFIX}{number}", f"{RELEASE_PREFIX}{self._name}"

        async def keep(session: Session) -> bool | None:
            release = self.release.encode()
            alive: bool | None = await session.value(
                "node_renew", key, self._owner, LEASE_MS, serves, release
            )
            return alive

        alive = await self._database.run(keep, own=True)
        self._renewed = self._renewed + 1 if alive else 0
        return alive is not None

    async def due(self) -> tuple[str, bool]:
        """Return the active release, and whether the one that this engine serves should be it.

        Nobody is said to have left by who was away itself: the others have to come back, too.
        """
        values = (self.release, RELEASE_PREFIX, PREFIX, SAYS, self._renewed >= SURE_RENEWALS)
        row = await self._database.run(
            lambda session: session.row("release_due", *values), own=True
        )
        return (row["active"], row["due"]) if row else ("", False)

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


async def serve(session: Session, name: str, release: str) -> None:
    """Say, in this transaction, which release an engine serves from now on."""
    await session.run("node_serves", f"{RELEASE_PREFIX}{name}", release.encode(), LEASE_MS)
