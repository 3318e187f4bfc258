"""A transaction held open elsewhere keeps the rows of what is done, dead, and their index entries:
what a claim touches must not grow with them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager

import pytest
from msgspec import json

from tests.contract.conftest import Place
from tests.contract.trigger_kit import configure, send
from tests.postgres_kit import FLOORS, Schema, loop, schema
from wherry import limits
from wherry.effects import DeleteItem, Effect, SendMessage
from wherry.platforms.postgres.hints import Seen
from wherry.ports import Answer, Commit, Committed, MessageAck, Poll
from wherry.world import ManualClock

DONE = 1_200  # messages; a page of the index has some hundred entries
DONE_IN_GROUP = 600
AT_ONCE = 40
CLAIM = "SELECT * FROM claim_messages($1, 10, 'another', 1, $2, 12000, 1000000)"
SEND = """
SELECT * FROM send_apart(
    ROW($1, 'new', '{}'::bytea, 0, 86400000, 'g', '', 0, 0, false)::send,
    '', '', 'another', 0, 12000, now_ms())
"""
# What is written down as often as every test does it is a row with as many dead ones.
APART = """
CREATE OR REPLACE FUNCTION floors_apart_ms() RETURNS bigint LANGUAGE sql AS
$$ SELECT 1000::bigint $$
"""

SLOW = """
CREATE FUNCTION wait_here() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_advisory_xact_lock_shared(0, 1); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER wait_here AFTER INSERT ON messages
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_here();
"""
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND NOT granted"


class Held:
    """A place whose database has a snapshot held open, and what a claim touches there."""

    def __init__(self, one: Schema) -> None:
        self.place = Place(one.store, one.clock.advance_to)
        self._asked = one.store
        self.store = one.store.store
        self._holder = loop().run(self.store.database.connect())
        self._run("SET idle_in_transaction_session_timeout = 0")  # ours would be ended
        self._run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        self._run("SELECT count(*) FROM messages")
        self._asked.execute(APART)

    def _run(self, sql: str) -> None:
        loop().run(self._holder.execute(sql))

    def analyze(self) -> None:
        """Take statistics, as autovacuum does every minute."""
        self._asked.execute("VACUUM (ANALYZE) messages")

    def close(self) -> None:
        loop().run(self._holder.close())
        self._asked.execute("DROP FUNCTION IF EXISTS wait_here CASCADE")
        self._asked.execute(FLOORS)

    @contextmanager
    def commits_waiting(self) -> Iterator[None]:
        """Meanwhile who sends a message comes as far as its commit, and waits there."""
        self._run("SELECT pg_advisory_lock(0, 1)")
        self._asked.execute(SLOW)
        yield
        self._run("SELECT pg_advisory_unlock(0, 1)")

    def begin(self, commit: Commit) -> Coroutine[None, None, Answer]:
        """Begin a commit, and wait until it waits."""

        async def begun() -> asyncio.Task[Answer]:
            task = asyncio.create_task(self.store.answer("", commit))
            while not await self._holder.fetchval(WAITING):
                assert not task.done(), task.result()
                await asyncio.sleep(0)
            return task

        task = loop().run(begun())

        async def ended() -> Answer:
            return await task

        return ended()

    def send_ten(self) -> None:
        effects = [SendMessage("jobs", f"{self.place.now_ms}-{n}", b"{}") for n in range(10)]
        assert isinstance(self.place.commit(*effects), Committed)

    def work_off(self, count: int) -> None:
        """Send, claim and end messages, as time goes by."""
        for start in range(0, count, AT_ONCE):
            ids = [f"m{number}" for number in range(start, start + AT_ONCE)]
            self.place.commit(*(SendMessage("jobs", id, b"{}") for id in ids))
            acks = [MessageAck(one.id, one.token) for one in self.place.claim(AT_ONCE + 10)]
            ended: Commit = self.place.request(acks=list(acks), function="")
            self.place.ask(ended)
            self.place.advance(0.1)
        assert self.place.claim() == []

    def since(self) -> int:
        """From when on the store looks for what waits."""
        return self.store.seen.since(self._queue())

    def _queue(self, name: str = "jobs") -> int:
        rows = self._asked.query("SELECT id FROM names WHERE (kind, name) = ('queue', $1)", name)
        return int(rows[0][0])

    def touched_in_group(self, queue: str) -> dict[str, int]:
        """How many pages it takes to send a message of group g, to claim its next, to end that."""
        number = self._queue(queue)
        claimed = CLAIM.replace("$1", str(number)).replace("$2", str(self.store.seen.since(number)))
        touched = {"send": self.touched(SEND.replace("$1", str(number)))}
        touched["claim"] = self.touched(claimed)
        [first] = self.place.claim(1, queue=queue)
        touched["end"] = self.touched(f"SELECT * FROM finish('{first.id}', now_ms())")
        self.place.acknowledge(first)
        return touched

    def touched_by_claim(self, since: int) -> int:
        """How many pages a claim that searches from then on has touched."""
        return self.touched(CLAIM.replace("$1", str(self._queue())).replace("$2", str(since)))

    def touched(self, sql: str) -> int:
        """How many pages a statement has touched. What it does is not kept."""

        async def explain() -> str:
            connection = await self.store.database.connect()
            try:
                # First what each connection reads once.
                for asked in (sql, f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}"):
                    undone = connection.transaction()
                    await undone.start()
                    found = await connection.fetchval(asked)
                    await undone.rollback()
                return str(found)
            finally:
                await connection.close()

        plan = json.decode(loop().run(explain()))[0]["Plan"]
        return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


@pytest.fixture
def held() -> Iterator[Held]:
    with schema(ManualClock()) as one:
        found = Held(one)
        yield found
        found.close()


def test_nor_where_the_planner_takes_the_table_for_an_empty_one(held: Held) -> None:
    """Statistics count what is alive: nearly nothing. A list of keys is looked up by the index."""
    held.work_off(DONE)
    held.analyze()
    held.send_ten()
    walked = held.touched_by_claim(held.since())
    assert walked < DONE / 4


def test_a_claim_does_not_walk_what_is_done(held: Held) -> None:
    """It looks from where the last one has found nothing; from the beginning it is dear."""
    held.send_ten()
    fresh = held.touched_by_claim(held.since())
    held.work_off(DONE)
    held.send_ten()
    assert held.touched_by_claim(held.since()) < 3 * fresh
    assert held.touched_by_claim(0) > 4 * fresh  # what is done is there still


@pytest.mark.parametrize("at_once", [1, DONE_IN_GROUP], ids=["one by one", "a backlog"])
@pytest.mark.parametrize("queue", ["lane", "fair"])
def test_nor_does_anything_walk_what_a_group_has_done(held: Held, queue: str, at_once: int) -> None:
    """In a queue of FIFO groups, and in one whose keys take turns."""
    place = held.place
    configure(place)
    send(place, queue, *(f"first{number}" for number in range(20)))
    fresh = held.touched_in_group(queue)
    for start in range(0, DONE_IN_GROUP, at_once):
        for number in range(start, start + at_once):
            send(place, queue, f"m{number}")
            place.advance(0.001)
        for _ in range(at_once):
            [first] = place.claim(1, queue=queue)
            place.acknowledge(first)
            place.advance(0.1)
    grown = held.touched_in_group(queue)
    for step, pages in grown.items():
        assert pages < 3 * fresh[step], (step, fresh, grown)


def test_what_a_claim_leaves_out_a_poll_finds(held: Held) -> None:
    """Where a search from the beginning is dear: here, a message whose consumer has died."""
    place = held.place
    held.store.seen.slow_us = 0
    assert isinstance(place.send("job"), Committed)
    [first] = place.claim(owner="a dead engine")
    place.advance(limits.LEASE_S - 1)
    assert place.ask(Poll(["jobs"])).queued == {}
    place.advance(2)
    assert place.claim() == []
    assert place.ask(Poll(["jobs"])).queued == {"jobs": first.visible_at_ms}
    [again] = place.claim()
    assert (again.id, again.attempt) == ("job", 2)


@pytest.mark.parametrize("effects", [1, 2], ids=["plain", "whole"])
def test_a_claim_finds_what_took_long_to_commit(held: Held, effects: int) -> None:
    """As where a standby is far away: its queue was searched while the commit was under way."""
    place = held.place
    held.store.seen.slow_us = 0
    assert place.claim() == []
    sent: list[Effect] = [
        SendMessage("jobs", "slow", b"{}"),
        DeleteItem("orders", *place.key("c", "none")),
    ]
    with held.commits_waiting():
        committed = held.begin(place.request(*sent[:effects]))
        place.advance(1)
        assert place.claim() == []
    assert isinstance(loop().run(committed), Committed)
    assert [one.id for one in place.claim()] == ["slow"]


@pytest.mark.parametrize(
    ("took_us", "part"),
    [
        (limits.CLAIM_SLOW_US * 5, limits.CLAIM_SLOW_FACTOR),
        (800_000, limits.CLAIM_SLOW_LEAST),  # half a million dead rows
    ],
)
def test_a_dear_search_from_the_beginning_is_a_small_part_of_the_time(
    took_us: int, part: int
) -> None:
    """It finds what came late: an ended lease, a commit that took long."""
    seen, now_s, spent_s = Seen(), 1_000.0, 0.0
    seen.none_before(1, 5_000_000, 0)
    begun_s = now_s
    for _ in range(100_000):
        since = seen.searched_from(1, now_s, polls=True)
        seen.searched(1, since, took_us if since == 0 else 100, now_s)
        spent_s += took_us / 1e6 if since == 0 else 0.0
        now_s += 0.001
    assert 0.0 < spent_s <= 1.2 * (now_s - begun_s) / part
