"""What the models of the contract suite look at in a store, which no request tells."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from tests.postgres_kit import Waited
from wherry.platforms.shared.shapes import PARKED


class Seen(NamedTuple):
    """A message as it is stored. ended: its lease has ended, and nobody has looked since."""

    id: str
    group: str | None
    state: Literal["waiting", "parked", "leased", "ended"]
    token: int
    attempts: int
    place: int | None


def messages(place: Any, queue: str) -> list[Seen]:
    """All messages of a queue, by their place."""
    store = place.platform
    if isinstance(store, Waited):
        return _on_postgres(store, queue)
    rows = store._session.run(
        "SELECT m.id, grp, slot, token, attempts, place FROM messages m"
        " JOIN names n ON n.id = queue WHERE n.kind = 'queue' AND n.name = ? ORDER BY place",
        (queue,),
    ).fetchall()
    found = []
    for id, group, slot, token, *rest in rows:
        assert (slot < 0) is (token != 0)
        assert (id in store._messages._leases) is (slot < 0)
        state = "leased" if slot < 0 else "parked" if slot > PARKED else "waiting"
        found.append(Seen(id, group, state, token, *rest))  # type: ignore[arg-type]
    return found


def _on_postgres(store: Waited, queue: str) -> list[Seen]:
    rows = store.query(
        "SELECT m.id, grp, parked, leased_until, now_ms(), token, attempts, place FROM messages m"
        " JOIN names n ON n.id = queue WHERE n.kind = 'queue' AND n.name = $1 ORDER BY place",
        queue,
    )
    found = []
    for id, group, parked, until, now, *rest in rows:
        assert (until > 0) is (rest[0] != 0)
        assert not (parked and until)
        state = "leased" if until > now else "ended" if until else "waiting"
        found.append(Seen(id, group, "parked" if parked else state, *rest))  # type: ignore[arg-type]
    return found


def message(place: Any, id: str, *queues: str) -> Seen | None:
    """One message, in one of these queues."""
    found = [one for queue in queues for one in messages(place, queue) if one.id == id]
    return found[0] if found else None


def audit(place: Any) -> list[tuple[Any, ...]]:
    """What was audited, in order: at, actor, action, subject, detail."""
    return rows(place, "SELECT at_ms, actor, action, subject, detail FROM audit ORDER BY id")


def rows(place: Any, statement: str) -> list[tuple[Any, ...]]:
    """The rows of a query that all stores understand."""
    store = place.platform
    if isinstance(store, Waited):
        return store.query(statement)
    found: list[tuple[Any, ...]] = store._session.run(statement).fetchall()
    return found


def below_their_floor(place: Any) -> list[str]:
    """Messages that Postgres leaves out where it looks for what their group has."""
    store = place.platform
    if not isinstance(store, Waited):
        return []
    rows = store.query(
        "SELECT id FROM messages m JOIN group_floors f USING (queue, grp) WHERE m.place < f.place"
    )
    return [row[0] for row in rows]
