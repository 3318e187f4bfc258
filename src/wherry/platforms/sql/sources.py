"""What a commit sends besides its own messages: to who listens to an event, an object, a table.

It is worked out inside of the commit, so that nothing is lost between a cause and its message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wherry import limits
from wherry.codec import digest, from_json, key_text, to_json
from wherry.effects import DeleteObject, PublishEvent, PutObject, SendMessage
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.items import Change
from wherry.platforms.sql.plans import Plan
from wherry.platforms.sql.session import Session
from wherry.platforms.sql.shapes import Queue, Table
from wherry.ports import ObjectRow, Rejected

if TYPE_CHECKING:
    from wherry.patterns import Pattern


class Sources:
    """Makes messages from events, changes of items, and objects that appear or go."""

    def __init__(self, session: Session, catalog: Catalog) -> None:
        self._session = session
        self._catalog = catalog

    def publish(self, event: PublishEvent, plan: Plan) -> Rejected | None:
        """Add an event's messages to a plan, one for each queue with a pattern that matches it."""
        try:
            detail = from_json(event.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return Rejected(f"event {event.event}: its detail is no JSON: {error}")
        listeners = self._listeners(event, plan)
        if not listeners:
            return None
        body = b'{"event":%s,"version":%d,"id":%s,"at_ms":%d,"detail":%s}' % (
            to_json(event.event), event.version, to_json(event.id), self._session.now_ms,
            event.body,
        )  # fmt: skip
        told: set[str] = set()
        for queue, pattern in listeners:
            name = queue.name
            if name not in told and (pattern is None or pattern.matches(detail)):
                told.add(name)
                id = f"{event.id}.{name}"
                # Where order counts, an event is a group of its own.
                plan.sends.append((SendMessage(name, id, body, 0, id), queue))
        plan.spread_bytes += len(body) * len(told)
        if plan.spread_bytes > limits.SPREAD_BYTES:
            return Rejected(
                f"event {event.event}: {len(told)} listeners get {len(body)} bytes each; a commit "
                f"may tell at most {limits.SPREAD_BYTES} bytes in all. Put the content into a "
                "bucket or a table and tell its key."
            )
        if len(plan.sends) > limits.SPREAD_MESSAGES:
            return Rejected(
                f"event {event.event}: with its {len(told)} listeners the commit would send more "
                f"than {limits.SPREAD_MESSAGES} messages. Publish fewer events at once."
            )
        return None

    def _listeners(self, event: PublishEvent, plan: Plan) -> list[tuple[Queue, Pattern | None]]:
        """Return who hears of an event.

        A run of an older release may tell of a version that is declared no more: those hear of it
        who listen to the next one, which reads it too. They do not where the same run tells of a
        newer version: then this one is what `downgrade=` made of that.
        """
        declared = self._catalog.listeners
        found = declared.events.get((event.event, event.version))
        if found is not None:
            return found
        told = (one for one in plan.others if isinstance(one, PublishEvent))
        if any(one.event == event.event and one.version > event.version for one in told):
            return []
        return declared.next_after(event.event, event.version)

    def changed(self, change: Change, number: int, plan: Plan) -> None:
        """Add the messages about an item that was changed in the commit with this record."""
        old, now = change.old, self._session.now_ms
        before = None if old is None else old[4]
        prefix = f"change.{number}.{len(plan.sends)}"
        if old is not None and old[3] is not None and old[3] <= now and change.body is not None:
            # It had expired, unseen by the sweep: it goes, and another one comes.
            plan.sends += self.gone(change.table, change.key[1], change.key[2], old[4], prefix)
            before = None
        if before == change.body:
            return
        if change.body is None:
            assert before is not None
            plan.sends += self.gone(change.table, change.key[1], change.key[2], before, prefix)
            return
        kind = b"insert" if before is None else b"modify"
        body = self._change(change.table, kind, change.key[1:], before, change.body, change.version)
        plan.sends += _to_followers(change.table, change.key[1:], f"{prefix}.w", body)

    def gone(
        self, table: Table, pk: bytes, sk: bytes, old: bytes, prefix: str
    ) -> list[tuple[SendMessage, Queue]]:
        """Return the messages about an item that is gone."""
        body = self._change(table, b"remove", (pk, sk), old, None, self._session.next())
        return _to_followers(table, (pk, sk), f"{prefix}.r", body)

    def _change(
        self,
        table: Table,
        kind: bytes,
        key: tuple[bytes, ...],
        old: bytes | None,
        new: bytes | None,
        version: int,
    ) -> bytes:
        """Return a message's body. Its head is what `telemetry.cause_of` names it by."""
        shown = "/".join(key_text(part) for part in key if part)
        return b'{"kind":"%s","table":%s,"key":%s,"old":%s,"new":%s,"at_ms":%d,"version":%d}' % (
            kind, to_json(table.shape.name), to_json(shown), old or b"null", new or b"null",
            self._session.now_ms, version,
        )  # fmt: skip

    def object(
        self, effect: PutObject | DeleteObject, old: ObjectRow | None, number: int, plan: Plan
    ) -> None:
        """Add the messages about an object that has appeared, or is gone.

        Args:
            old: The object that is gone.
            number: That of the commit's record.
        """
        listeners = self._catalog.listeners.objects.get(effect.bucket)
        what = effect if isinstance(effect, PutObject) else old
        if not listeners or what is None:
            return
        kind = "created" if isinstance(effect, PutObject) else "removed"
        body = to_json(
            {
                "kind": kind,
                "bucket": effect.bucket,
                "key": effect.key,
                "size_bytes": what.size_bytes,
                "sha256": what.sha256,
                "media_type": what.media_type,
                "metadata": what.metadata,
                "at_ms": self._session.now_ms,
            }
        )
        prefix = f"object.{number}.{len(plan.sends)}"
        told: set[str] = set()
        for source, queue in listeners:
            name, key = queue.name, effect.key
            wanted = source.kind == kind and name not in told
            if wanted and key.startswith(source.prefix) and key.endswith(source.suffix):
                told.add(name)
                group = f"{effect.bucket}/{key}"
                group = group if len(group) <= limits.GROUP_LENGTH else digest(group)
                plan.sends.append((SendMessage(name, f"{prefix}.{name}", body, 0, group), queue))


def _to_followers(
    table: Table, key: tuple[bytes, ...], prefix: str, body: bytes
) -> list[tuple[SendMessage, Queue]]:
    """Return the messages to who follows a table. One key is one group, in its order."""
    group = f"{table.id}/{'/'.join(part.hex() for part in key)}"
    if len(group) > limits.GROUP_LENGTH:
        group = f"{table.id}/{digest(*key)}"
    return [
        (SendMessage(queue.name, f"{prefix}.{queue.name}", body, 0, group), queue)
        for queue in table.followers
    ]
