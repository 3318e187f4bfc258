"""Replies: what was committed under a key, once."""

from __future__ import annotations

from wherry.platforms.sql.session import Session
from wherry.ports import ReplyAck, StoredReply


class Replies:
    """Stored replies and step values."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, key: str) -> StoredReply | None:
        """Return what stands under a key, if it is still kept."""
        row = self._session.row("reply_get", key)
        if row is None or row[3] <= self._session.now_ms:
            return None
        return StoredReply(row[1], row[2])

    def add(self, ack: ReplyAck) -> None:
        """Store a reply. The transaction is open; an expired one is replaced."""
        session = self._session
        expires = session.now_ms + ack.keep_s * 1000
        session.write("reply_insert", ack.key, expires, ack.fingerprint, ack.body)

    def remove_old(self, limit: int) -> int:
        """Remove what is kept no longer."""
        session = self._session
        rows = session.rows("replies_expired", session.now_ms, limit)
        if rows:
            session.begin()
            session.many(session.sql["reply_delete"], rows)
        return len(rows)
