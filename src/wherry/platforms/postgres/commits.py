"""The commit: worked out here as far as needs no reading, checked and applied by the database.

Most commits are one call. What only Python can judge (an update in place, a condition on a field,
a table that somebody follows) is read first, and the call holds it to what was read: where that has
changed meanwhile it is read again, at last with the keys locked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from wherry.codec import from_msgpack, to_msgpack
from wherry.effects import CancelMessage, PublishEvent
from wherry.errors import FateUnknown
from wherry.platforms.postgres.catalog import Catalog, Stale
from wherry.platforms.postgres.database import (
    Database,
    Lost,
    Session,
    passing_fault,
    request_fault,
)
from wherry.platforms.postgres.keys import in_order, indexed, lock
from wherry.platforms.postgres.making import Made, plain_arguments, record_row
from wherry.platforms.postgres.messages import LEASE_MS
from wherry.platforms.postgres.moving import Moving
from wherry.platforms.shared.changes import describe_key
from wherry.platforms.shared.plans import Plan, effects_of, inapplicable, reply_fault
from wherry.platforms.shared.queues import note_due, note_turns
from wherry.platforms.shared.spread import publish
from wherry.ports import (
    Already,
    Broken,
    Claimed,
    Commit,
    CommitAnswer,
    Committed,
    Conflicted,
    Denied,
    LeaseLost,
    MessageAck,
    ObjectRow,
    Rejected,
    ReplyAck,
    StoredReply,
    Unmet,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from wherry.platforms.postgres.hints import Seen
    from wherry.platforms.shared.shapes import Queue

T = TypeVar("T")
OPTIMISTIC = 3  # tries before the keys are locked for reading them


def refused(answer: object) -> bool:
    """Whether a commit was not even looked at, so that it may have been applied before."""
    return isinstance(answer, Denied | Rejected)


async def in_doubt(asking: Awaitable[T]) -> T:
    """Ask about what has been applied, or may have been.

    Raises:
        Lost: There was no answer: "not done" would be a lie.
    """
    try:
        return await asking
    except Exception as error:
        raise Lost(str(passing_fault(error))) from error


class Commits:
    """Commits, each a transaction of its own."""

    def __init__(self, database: Database, catalog: Catalog, seen: Seen) -> None:
        self._database = database
        self._catalog = catalog
        self._seen = seen
        self._moving = Moving(database, catalog, seen, self)

    async def commit(self, caller: str, commit: Commit) -> CommitAnswer:
        """Check and apply one commit.

        Raises:
            Stale: The catalog has changed.
        """
        if caller and caller.partition("@")[0] != commit.function:
            return Denied(commit.function, "commit")
        try:
            answer = await self._commit(commit)
            if isinstance(answer, Already):
                # A primary that crashed shows what had not reached its synchronous standby. This
                # writes a little, and waits until the standby has that, and all before it.
                await in_doubt(self._database.value("wait_for_standby"))
            return answer
        except Lost as error:  # it may have been applied, and cannot be looked up
            return Broken(FateUnknown.code, str(error))
        except Exception as error:
            if not request_fault(error):
                raise
            return inapplicable(error)

    async def _commit(self, commit: Commit) -> CommitAnswer:
        plan = self.plan(commit)
        if isinstance(plan, Plan) and (plan.orders or commit.advances):
            answer = await self._moving.apply(commit)
            if not refused(answer):
                return answer
            return await in_doubt(self._was_applied(commit)) or answer
        made = self.make(commit, plan) if isinstance(plan, Plan) else plan
        if not isinstance(made, Made):
            return await self._was_applied(commit) or made
        return await self._apply(commit, made)

    # -- planning ----------------------------------------------------------------------------

    def plan(self, commit: Commit) -> Plan | Denied | Rejected:
        """Work out what needs no reading."""
        effects = effects_of(commit)
        if isinstance(effects, Rejected):
            return effects
        function, release = commit.function, commit.record.release
        rights = self._catalog.rights(f"{function}@{release}" if function else "")
        plan = Plan(rights, commit.firsts)
        return plan.add(effects) or plan

    def make(self, commit: Commit, plan: Plan) -> Made | Denied | Rejected:
        """Work out what the effects do, as far as needs no reading."""
        stopped = plan.guard(commit.guards)
        if stopped is not None:
            return stopped
        for ack in commit.acks:
            fault = reply_fault(ack) if isinstance(ack, ReplyAck) else None
            if fault is not None:
                return fault
        made = Made(self._catalog, commit.record.number, plan)
        for effect in plan.others:
            if isinstance(effect, PublishEvent):
                sends = publish(effect, plan, self._catalog.listeners)
                if isinstance(sends, Rejected):
                    return sends
                # A whole count of what will be sent bounds the next events.
                plan.sends += sends
                made.opened.update(message.id for message, _ in sends)
        return made

    # -- applying ----------------------------------------------------------------------------

    async def _apply(self, commit: Commit, made: Made) -> CommitAnswer:
        values = self.values(commit, made)
        if not made.reads:
            return await self._apply_at_once(commit, made, self.arguments(commit, made, values))
        for _ in range(OPTIMISTIC):
            await self._database.run(lambda session: self.read(session, made))
            row = await self._call(commit, made, values)
            if row["verdict"] != "stale":
                return self.answer(commit, made, row)

        async def locked(session: Session) -> Any:
            await session.run("take_locks", values[0])
            await self.read(session, made)
            return await session.row("commit", *self.arguments(commit, made, values))

        row = await self._database.run(locked, atomic=True)
        return self.answer(commit, made, row)

    async def _apply_at_once(
        self, commit: Commit, made: Made, arguments: tuple[Any, ...]
    ) -> CommitAnswer:
        """Apply what needs no reading: in few statements, where it is as most are."""
        plain = plain_arguments(arguments)

        async def call(session: Session) -> CommitAnswer:
            if plain is not None:
                row = await session.row("commit_plain", *plain)
                if row["a_now"] is not None:
                    return self._committed_plainly(commit, made, row["a_now"], row["tokens"])
            return self.answer(commit, made, await session.row("commit", *arguments))

        return await self._database.run(call)

    async def read(self, session: Session, made: Made) -> None:
        """Read what the commit is to be judged by."""
        changes = [change for change in made.plan.changes if made.needs(change)]
        found = await session.row(
            "items_stored",
            [change.key[0] for change in changes],
            [indexed(change.key[1]) for change in changes],
            [change.key[2] for change in changes],
        )
        assert found is not None
        rows = {row[0]: tuple(row)[1:] for row in found["rows"]}
        for nth, change in enumerate(changes, 1):
            made.saw(change, rows.get(nth), found["a_now"])
        if made.object_keys:
            objects: dict[tuple[str, str], ObjectRow] = {}
            keys = list(zip(*made.object_keys, strict=True))
            for bucket, key, *rest in await session.rows("objects_stored", *map(list, keys)):
                name, text = self._catalog.name(bucket), key.decode()
                rest[4] = from_msgpack(rest[4])
                objects[name, text] = ObjectRow(name, text, *rest)
            made.objects = objects
        made.work_out()

    async def _call(self, commit: Commit, made: Made, values: tuple[Any, ...]) -> Any:
        return await self._database.row("commit", *self.arguments(commit, made, values))

    def values(self, commit: Commit, made: Made) -> tuple[Any, ...]:
        """Return what does not depend on what is read: locks, acknowledgements, records."""
        record, acks = commit.record, commit.acks
        messages = [(ack.id, ack.token) for ack in acks if isinstance(ack, MessageAck)]
        replies = [
            (ack.key, ack.fingerprint, ack.body, ack.keep_s * 1000)
            for ack in acks
            if isinstance(ack, ReplyAck)
        ]
        locks = [(lock(b"record", record.number), True)]
        locks += [(lock(b"reply", reply[0]), True) for reply in replies]
        locks += [(lock(b"item", *change.key), True) for change in made.plan.changes]
        locks += [
            (lock(b"item", table.id, guard.pk, guard.sk), False)
            for guard, table in made.plan.guards
        ]
        locks += [(lock(b"object", *key), True) for key in made.all_objects]
        in_groups = not self._seen.are_plain([token for _, token in messages])
        duplicate = None
        if replies and len(messages) == 1:
            duplicate = to_msgpack(replace(record, ending="duplicate"))
        others = [record_row(other) for other in commit.others]
        queues = self._catalog.queues
        rooms = [
            (queues[name].id, places, self._seen.since(queues[name].id))
            for name, places in commit.leases.items()
            if places > 0 and name in queues
        ]
        made.since = {queue: since for queue, _, since in rooms}
        row = record_row(record)
        return in_order(locks), messages, replies, row, others, duplicate, rooms, in_groups

    def arguments(self, commit: Commit, made: Made, values: tuple[Any, ...]) -> tuple[Any, ...]:
        locks, messages, replies, record, others, duplicate, rooms, in_groups = values
        cancels = [
            (self._catalog.queues[one.queue].id, one.id)
            for one in made.plan.others
            if isinstance(one, CancelMessage)
        ]
        plain, apart = made.send_rows(commit.leases)
        record = (*record[:-1], list(made.sends) or None)
        return (
            self._catalog.version,
            locks,
            [(table.id, indexed(one.pk), one.sk, one.version) for one, table in made.plan.guards],
            made.change_rows(),
            made.object_rows(),
            cancels,
            plain,
            apart,
            messages,
            replies,
            record,
            others,
            duplicate,
            rooms,
            commit.owner,
            LEASE_MS,
            bool(in_groups or cancels or apart),
        )

    # -- answering ---------------------------------------------------------------------------

    def answer(self, commit: Commit, made: Made, row: Any) -> CommitAnswer:
        verdict, at, texts = row["verdict"], row["at_number"], row["texts"]
        stored = StoredReply(texts[0], row["stored"]) if row["stored"] is not None else None
        match verdict:
            case "done":
                return self._committed(commit, made, row)
            case "catalog" | "stale":
                raise Stale
            case "known":
                return Already(stored)
            case "other":
                return Broken("passing", f"The number {commit.record.number} is another run's.")
            case "already":
                return Already(stored, texts[1], self._queued(row))
            case "lost":
                return LeaseLost(list(texts))
            case "conflict":
                guard, _ = made.plan.guards[at - 1]
                function, request = texts or ("", "")
                return Conflicted(guard.table, describe_key(guard.pk, guard.sk), function, request)
            case "object":
                effect = made.object_effects[at - 1]
                return Unmet(effect.bucket, effect.key)
        change = made.plan.changes[at - 1]
        if verdict == "rejected":
            return made.faults[at - 1]
        return Unmet(change.effect.table, describe_key(change.effect.pk, change.effect.sk))

    def _committed(self, commit: Commit, made: Made, row: Any) -> Committed:
        now = row["a_now"]
        leased = [
            self._leased(commit, made, made.sends[id][1], id, token, body, now)
            for id, token, body in row["leased"] or ()
        ]
        return Committed(leased, self._queued(row))

    def _committed_plainly(
        self, commit: Commit, made: Made, now: int, tokens: list[int | None] | None
    ) -> Committed:
        leased: list[Claimed] = []
        queued: dict[str, int] = {}
        for (message, queue), token in zip(made.plan.sends, tokens or (), strict=True):
            if token:
                body = message.body
                leased.append(self._leased(commit, made, queue, message.id, token, body, now))
            elif token == 0:
                note_due(queued, queue.name, now + message.delay_ms)
        if queued:
            self._seen.tell(queued, self._catalog)
        return Committed(leased, queued)

    def _leased(
        self, commit: Commit, made: Made, queue: Queue, id: str, token: int, body: bytes, now: int
    ) -> Claimed:
        self._seen.none_before(queue.id, now, made.since[queue.id])
        self._seen.leased(token, plain=not queue.grouped)
        trace = (commit.record.correlation_id, commit.record.traceparent)
        return Claimed(queue.name, id, token, 1, body, now, now, now, *trace)

    def _queued(self, row: Any) -> dict[str, int]:
        queued: dict[str, int] = {}
        if row["woken_queues"]:
            found = zip(row["woken_queues"], row["woken_dues"], strict=True)
            turns = [one for one in found if one[1] is not None]
            note_turns(queued, self._catalog, turns)
            self._seen.tell(queued, self._catalog)
        return queued

    async def _was_applied(self, commit: Commit) -> Already | None:
        """Look up a commit that would be refused now: it may have been applied before that."""
        row = await self._database.row("record_get", commit.record.number)
        if row is None or from_msgpack(row["body"])[4] != commit.record.request_id:
            return None
        for ack in commit.acks:
            if isinstance(ack, ReplyAck):
                found = await self._database.row("reply_get", ack.key)
                return Already(StoredReply(found[0], found[1]) if found else None)
        return Already(None)
