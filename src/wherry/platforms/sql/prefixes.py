"""Several messages of a FIFO group in one claim, in order: its first one and what follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from wherry import limits

if TYPE_CHECKING:
    from wherry.platforms.sql.messages import Messages
    from wherry.ports import Claim, Claimed


def with_followers(
    messages: Messages, heads: list[Claimed], limit: int, request: Claim
) -> list[Claimed]:
    """Put behind the first message of each group what follows it, as far as there is room."""
    found: list[Claimed] = []
    room, size = limit - len(heads), limits.CLAIMED_BYTES - sum(len(one.body) for one in heads)
    for head in heads:
        lease = messages.leased(head.id, head.token)
        if lease is None or lease.grp is None:
            found.append(head)
            continue
        wanted = min(room, request.prefix - 1)
        rows = messages.parking.followers(lease.queue, lease.grp, wanted, size) if wanted else []
        followers = messages.take(rows, lease.queue, request) if rows else []
        found += [replace(one, group=lease.grp) for one in (head, *followers)]
        room, size = room - len(followers), size - sum(len(one.body) for one in followers)
    return found
