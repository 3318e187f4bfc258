"""Messages against a model: whatever happens, none is lost, none is there twice.

Held after every step (on Postgres after every few): done, dead and waiting are disjoint and are all
there is; nothing is leased without a live lease; attempts never exceed the maximum; a stale token
changes nothing.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from wherry import limits
from wherry.effects import CancelMessage, SendMessage
from wherry.ports import (
    Already,
    Bury,
    Claimed,
    Committed,
    Count,
    Discard,
    LeaseLost,
    ListFailures,
    QueueDepths,
    Redrive,
    Release,
    Renew,
    Sweep,
)

from . import inside
from .model_kit import Model, play

MAX_ATTEMPTS = 3


class Queue(Model):
    """One queue, two engines, and what has become of every message."""

    def __init__(self) -> None:
        super().__init__()
        self.place = self.make()
        self.sent = 0
        self.held: dict[str, tuple[Claimed, str, float]] = {}  # message, owner, end of lease
        self.stale: list[Claimed] = []
        self.done: set[str] = set()
        self.applied: dict[str, int] = {}
        self.discarded: set[str] = set()

    @property
    def now_s(self) -> float:
        return float(self.place.now_ms) / 1000

    def take(self, message: Claimed, owner: str) -> None:
        before = self.held.get(message.id)
        if before is not None:  # only because its lease had ended
            assert before[2] <= self.now_s
            self.stale.append(before[0])
        assert message.id not in self.done
        assert 1 <= message.attempt <= MAX_ATTEMPTS
        self.held[message.id] = (message, owner, self.now_s + limits.LEASE_S)

    @rule(count=st.integers(1, 3), room=st.integers(0, 2), delay_s=st.sampled_from([0, 0, 5]))
    def send(self, count: int, room: int, delay_s: int) -> None:
        names = [f"m{self.sent + n}" for n in range(count)]
        self.sent += count
        answer = self.place.commit(
            *(SendMessage("jobs", name, b"{}", delay_s * 1000) for name in names),
            leases={"jobs": room},
            owner="one",
        )
        assert isinstance(answer, Committed)
        assert len(answer.leased) <= room
        for message in answer.leased:
            self.take(message, "one")

    @rule(data=st.data())
    def send_again(self, data: Any) -> None:
        known = sorted({f"m{n}" for n in range(self.sent)} - self.done - self.discarded)
        if known:
            again = SendMessage("jobs", data.draw(st.sampled_from(known)), b"{}")
            answer = self.place.commit(again, leases={"jobs": 1}, owner="one")
            assert isinstance(answer, Committed)
            assert answer.leased == []

    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        if not self.sent:
            return
        id = f"m{data.draw(st.integers(0, self.sent - 1))}"
        row = inside.message(self.place, id, "jobs")
        assert isinstance(self.place.commit(CancelMessage("jobs", id)), Committed)
        if row is not None and row.state != "leased":
            self.held.pop(id, None)  # its lease has ended, unseen
            self.discarded.add(id)

    @rule(limit=st.integers(1, 4), owner=st.sampled_from(["one", "two"]))
    def claim(self, limit: int, owner: str) -> None:
        for message in self.place.claim(limit, owner=owner):
            self.take(message, owner)

    def pick(self, data: Any) -> tuple[Claimed, bool] | None:
        """Choose a message that somebody holds, or held; and whether it is held still."""
        choices = [entry[0] for entry in self.held.values()] + self.stale
        if not choices:
            return None
        message: Claimed = data.draw(st.sampled_from(choices))
        entry = self.held.get(message.id)
        ours = entry is not None and entry[0].token == message.token
        # Past its end a lease may still stand, if nobody has looked; both answers are right then.
        return message, ours and self.place_holds(message)

    def place_holds(self, held: Claimed) -> bool:
        row = inside.message(self.place, held.id, "jobs")
        return row is not None and row.token == held.token and row.state == "leased"

    def gone(self, message: Claimed) -> None:
        entry = self.held.get(message.id)
        if entry is not None and entry[0].token == message.token:
            del self.held[message.id]
        if message not in self.stale:
            self.stale.append(message)

    @rule(data=st.data(), twice=st.booleans())
    def acknowledge(self, data: Any, twice: bool) -> None:
        choice = self.pick(data)
        if choice is None:
            return
        message, ours = choice
        number = 1_000_000 + len(self.applied) + self.sent * 1000
        answer = self.place.acknowledge(message, number=number)
        assert isinstance(answer, Committed if ours else LeaseLost)
        if ours:
            self.applied[message.id] = self.applied.get(message.id, 0) + 1
            self.done.add(message.id)
            if twice:
                assert isinstance(self.place.acknowledge(message, number=number), Already)
        self.gone(message)

    @rule(data=st.data(), delay_s=st.sampled_from([0, 3]), counted=st.booleans())
    def release(self, data: Any, delay_s: int, counted: bool) -> None:
        choice = self.pick(data)
        if choice is None:
            return
        message, ours = choice
        if ours and counted and message.attempt >= MAX_ATTEMPTS:
            answer = self.place.ask(Bury(message.id, message.token, "worker", "failed", "", None))
        else:
            answer = self.place.ask(
                Release(message.id, message.token, delay_s * 1000, counted, "failed")
            )
        assert isinstance(answer, LeaseLost) is not ours
        self.gone(message)

    @rule(data=st.data())
    def bury(self, data: Any) -> None:
        choice = self.pick(data)
        if choice is not None:
            message, ours = choice
            answer = self.place.ask(Bury(message.id, message.token, "worker", "failed", "", None))
            assert isinstance(answer, LeaseLost) is not ours
            self.gone(message)

    @rule(owner=st.sampled_from(["one", "two"]))
    def renew(self, owner: str) -> None:
        names = [id for id, entry in self.held.items() if entry[1] == owner]
        self.place.ask(Renew(owner, names))
        for id in names:
            if self.place_holds(self.held[id][0]):
                self.held[id] = (*self.held[id][:2], self.now_s + limits.LEASE_S)

    @rule(seconds=st.sampled_from([1, 4, 16]))
    def wait(self, seconds: int) -> None:
        self.place.advance(seconds)

    @rule()
    def sweep(self) -> None:
        self.place.ask(Sweep(10))

    @rule()
    def begin_anew(self) -> None:
        """Engine two starts: what engine one held is free at once."""
        self.place.configure("release-1", owner="two")
        for id, (message, owner, _) in list(self.held.items()):
            if owner != "two":
                self.stale.append(message)
                del self.held[id]

    def dead(self) -> list[str]:
        return [row.id for row in self.place.ask(ListFailures("jobs", 1000, None)).rows]

    @rule(data=st.data(), back=st.booleans())
    def leave_the_inbox(self, data: Any, back: bool) -> None:
        dead = self.dead()
        if dead:
            id = data.draw(st.sampled_from(dead))
            request = Redrive([id], None, "a") if back else Discard([id], None, "", "a")
            assert self.place.ask(request) == Count(1)
            if not back:
                self.discarded.add(id)

    def holds(self) -> None:
        rows, dead = inside.messages(self.place, "jobs"), self.dead()
        self.every_message_is_in_exactly_one_place(rows, dead)
        self.depths_agree_with_the_rows(rows, dead)

    def every_message_is_in_exactly_one_place(self, rows: list[Any], dead: list[str]) -> None:
        places = [*(row.id for row in rows), *dead, *self.done, *self.discarded]
        assert sorted(places) == sorted(f"m{n}" for n in range(self.sent))
        assert all(0 <= row.attempts <= MAX_ATTEMPTS for row in rows)
        assert set(self.applied.values()) <= {1}

    def depths_agree_with_the_rows(self, rows: list[Any], dead: list[str]) -> None:
        [depth] = [row for row in self.place.ask(QueueDepths()).rows if row.queue == "jobs"]
        leased = [row.state for row in rows].count("leased")
        found = (depth.waiting, depth.leased, depth.failed)
        assert found == (len(rows) - leased, leased, len(dead))


def test_no_message_is_lost_or_there_twice_whatever_happens(new_place: Any) -> None:
    play(Queue, new_place, steps=40)
