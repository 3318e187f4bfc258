"""Messages under lease: claims, renewals, giving back, burying."""

from __future__ import annotations

from typing import Any

from wherry import limits
from wherry.platforms.postgres.catalog import Catalog
from wherry.platforms.postgres.database import Database, Session
from wherry.platforms.postgres.hints import Seen
from wherry.platforms.postgres.making import record_row
from wherry.platforms.shared.queues import note_turns
from wherry.ports import (
    Bury,
    Claim,
    Claimed,
    Claims,
    Done,
    LeaseLost,
    Poll,
    Polled,
    Recover,
    Release,
    Renew,
)

LEASE_MS = int(limits.LEASE_S * 1000)
BUSY_AGAIN_MS = 4  # until a group is looked at again that a commit was changing


class Messages:
    """The messages of all queues."""

    def __init__(self, database: Database, catalog: Catalog, seen: Seen) -> None:
        self._database = database
        self._catalog = catalog
        self._seen = seen

    async def poll(self, request: Poll) -> Polled:
        """Say in which queues something is due, or when; also where a lost answer leased it."""
        clock, seen = self._database.clock, self._seen
        found = [(name, await self._number(name)) for name in request.queues]
        known = {number: name for name, number in found if number is not None}
        now_s = clock.steady_s()
        since = [seen.searched_from(number, now_s, polls=True) for number in known]
        row = await self._database.row("poll", list(known), since)
        queued: dict[str, int] = {}
        for number, begin, due, looked_us in zip(
            known, since, row["dues"], row["looked_us"], strict=True
        ):
            seen.searched(number, begin, looked_us, clock.steady_s())
            if due is None or due > row["a_now"]:
                seen.none_before(number, row["a_now"], begin)
            else:
                seen.one_waits(number, due)
            if seen.lost(number) is not None:
                due = row["a_now"]
            if due is not None:
                queued[known[number]] = due
        return Polled(queued, row["a_now"])

    async def _number(self, queue: str) -> int | None:
        number = self._catalog.find("queue", queue)
        if number is None:
            await self._catalog.refresh()
            number = self._catalog.find("queue", queue)
        return number

    def _is_fifo(self, number: int) -> bool:
        declared = self._catalog.queues_by_id.get(number)
        return declared is not None and bool(declared.fifo)

    async def claim(self, request: Claim) -> Claims:
        """Lease what is due, in the order in which it fell due."""
        number = await self._number(request.queue)
        if number is None:
            return Claims([], None, now_ms=await self._database.value("now"))
        fifo = self._is_fifo(number)
        clock, seen = self._database.clock, self._seen
        since = seen.searched_from(number, clock.steady_s())
        most = max(0, min(request.limit, limits.CLAIM_BATCH))
        row = await self._claim(
            number, most, request.owner, request.prefix, since, LEASE_MS, limits.CLAIMED_BYTES
        )
        found = row["messages_"] or []
        if row["looked_us"] is not None and most:  # else it is paused
            seen.searched(number, since, row["looked_us"], clock.steady_s())
            # All that was due before the last one is somebody's now, or of a busy group.
            due_ms = row["a_now"] if len(found) < most else found[-1]["due_ms"]
            if row["next_due"] >= 0:
                due_ms = min(due_ms, row["next_due"])
            seen.none_before(number, due_ms, since)
        for one in found:
            seen.leased(one["token"], plain=one["grp"] is None)
        claimed = [
            Claimed(
                request.queue, id, token, attempt, body, sent, due, started, correlation,
                traceparent, group if request.prefix > 1 and fifo else None,
            )
            for id, token, attempt, body, sent, due, started, correlation, traceparent, group
            in found
        ]  # fmt: skip
        queued = self.turns(row["turns"])
        queued.pop(request.queue, None)  # who claims learns it from the answer
        next_due = None if row["next_due"] < 0 else row["next_due"]
        if next_due is not None and next_due <= row["a_now"] and not found:
            next_due = row["a_now"] + BUSY_AGAIN_MS
        return Claims(claimed, next_due, queued, row["a_now"])

    async def _claim(self, queue: int, most: int, owner: str, *values: Any) -> Any:
        """Claim. What a lost answer has leased to us goes back first: nobody has begun it."""
        seen, newest, tries = self._seen, self._seen.newest, 0

        async def claim(session: Session) -> Any:
            nonlocal tries
            tries += 1
            if tries > 1:
                seen.lose(queue, newest)
            lost = seen.lost(queue)
            if lost is not None:
                await session.value("recover_lost", owner, queue, *lost)
                seen.recovered(queue)
            return await session.row("claim", queue, most, owner, *values)

        try:
            return await self._database.run(claim)
        except BaseException:  # also where nobody waits for it any more
            seen.lose(queue, newest)
            raise

    async def renew(self, request: Renew) -> Done:
        """Extend the leases that the owner names and still holds."""
        values = (request.owner, request.ids, LEASE_MS)
        await self._database.run(lambda session: session.run("renew", *values), own=True)
        return Done()

    async def recover(self, request: Recover) -> Done:
        """Give back what the owner holds without knowing it."""
        await self._database.value("recover", request.owner, request.ids)
        self._seen.forget()
        return Done()

    async def release(self, request: Release) -> Done | LeaseLost:
        """Give a message back."""
        values = (
            request.id,
            request.token,
            request.delay_ms,
            request.counted,
            plain(request.error),
        )
        return self._ended(await self._database.row("release", *values))

    async def bury(self, request: Bury) -> Done | LeaseLost:
        """Move a message to the failure inbox."""
        record = None if request.record is None else record_row(request.record)
        values = (request.function, request.code, plain(request.error), record)
        return self._ended(await self._database.row("bury", request.id, request.token, *values))

    def _ended(self, row: Any) -> Done | LeaseLost:
        if row is None or row["of_queue"] is None:
            return LeaseLost()
        if row["woken"] is not None:
            self._seen.tell({self._catalog.name(row["of_queue"]): row["woken"]}, self._catalog)
        return Done(self.turns(row["turns"]))

    def turns(self, found: list[Any] | None) -> dict[str, int]:
        """Return in which queues a message's turn has come, and when the first is due.

        Other engines are told.
        """
        queued: dict[str, int] = {}
        note_turns(queued, self._catalog, found or ())
        if queued:
            self._seen.tell(queued, self._catalog)
        return queued


def plain(text: str) -> str:
    """Return a text without what Postgres cannot hold."""
    return text.replace("\0", "\ufffd")
