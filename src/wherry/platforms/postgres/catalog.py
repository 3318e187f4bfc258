"""What the releases declare, as an engine keeps it in memory.

The database's catalog has a version, which goes up with every change. A commit names the version
that it was made with and is refused where that is not the present one; so an index that another
node has added is kept by all nodes from that moment on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from wherry import limits
from wherry.platforms.postgres.database import Database, Session
from wherry.platforms.postgres.keys import in_order
from wherry.platforms.postgres.nodes import PREFIX, RELEASE_PREFIX, SAYS
from wherry.platforms.shared.declared import Declared, lean
from wherry.platforms.shared.shapes import ReleaseShape, read_release

if TYPE_CHECKING:
    from wherry.platforms.shared.shapes import Queue


DEFINITIONS_KEPT = 1_000


class Stale(Exception):
    """What is in memory is not what is in the database any more: read it and do it again."""


class Catalog(Declared):
    """The declarations of all stored releases, the activated one before all."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, ReleaseShape] = {}
        self._reading = asyncio.Lock()
        self._ids = {}
        self._names = {}
        self._keyed = {}
        self._definitions: dict[str, bytes] = {}
        self.version = 0
        self.active = ""
        self.releases = {}
        self.declare([], [])

    async def refresh(self) -> None:
        """Read everything anew if it has changed."""
        async with self._reading:
            if await self._database.value("catalog_version") != self.version:
                await self._database.run(self.read, atomic=True)

    def check(self, version: int) -> None:
        """Raise `Stale` unless this is the version that is in memory."""
        if version != self.version:
            raise Stale

    async def hold(self, session: Session) -> None:
        """Let nobody change it before this transaction ends.

        Raises:
            Stale: What is in memory is not the present one.
        """
        await session.run("take_locks", in_order([]))
        self.check(await session.value("catalog_version"))

    async def read(self, session: Session) -> None:
        """Read everything, in this transaction."""
        version: int = await session.value("catalog_version")
        names = await session.rows("names_all")
        stored = [tuple(row) for row in await session.rows("releases_digests")]
        missing = [digest for digest, _ in stored if digest not in self._known]
        read = await session.rows("releases_read", missing) if missing else []
        indexes = await session.rows("indexes_all")
        pauses = await session.rows("pauses_all")
        # Nothing is awaited from here on: who asks sees the old or the new, never a mixture.
        for digest, blueprint in read:
            self._known[digest] = lean(read_release(blueprint))
        self._known = {digest: self._known[digest] for digest, _ in stored}
        self._ids = {(kind, name): number for kind, name, number, _ in names}
        self._names = {number: name for _, name, number, _ in names}
        self._keyed = {name: keyed for _, name, _, keyed in names if keyed is not None}
        active = max(stored, key=lambda row: int(row[1]), default=None)
        if active is not None and not active[1]:
            active = stored[-1]
        self.active = str(active[0]) if active else ""
        self.releases = {
            digest: one for digest, one in self._known.items() if digest != self.active
        }
        if self.active:
            self.releases[self.active] = self._known[self.active]
        self.declare(list(indexes), list(pauses))
        self.version = version

    def number(self, kind: str, name: str) -> int:
        """Return the number of a name; 0 where it has none."""
        return self._ids.get((kind, name), 0)

    def definition(self, digest: str) -> bytes | None:
        """Return the body of a definition of a workflow, if it was learned."""
        return self._definitions.get(digest)

    async def learn(self, source: Database | Session, digest: str) -> None:
        """Read a definition of a workflow, if there is one of this digest."""
        if digest and digest not in self._definitions and digest not in self._known:
            body = await source.value("definition_get", digest)
            if body is not None:
                if len(self._definitions) >= DEFINITIONS_KEPT:
                    self._definitions.clear()
                self._definitions[digest] = body

    # -- changing ----------------------------------------------------------------------------

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[None]:
        """While it lasts nobody else reads; what was read is forgotten where it fails."""
        async with self._reading:
            try:
                yield
            except BaseException:
                self.version = 0
                raise

    async def change(self, session: Session) -> None:
        """Begin a change, in this transaction: no commit runs meanwhile, and all read it after."""
        await session.run("lock_catalog")
        await session.value("catalog_changed")

    async def configure(
        self, session: Session, digest: str, blueprint: bytes, activate: bool, chosen: bool
    ) -> str:
        """Store a release, in this transaction, and what it declares.

        Returns:
            The release that stays the active one (`stays`); empty where this one is, if it is to
            be activated.

        Raises:
            Refused: It is another app's, or one of its tables has items by another key.
        """
        shape = read_release(blueprint)
        await session.run("lock_catalog")
        await self.read(session)
        if not chosen:
            self.check_app(shape, {one.app for one in self.releases.values()})
        beside = await self._stays(session, digest) if activate and not chosen else ""
        if beside:
            activate = False
            wanted = self.wanted_indexes(shape).keys()
            if digest in self.releases and wanted <= self.definitions.keys():
                return beside  # asked again: there is nothing to change
        await session.value("catalog_changed")
        for table in self.rekeyed(shape):
            if await session.value("items_some", self.number("table", table.name), 1):
                raise self.refuse_rekeyed(table)
        if not await session.run("release_again", digest):
            await session.run("release_put", digest, blueprint)
        if activate:
            await session.run("release_activate", digest, chosen)
        self._known.pop(digest, None)
        names = [("table", one.name) for one in shape.tables]
        names += [("queue", one.name) for one in shape.queues]
        names += [("bucket", one.name) for one in shape.buckets]
        for one in shape.workflows:
            names += [("workflow", str(one["name"])), ("queue", str(one["name"]))]
        names = list(dict.fromkeys(names))
        if names:
            await session.run("names_add", *map(list, zip(*names, strict=True)))
        if activate:
            keyed = {one.name: one.keyed for one in shape.tables}
            await session.run("tables_keyed", list(keyed), list(keyed.values()))
        await self.read(session)
        indexes = self.wanted_indexes(shape)
        for key in sorted(indexes.keys() - self.definitions.keys()):
            await session.run("index_add", *key[:2], indexes[key])
        if activate:
            served = await session.rows("releases_lately", limits.RELEASES_SERVED)
            served += await session.rows("releases_served", RELEASE_PREFIX)
            shapes = [self._known[row[0]] for row in served if row[0] in self._known]
            kept = self.wanted_indexes(*shapes)
            for key, old in list(self.definitions.items()):
                if key not in kept:
                    await session.run("index_drop", old.id)
        await self.read(session)
        await self.store_queues(session)
        return beside

    async def _stays(self, session: Session, digest: str) -> str:
        """Return the active release if a mere start of this one must not take over from it.

        So it is where a release that was chosen later is served by a living engine.
        """
        if digest == self.active:
            return ""
        values = (self.active, digest, RELEASE_PREFIX, PREFIX, SAYS)
        stays = await session.value("release_stays", *values)
        return self.active if stays else ""

    async def store_queues(self, session: Session) -> None:
        """Tell the database what its functions must know of the queues."""
        await session.run("queues_forget", list(self.queues_by_id))
        await session.many("queue_put", [self._row(queue) for queue in self.queues.values()])

    def _row(self, queue: Queue) -> tuple[object, ...]:
        from wherry.tickets import payloads_bucket

        bucket = payloads_bucket(queue.name) if queue.id in self.claiming else None
        number = self.find("bucket", bucket) if bucket else None
        return (
            queue.id, queue.consumer, queue.active, queue.fifo, queue.fair, queue.blocks,
            queue.max_attempts, queue.retention_ms, queue.paused, queue.kept_ms,
            number, bucket if number else None, queue.kept, queue.tasks,
        )  # fmt: skip

    async def unready(self, session: Session) -> list[tuple[str, str, int]]:
        """Return the indexes that are not ready: table, index, items to go."""
        return [
            (table.shape.name, index.name, await session.value("table_left", index.id))
            for table in self.tables.values()
            for index in table.indexes
            if not index.ready
        ]
