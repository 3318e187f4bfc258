"""What a commit sends besides its own messages: to who listens to an event, an object, a table.

It is worked out inside of the commit, so that nothing is lost between a cause and its message.
"""

from __future__ import annotations

from msgspec.structs import replace

from wherry.effects import DeleteObject, PublishEvent, PutObject
from wherry.platforms.shared.changes import Change
from wherry.platforms.shared.plans import Plan
from wherry.platforms.shared.spread import (
    Sends,
    change_body,
    closed,
    object_sends,
    publish,
    to_followers,
)
from wherry.platforms.shared.tables import Table
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.session import Session
from wherry.ports import ObjectRow, Rejected


class Sources:
    """Makes messages from events, changes of items, and objects that appear or go."""

    def __init__(self, session: Session, catalog: Catalog) -> None:
        self._session = session
        self._catalog = catalog

    def publish(self, event: PublishEvent, plan: Plan) -> Rejected | None:
        """Add an event's messages to a plan, one for each queue with a pattern that matches it."""
        sends = publish(event, plan, self._catalog.listeners)
        if isinstance(sends, Rejected):
            return sends
        self._add(plan, sends)
        return None

    def _add(self, plan: Plan, sends: Sends) -> None:
        now = self._session.now_ms
        for message, queue in sends:
            plan.sends.append((replace(message, body=closed(message.body, now)), queue))

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
        plan.sends += to_followers(change.table, change.key[1:], f"{prefix}.w", body)

    def gone(self, table: Table, pk: bytes, sk: bytes, old: bytes, prefix: str) -> Sends:
        """Return the messages about an item that is gone."""
        body = self._change(table, b"remove", (pk, sk), old, None, self._session.next())
        return to_followers(table, (pk, sk), f"{prefix}.r", body)

    def _change(
        self,
        table: Table,
        kind: bytes,
        key: tuple[bytes, ...],
        old: bytes | None,
        new: bytes | None,
        version: int,
    ) -> bytes:
        return closed(change_body(table, kind, key, old, new), self._session.now_ms, version)

    def object(
        self, effect: PutObject | DeleteObject, old: ObjectRow | None, number: int, plan: Plan
    ) -> None:
        """Add the messages about an object that has appeared, or is gone.

        Args:
            old: The object that is gone.
            number: That of the commit's record.
        """
        listeners = self._catalog.listeners.objects.get(effect.bucket, [])
        prefix = f"object.{number}.{len(plan.sends)}"
        self._add(plan, object_sends(effect, old, listeners, prefix))
