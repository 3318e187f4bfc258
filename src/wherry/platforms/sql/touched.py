"""What of the store's content was changed, as far as a read can see it."""

from __future__ import annotations

from wherry.effects import DeleteObject, PutObject
from wherry.platforms.shared.plans import Plan
from wherry.ports import (
    Bury,
    Claim,
    Commit,
    Fire,
    GetItem,
    GetObject,
    GetReply,
    ListObjects,
    Note,
    Poll,
    QueryItems,
    Release,
    Renew,
    ReplyAck,
    Request,
    WakeExecutions,
)

READS = (GetItem, QueryItems, GetObject, ListObjects, GetReply)
_UNSEEN = (Commit, Claim, Poll, Note, Release, Bury, Renew, Fire, WakeExecutions, *READS)


class Touched:
    """Gathers what commits change."""

    def __init__(self) -> None:
        self._keys: set[object] = set()  # also of what they are in
        self._all = False

    def ask(self, request: Request) -> None:
        """Take note of what is not a commit: what else may change what can be read is not told."""
        if not isinstance(request, _UNSEEN):
            self._all = True

    def add(self, commit: Commit, plan: Plan) -> None:
        """Take note of what a commit changes."""
        keys = self._keys
        for change in plan.changes:
            effect = change.effect
            keys.update((("table", effect.table), ("item", effect.table, effect.pk, effect.sk)))
        for other in plan.others:
            if isinstance(other, PutObject | DeleteObject):
                keys.update((("bucket", other.bucket), ("object", other.bucket, other.key)))
        for ack in commit.acks:
            if isinstance(ack, ReplyAck):
                keys.add(("reply", ack.key))

    def covers(self, request: Request) -> bool:
        """Whether a read may see something of it."""
        keys = self._keys
        match request:
            case GetItem(table, pk, sk):
                key: object = ("item", table, pk, sk)
            case QueryItems():
                key = ("table", request.table)
            case GetObject():
                key = ("object", request.bucket, request.key)
            case ListObjects():
                key = ("bucket", request.bucket)
            case GetReply():
                key = ("reply", request.key)
            case _:
                return True
        return self._all or key in keys
