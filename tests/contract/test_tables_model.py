"""Tables against a plain dictionary: any sequence of commits, reads and moves of the clock."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule
from msgspec import json, structs

from wherry.codec import key_bytes
from wherry.effects import Absent, Compare, DeleteItem, Guard, Present, UpdateItem
from wherry.ports import Committed, Conflicted, Reindex, Sweep, Unmet

from .model_kit import Model, play

KEYS = st.tuples(st.sampled_from("ab"), st.sampled_from(["1", "2", "10"]))
STATUSES = st.sampled_from(["open", "paid", None, 5])
CONDITIONS = st.sampled_from(
    [None, None, Absent(), Present(), Compare("status", "==", "open"), Compare("n", ">", 2)]
)
DYING = "notes"  # the table whose items expire


class Tables(Model):
    """A store, and what should be in it."""

    def __init__(self) -> None:
        super().__init__()
        self.place = self.make()
        # (customer, order): the item and the version that the store gave it
        self.orders: dict[tuple[str, str], tuple[dict[str, Any], int]] = {}
        self.notes: dict[str, dict[str, Any]] = {}
        self.versions: set[int] = set()
        self.stale: list[Guard] = []

    def met(self, condition: Any, item: dict[str, Any] | None) -> bool:
        match condition:
            case None:
                return True
            case Absent():
                return item is None
            case Present():
                return item is not None
            case Compare(field="status"):
                return item is not None and item.get("status") == "open"
        return item is not None and item["n"] > 2

    def guard_of(self, key: tuple[str, str]) -> Guard:
        version = self.orders[key][1] if key in self.orders else 0
        return Guard("orders", *self.place.key(*key), version)  # type: ignore[call-arg]

    def applied(self, key: tuple[str, str], item: dict[str, Any] | None) -> None:
        if key in self.orders:
            self.stale.append(self.guard_of(key))
        if item is None:
            self.orders.pop(key, None)
            return
        version = self.place.version("orders", *key)
        assert version not in self.versions
        self.versions.add(version)
        self.orders[key] = (item, version)

    @rule(key=KEYS, n=st.integers(0, 5), status=STATUSES, when=CONDITIONS, guarded=st.booleans())
    def put(self, key: Any, n: int, status: Any, when: Any, guarded: bool) -> None:
        item = {"n": n, "status": status, "at": n}
        effect = self.place.put("orders", *key, when=when, **item)
        guards = [self.guard_of(key)] if guarded else []
        answer = self.place.commit(effect, guards=guards)
        old = self.orders.get(key, (None, 0))[0]
        if self.met(when, old):
            assert isinstance(answer, Committed)
            self.applied(key, item)
        else:
            assert answer == Unmet("orders", "/".join(key))

    @rule(key=KEYS, when=CONDITIONS)
    def delete(self, key: Any, when: Any) -> None:
        answer = self.place.commit(DeleteItem("orders", *self.place.key(*key), when))  # type: ignore[call-arg]
        assert isinstance(answer, Committed) is self.met(when, self.orders.get(key, (None, 0))[0])
        if isinstance(answer, Committed):
            self.applied(key, None)

    @rule(key=KEYS, n=st.integers(-3, 3), status=STATUSES, initial=st.booleans(), when=CONDITIONS)
    def update(self, key: Any, n: int, status: Any, initial: bool, when: Any) -> None:
        begin = {"n": 0, "status": "open", "at": 0} if initial else None
        effect = UpdateItem(  # type: ignore[call-arg]
            "orders",
            *self.place.key(*key),
            json.encode({"status": status}),
            json.encode({"n": n}),
            json.encode(begin) if begin else None,
            when,
        )
        answer = self.place.commit(effect)
        old = self.orders.get(key, (None, 0))[0]
        base = old or begin
        if base is not None and self.met(when, old):
            assert isinstance(answer, Committed)
            self.applied(key, base | {"status": status, "n": base["n"] + n})  # type: ignore[operator]
        else:
            assert answer == Unmet("orders", "/".join(key))

    @rule(data=st.data(), key=KEYS)
    def conflict(self, data: Any, key: Any) -> None:
        stale = [guard for guard in self.stale if guard != self.guard_of(_key_of(guard))]
        if stale:
            guard = data.draw(st.sampled_from(stale))
            answer = self.place.commit(self.place.put("orders", *key, n=9), guards=[guard])
            assert isinstance(answer, Conflicted)

    @rule(first=KEYS, second=KEYS)
    def swap(self, first: Any, second: Any) -> None:
        """Two effects of one commit: both or neither."""
        if first == second:
            return
        effects = [
            self.place.put("orders", *first, n=7, status="open", at=7),
            DeleteItem("orders", *self.place.key(*second), Present()),  # type: ignore[call-arg]
        ]
        answer = self.place.commit(*effects)
        assert isinstance(answer, Committed) is (second in self.orders)
        if isinstance(answer, Committed):
            self.applied(first, {"n": 7, "status": "open", "at": 7})
            self.applied(second, None)

    # -- items that expire --

    @rule(id=st.sampled_from("xy"), lives_s=st.integers(1, 5), tag=st.sampled_from("tu"))
    def note(self, id: str, lives_s: int, tag: str) -> None:
        until = self.place.now_ms // 1000 + lives_s
        absent = id not in self.alive()
        answer = self.place.commit(self.place.put(DYING, id, when=Absent(), until=until, tag=tag))
        assert isinstance(answer, Committed) is absent
        if absent:
            self.notes[id] = {"until": until, "tag": tag}

    @rule(seconds=st.integers(1, 3))
    def wait(self, seconds: int) -> None:
        self.place.advance(seconds)

    @rule()
    def sweep(self) -> None:
        self.place.ask(Sweep(2))

    def alive(self) -> dict[str, dict[str, Any]]:
        now_s = self.place.now_ms / 1000
        return {id: note for id, note in self.notes.items() if note["until"] > now_s}

    # -- indexes that come and go --

    @rule(drop=st.booleans(), steps=st.integers(0, 3))
    def reindex(self, drop: bool, steps: int) -> None:
        if drop:
            orders, *others = self.place.tables
            bare = structs.replace(orders, indexes=())
            for release in ("bare", "bare as before"):  # the one before is still served
                self.place.configure(release, tables=(bare, *others))
            self.place.configure("release-1")
        for _ in range(steps):
            self.place.ask(Reindex("orders", "by_status", 1))

    # -- what must hold --

    def holds(self) -> None:
        """Every key reads as expected."""
        for customer in "ab":
            page = self.place.query("orders", customer)
            found = {
                (customer, row.sk[1:].decode()): (json.decode(row.body), row.version)
                for row in page.rows
            }
            assert found == {key: row for key, row in self.orders.items() if key[0] == customer}
        for id in "xy":
            assert self.place.get(DYING, id) == self.alive().get(id)
        for tag in "tu":
            rows = self.place.bodies(self.place.query(DYING, tag, "by_tag"))
            expected = [note for _, note in sorted(self.alive().items()) if note["tag"] == tag]
            assert rows == expected

    @rule(
        status=st.sampled_from(["open", "paid"]),
        low=st.none() | st.integers(-3, 8),
        high=st.none() | st.integers(-3, 8),
        limit=st.integers(1, 4),
        descending=st.booleans(),
    )
    def query_index(self, status: str, low: Any, high: Any, limit: int, descending: bool) -> None:
        while self.place.ask(Reindex("orders", "by_status", 100)).count:
            pass
        expected = [
            item
            for _, item in sorted(
                ((item["at"], key), item)
                for key, (item, _) in self.orders.items()
                if item.get("status") == status
                and (low is None or item["at"] >= low)
                and (high is None or item["at"] < high)
            )
        ]
        options = {
            "low": None if low is None else key_bytes(low),
            "high": None if high is None else key_bytes(high),
            "limit": limit,
            "descending": descending,
        }
        found: list[Any] = []
        page = self.place.query("orders", status, "by_status", **options)
        found += self.place.bodies(page)
        while page.after is not None:
            page = self.place.query("orders", status, "by_status", after=page.after, **options)
            found += self.place.bodies(page)
        assert found == (expected[::-1] if descending else expected)


def _key_of(guard: Guard) -> tuple[str, str]:
    return guard.pk[1:].decode(), guard.sk[1:].decode()


def test_tables_do_what_a_dictionary_does(new_place: Any) -> None:
    play(Tables, new_place, steps=30)
