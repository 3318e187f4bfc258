"""Groups against a model: whatever happens, order holds, keys take turns, and nothing is stuck.

Held after every step (on Postgres after every few), on one FIFO queue that skips, one that blocks,
and one whose keys take turns: at most one message of a FIFO group is active; what is parked has
something before it that is; of a key at most one waits unparked, and that is its first. At the end
all that is left is worked off, in the order of the commits for FIFO.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.contract.trigger_kit import bury, claim, configure, failures, message, release
from wherry.effects import CancelMessage
from wherry.platforms.sql.store import SqlStore
from wherry.ports import Discard, MessageAck, Pause, Redrive, Renew, Sweep

from . import inside
from .model_kit import Model, play

QUEUES = ("lane", "strict", "fair")
GROUPS = ("g", "h")
queues, groups = st.sampled_from(QUEUES), st.sampled_from(GROUPS)


class Groups(Model):
    """Three queues, and what has become of every message."""

    def __init__(self) -> None:
        super().__init__()
        self.place = self.make()
        configure(self.place)
        self.store = self.place.platform
        self.sent: dict[str, tuple[str, str]] = {}  # in the order of commits
        self.over: set[str] = set()  # done, cancelled or discarded
        self.moved: set[str] = set()  # redriven: at another place than that of their commit
        self.held: list[Any] = []

    @rule(queue=queues, group=groups, room=st.integers(0, 1), delay=st.sampled_from([0, 0, 3]))
    def send(self, queue: str, group: str, room: int, delay: int) -> None:
        id = f"m{len(self.sent):03}"
        self.sent[id] = (queue, group)
        effect = message(queue, id, group, delay_ms=delay * 1000)
        self.held += self.place.commit(effect, function="", leases={queue: room}).leased

    @rule(queue=queues, limit=st.integers(1, 4))
    def claim(self, queue: str, limit: int) -> None:
        self.held += claim(self.place, queue, limit)

    def one(self, data: Any) -> Any:
        found = data.draw(st.sampled_from(self.held))
        self.held.remove(found)
        return found

    def is_ours(self, found: Any) -> bool:
        row = inside.message(self.place, found.id, *QUEUES)
        return row is not None and row.token == found.token and row.state == "leased"

    @rule(data=st.data(), also=st.booleans(), queue=queues, group=groups)
    def acknowledge(self, data: Any, also: bool, queue: str, group: str) -> None:
        if self.held:
            found = self.one(data)
            if self.is_ours(found):
                self.over.add(found.id)
                effects = []
                if also:  # a message of a group in the very commit that ends another one of it
                    id = f"m{len(self.sent):03}"
                    self.sent[id] = (queue, group)
                    effects.append(message(queue, id, group))
                self.place.commit(*effects, acks=[MessageAck(found.id, found.token)], function="")

    @rule(data=st.data(), delay=st.sampled_from([0, 3]))
    def give_back(self, data: Any, delay: int) -> None:
        if self.held:
            release(self.place, self.one(data), delay, counted=False)

    @rule(data=st.data())
    def die(self, data: Any) -> None:
        if self.held:
            bury(self.place, self.one(data))

    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        left = sorted(set(self.sent) - self.over)
        if left:
            id = data.draw(st.sampled_from(left))
            row = inside.message(self.place, id, *QUEUES)
            self.place.commit(CancelMessage(self.sent[id][0], id), function="")
            if row is not None and row.state != "leased":
                self.over.add(id)

    @rule(data=st.data(), back=st.booleans())
    def leave_the_inbox(self, data: Any, back: bool) -> None:
        dead = [row.id for row in failures(self.place)]
        if dead:
            id = data.draw(st.sampled_from(dead))
            if back:
                self.place.ask(Redrive([id], None, "ana"))
                self.moved.add(id)
            else:
                self.place.ask(Discard([id], None, "", "ana"))
                self.over.add(id)

    @rule(seconds=st.sampled_from([1, 4, 16]))
    def wait(self, seconds: int) -> None:
        self.place.advance(seconds)

    @rule()
    def renew(self) -> None:
        self.place.ask(Renew("engine-1", [found.id for found in self.held]))

    @rule()
    def sweep(self) -> None:
        self.place.ask(Sweep(10))

    @rule(queue=queues, paused=st.booleans())
    def pause(self, queue: str, paused: bool) -> None:
        self.place.ask(Pause(queue, paused, "ana"))

    @rule()
    def fail_a_batch(self) -> None:
        """A transaction is undone, and what was kept in memory with it."""
        if isinstance(self.store, SqlStore):
            self.store._session.begin()
            self.store._undo(ValueError("no"))

    def holds(self) -> None:
        rows = {queue: inside.messages(self.place, queue) for queue in QUEUES}
        self.every_message_is_in_exactly_one_place(rows)
        self.of_a_fifo_group_one_is_active_and_it_is_the_first(rows)
        self.of_a_key_one_waits_and_it_is_the_first(rows["fair"])
        assert inside.below_their_floor(self.place) == []

    def every_message_is_in_exactly_one_place(self, rows: dict[str, list[Any]]) -> None:
        alive = [row.id for queue in QUEUES for row in rows[queue]]
        dead = [row.id for row in failures(self.place)]
        assert sorted([*alive, *dead, *self.over]) == sorted(self.sent)

    def of_a_fifo_group_one_is_active_and_it_is_the_first(self, rows: dict[str, list[Any]]) -> None:
        dead = {row.id for row in failures(self.place, "strict")}
        for queue in ("lane", "strict"):
            for group in GROUPS:
                states = [row.state for row in rows[queue] if row.group == group]
                active = [state for state in states if state != "parked"]
                assert len(active) <= 1
                blocked = queue == "strict" and any(self.sent[id] == (queue, group) for id in dead)
                assert active or not states or blocked

    def of_a_key_one_waits_and_it_is_the_first(self, rows: list[Any]) -> None:
        for group in GROUPS:
            mine = [row for row in rows if row.group == group]
            waiting = [row.place or 0 for row in mine if row.state == "waiting"]
            parked = [row.place or 0 for row in mine if row.state == "parked"]
            assert len(waiting) <= 1
            assert not parked or (waiting and waiting[0] <= min(parked))

    def give_up(self, dead: list[Any]) -> None:
        for row in dead:
            self.place.ask(Discard([row.id], None, "", "ana"))
            self.over.add(row.id)

    def teardown(self) -> None:
        """Work off all that is left: nothing is stuck, and FIFO is in order."""
        super().teardown()
        for queue in QUEUES:
            self.place.ask(Pause(queue, False, "ana"))
        self.give_up(failures(self.place))
        self.place.advance(16)
        order: list[str] = []
        for _ in range(40):
            self.place.advance(1000)
            found = [one for queue in QUEUES for one in claim(self.place, queue, 64)]
            for one in found:
                self.place.commit(acks=[MessageAck(one.id, one.token)], function="")
            order += [one.id for one in found]
            died = failures(self.place)  # the lease of the last attempt had ended
            assert {row.code for row in died} <= {"lease_expired"}
            self.give_up(died)
            left = sorted(set(self.sent) - self.over)
            if not found and len(order) >= len(left):
                break
        assert sorted(order) == left
        for queue in ("lane", "strict"):
            for group in GROUPS:
                done = [id for id in order if self.sent[id] == (queue, group)]
                done = [id for id in done if queue == "strict" or id not in self.moved]
                assert done == sorted(done)


def test_groups_keep_their_order_and_nothing_is_stuck_whatever_happens(new_place: Any) -> None:
    play(Groups, new_place, steps=40)
