"""The move: every kind, batch by batch; then all is read again, and the store takes its name."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from wherry import limits
from wherry.cli.moving.kinds import ALL, ENTRIES, ITEMS, OBJECTS, Kind, added, checksum
from wherry.cli.moving.source import Source
from wherry.cli.moving.target import Part, Progress, Target
from wherry.engine.objectplace import KEY as OBJECTS_KEY
from wherry.engine.objectplace import Known
from wherry.errors import Passing, Refused, WherryError
from wherry.platforms.files.blobs import Blobs
from wherry.platforms.files.refs import BlobRef
from wherry.platforms.postgres.database import Database, is_connection_fault, sqlstate
from wherry.platforms.postgres.migrating import STAGED

if TYPE_CHECKING:
    from wherry.cli.moving.kinds import Row
    from wherry.engine.storeplace import StorePlace
    from wherry.platforms.s3.remote import Remote
    from wherry.world import Chance, Clock

SCHEMA = "wherry"


class MovedKind(Struct, frozen=True):
    """One line of the result: how many rows, and the checksum that both sides have."""

    kind: str
    rows: int
    checksum: str


class Moved(Struct, frozen=True):
    """What was moved. `before`: an earlier call has done it all; `resumed`: some of it."""

    store: str
    objects: str
    kinds: list[MovedKind]
    before: bool
    resumed: bool


class Move:
    """One move.

    Args:
        source: The folder.
        place: The database.
        objects: Where content of objects is to lie; None: nowhere else than now.
        tell: Is called with a kind and how many of it are there, behind every batch.
        schema: Under which name the store is found.
    """

    def __init__(
        self,
        source: Source,
        place: StorePlace,
        objects: Remote | None,
        clock: Clock,
        chance: Chance,
        tell: Callable[[str, int, int], None],
        schema: str = SCHEMA,
    ) -> None:
        self._source = source
        self._place = place
        self._remote = objects
        self._clock = clock
        self._chance = chance
        self._tell = tell
        self._schema = schema
        self._blobs = Blobs(source.data.objects)
        self._buckets: dict[int, str] = {}

    async def run(self) -> Moved:
        """Move all that is not there yet, and verify it.

        Raises:
            Refused: It cannot be moved, or there; nothing was changed that an engine sees.
            Passing: Something failed on the way: the next call goes on from there.
        """
        database = Database(self._place.dsn, self._schema + STAGED, 1, self._clock, self._chance)
        try:
            try:
                target = await Target.open(database, self._schema)
            except (WherryError, ImportError):
                raise
            except Exception as error:
                raise Refused(
                    f"{self._place.shown} cannot be used: {self._said(error)}",
                    advice="Is it there, and may this user make a schema in this database?",
                ) from None
            try:
                return await self._run(target)
            finally:
                await target.close()
        except Exception as error:
            if isinstance(error, WherryError | ImportError):
                raise
            if not (sqlstate(error) or is_connection_fault(error)):
                raise
            raise Passing(
                f"The move stopped: {self._said(error)}",
                advice="Start it again: it goes on where it was.",
            ) from None

    def _said(self, error: Exception) -> str:
        return self._place.told(error) or type(error).__name__

    async def _run(self, target: Target) -> Moved:
        source = self._source
        done = await target.finished(source.mark)
        if done is not None:
            return self._result(done, before=True, resumed=False)
        wanted = self._wanted()
        progress = await target.unfinished(wanted) or wanted
        resumed = bool(progress.parts)
        if self._remote is not None:  # before anything is written down: it may be mistyped
            self._claim(self._remote, progress.installation)
        await target.begin(progress)
        names = source.rows("SELECT id, name FROM names WHERE kind = 'bucket'")
        self._buckets = dict(names)
        for kind in ALL:
            if kind is ITEMS:
                await target.learn()
            await self._copy(target, kind, progress)
        await self._verify(target, progress)
        if source.digest() != source.mark:
            raise Refused(
                f"{source.data.root} was changed during the move.",
                advice=f'DROP SCHEMA "{self._schema + STAGED}" CASCADE, and begin anew.',
            )
        if self._remote is not None:
            self._claim_for_good(self._remote, progress.installation)
        await target.finish(progress, self._sequence(), self._signing_key())
        return self._result(progress, before=False, resumed=resumed)

    # -- what is to be -----------------------------------------------------------------------------

    def _wanted(self) -> Progress:
        """Return what the move begins with.

        Raises:
            Refused: Content of objects would be left behind.
        """
        rows = self._source.rows("SELECT value FROM state WHERE key = ?", OBJECTS_KEY)
        known = msgspec.json.decode(rows[0][0], type=Known) if rows else None
        before = known.place if known is not None else ""
        wanted = "" if self._remote is None else str(self._remote.place)
        if before and wanted not in ("", before):
            raise Refused(
                f"The objects of this folder lie in {before}.",
                advice="Leave out --objects: they stay there.",
            )
        if not before and not wanted:
            count = self._source.count(OBJECTS)
            if count:
                raise Refused(
                    f"The content of {count} objects lies in the folder.",
                    advice="Say where it is to lie: --objects s3://BUCKET/PREFIX.",
                )
        installation = known.installation if known else self._chance.token(16).hex()
        return Progress(self._source.mark, installation, wanted or before)

    def _claim(self, remote: Remote, installation: str) -> None:
        from wherry.platforms.s3.claiming import claim_unfinished, probe

        probe(remote, self._chance)
        claim_unfinished(remote, installation)

    def _claim_for_good(self, remote: Remote, installation: str) -> None:
        from wherry.platforms.s3.claiming import claim_finished

        claim_finished(remote, installation)

    def _sequence(self) -> int:
        rows = self._source.rows("SELECT value FROM counters WHERE name = 'sequence'")
        return int(rows[0][0]) if rows else 0

    def _signing_key(self) -> bytes | None:
        """Return the folder's key as engines on Postgres keep it: what it signed stays good."""
        text = self._source.signing_key()
        if text is None:
            return None
        try:
            found = msgspec.json.decode(text, type=dict[str, str])
            return msgspec.json.encode([found["key_id"], found["secret"]])
        except (msgspec.MsgspecError, KeyError):
            return None  # damaged: a new one is made there

    # -- moving ------------------------------------------------------------------------------------

    async def _copy(self, target: Target, kind: Kind, progress: Progress) -> None:
        part = progress.parts.setdefault(kind.table, Part())
        if part.whole:
            return
        total = self._source.count(kind)
        while not part.whole:
            found, at = self._source.batch(kind, part.at)
            rows = [kind.make(row, target.catalog) for row in found]
            if kind is OBJECTS and self._remote is not None:
                await self._send(self._remote, found)
            part.rows += len(rows)
            part.sum = added(part.sum, checksum(rows))
            part.at = list(at) if rows else part.at
            part.whole = not rows
            await target.add(kind, rows, progress)
            self._tell(kind.table, part.rows, total)

    async def _send(self, remote: Remote, rows: list[Row]) -> None:
        """Send content of objects; S3 has it, with its checksum, when this returns."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(limits.S3_THREADS) as threads:
            await asyncio.gather(
                *(loop.run_in_executor(threads, self._send_one, remote, row) for row in rows)
            )

    def _send_one(self, remote: Remote, row: Row) -> None:
        bucket = self._buckets[row[0]]
        ref = BlobRef(row[2], row[3], row[4])
        with self._blobs.open(bucket, ref, verify=False):
            pass  # it is there, in its size
        if os.path.getsize(path := self._blobs.path(bucket, ref)) == ref.size_bytes:
            with open(path, "rb") as file:
                remote.put(bucket, ref, file)

    # -- verifying ---------------------------------------------------------------------------------

    async def _verify(self, target: Target, progress: Progress) -> None:
        """Read everything again, and compare.

        Raises:
            Refused: Something is not there, or is something else.
        """
        wrong: list[str] = []
        for kind in ALL:
            part = progress.parts[kind.table]
            there = self._source.count(kind)
            count, total = await target.read_back(kind)
            self._tell(f"{kind.table} verified", count, there)
            if not there == part.rows == count:
                wrong.append(f"{kind.table}: {there} rows in the folder, {count} in the database")
            elif total != part.sum:
                wrong.append(f"{kind.table}: the checksums are not the same")
        entries = await target.entries_of_items()
        if not wrong and entries != progress.parts[ENTRIES.table].rows:
            wrong.append(
                f"indexes: {progress.parts[ENTRIES.table].rows} entries in the folder, "
                f"{entries} of the items"
            )
        if wrong:
            raise Refused(
                f"What was moved is not what is in the folder. {'; '.join(wrong)}.",
                advice=f'DROP SCHEMA "{self._schema + STAGED}" CASCADE, and begin anew.',
            )

    def _result(self, progress: Progress, before: bool, resumed: bool) -> Moved:
        kinds = [
            MovedKind(name, part.rows, f"{part.sum:016x}") for name, part in progress.parts.items()
        ]
        return Moved(self._place.shown, progress.objects, kinds, before, resumed)


def run(move: Move) -> Moved:
    """Run a move in a loop of its own."""
    result: Any = asyncio.run(move.run())
    assert isinstance(result, Moved)
    return result
