"""Small parts of the store on Postgres that need no database."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry import limits
from wherry.errors import Passing, Refused
from wherry.platforms.postgres.database import refuse_name
from wherry.platforms.postgres.hints import MARGIN_MS, TOKENS, Seen
from wherry.platforms.postgres.hosts import hosts_of
from wherry.platforms.postgres.keys import CATALOG, INDEXED_BYTES, in_order, indexed, lock, whole
from wherry.platforms.postgres.pool import Pool

# --- keys ---------------------------------------------------------------------------------------


@given(st.binary(max_size=600), st.binary(max_size=600))
def test_keys_are_shortened_without_making_two_the_same(one: bytes, two: bytes) -> None:
    assert (indexed(one) == indexed(two)) is (one == two)
    assert len(indexed(one)) <= INDEXED_BYTES
    assert (whole(one) or indexed(one)) == one


def test_locks_are_taken_once_and_in_one_order_the_catalogs_first() -> None:
    assert in_order([(7, False), (3, True), (7, True), (-9, False)]) == [
        (CATALOG, False), (-9, False), (3, True), (7, True),
    ]  # fmt: skip


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=3))
def test_a_lock_is_a_number_that_depends_on_where_its_parts_end(parts: list[bytes]) -> None:
    assert -(1 << 63) <= lock(b"item", *parts) < 1 << 63
    assert lock(b"item", *parts) == lock(b"item", *parts)
    assert lock(b"item", *parts) != lock(b"item", b"".join(parts) + b"x")


@pytest.mark.parametrize("name", ["", "a b", 'a"b', "1a", "ä", "x" * 64])
def test_a_schema_whose_name_needs_quotes_is_refused(name: str) -> None:
    with pytest.raises(Refused):
        refuse_name(name)


# --- what was seen of queues --------------------------------------------------------------------


def test_a_queue_is_searched_from_its_beginning_as_often_as_that_is_cheap() -> None:
    seen = Seen()
    assert seen.searched_from(1, 100.0) == 0
    seen.none_before(1, 50_000, 0)
    seen.searched(1, 0, 100, 100.0)
    assert seen.searched_from(1, 100.0) == 0  # it took no time
    seen.searched(1, 0, 20_000, 100.0)
    assert _polled_from(seen, 100.5) == 50_000 - MARGIN_MS
    assert _polled_from(seen, 101.1) == 0
    seen.searched(1, 0, 200_000, 200.0)
    assert _polled_from(seen, 204.9) == 50_000 - MARGIN_MS
    assert _polled_from(seen, 205.1) == 0  # with a poll, though it takes a bit more
    seen.searched(1, 0, 1_000_000, 300.0)
    assert _polled_from(seen, 319.9) == 50_000 - MARGIN_MS
    assert _polled_from(seen, 320.1) == 0  # never more than a twentieth of the time
    seen.forget()
    assert seen.since(1) == 0


def _polled_from(seen: Seen, now_s: float) -> int:
    return seen.searched_from(1, now_s, polls=True)


def test_a_claim_leaves_a_dear_search_to_polls_while_the_queue_is_polled() -> None:
    """Who claims waits for it, and with him the consumer."""
    seen = Seen()
    seen.none_before(1, 50_000, 0)
    seen.searched(1, 0, 20_000, 100.0)
    assert seen.searched_from(1, 101.1) == 0  # nobody polls
    assert _polled_from(seen, 101.1) == 0
    assert seen.searched_from(1, 101.1) == 50_000 - MARGIN_MS
    assert seen.searched_from(1, 101.1 + limits.CLAIM_LEAVES_S) == 0  # not any more
    seen.searched(1, 0, 100, 102.0)
    assert seen.searched_from(1, 102.0) == 0  # it is cheap again


def test_who_was_asked_before_an_older_message_turned_up_says_nothing_of_it() -> None:
    seen = Seen()
    seen.none_before(1, 50_000, 0)
    asked = seen.since(1)
    seen.one_waits(1, 30_000)
    seen.none_before(1, 51_000, asked)
    assert seen.since(1) == 30_000
    seen.none_before(1, 51_000, 30_000)
    assert seen.since(1) == 51_000 - MARGIN_MS
    seen.one_waits(1, 60_000)  # later: it is found so
    assert seen.since(1) == 51_000 - MARGIN_MS


def test_what_is_leased_without_a_group_is_known_once_and_only_so_much_of_it() -> None:
    seen = Seen()
    seen.leased(1, plain=True)
    seen.leased(2, plain=True)
    assert not seen.are_plain([1, 3])
    assert not seen.are_plain([1])
    assert seen.are_plain([2])
    assert seen.are_plain([])
    for token in range(TOKENS + 2):
        seen.leased(token, plain=True)
    assert seen.are_plain([TOKENS + 1])
    assert not seen.are_plain([5])


# --- the pool -----------------------------------------------------------------------------------


class Link:
    """A connection that can be closed."""

    def __init__(self) -> None:
        self.open = True

    def is_closed(self) -> bool:
        return not self.open

    def terminate(self) -> None:
        self.open = False

    async def close(self) -> None:
        self.open = False


def pool(size: int, wait_s: float = 60.0) -> tuple[Pool, list[Link]]:
    made: list[Link] = []

    async def connect() -> Any:
        made.append(Link())
        return made[-1]

    return Pool(connect, size, wait_s), made


def test_no_more_connections_are_made_than_allowed_and_who_waited_first_is_first() -> None:
    async def play() -> None:
        connections, made = pool(2)
        order: list[int] = []

        async def use(number: int) -> None:
            one = await connections.take()
            order.append(number)
            await asyncio.sleep(0)
            connections.give(one)

        await asyncio.gather(*(use(number) for number in range(10)))
        assert order == list(range(10))
        assert len(made) == 2
        await connections.close()
        assert not any(link.open for link in made)

    asyncio.run(play())


def test_a_broken_connection_is_replaced_and_one_that_was_closed_is_not_handed_out() -> None:
    async def play() -> None:
        connections, made = pool(1)
        first = await connections.take()
        connections.give(first, sound=False)
        second = await connections.take()
        assert second is not first
        connections.give(second)
        made[-1].open = False
        assert await connections.take() is made[2]

    asyncio.run(play())


def test_who_is_cancelled_or_too_late_leaves_its_turn_to_the_next() -> None:
    async def play() -> None:
        connections, _ = pool(1)
        held = await connections.take()
        gives_up = asyncio.create_task(connections.take())
        waits = asyncio.create_task(connections.take())
        for _ in range(3):
            await asyncio.sleep(0)
        gives_up.cancel()
        connections.give(held)
        assert await waits is held
        connections.wait_s = 0.0
        with pytest.raises(Passing, match="All 1 connections"):
            await connections.take()
        connections.wait_s = 60.0
        connections.give(held)
        assert await connections.take() is held

    asyncio.run(play())


def test_who_is_cancelled_when_its_turn_has_come_leaves_it_to_the_next() -> None:
    async def play() -> None:
        connections, _ = pool(1)
        held = await connections.take()
        gives_up = asyncio.create_task(connections.take())
        waits = asyncio.create_task(connections.take())
        await asyncio.sleep(0)
        connections.give(held)
        gives_up.cancel()
        async with asyncio.timeout(60):
            assert await waits is held
        assert gives_up.cancelled()

    asyncio.run(play())


def test_a_connection_that_cannot_be_made_takes_up_no_place() -> None:
    async def play() -> None:
        tries = 0

        async def connect() -> Any:
            nonlocal tries
            tries += 1
            if tries < 3:
                raise OSError("no")
            return Link()

        connections = Pool(connect, 1, 60.0)
        for _ in range(2):
            with pytest.raises(OSError, match="no"):
                await connections.take()
        assert await connections.take() is not None

    asyncio.run(play())


@pytest.mark.parametrize(
    ("dsn", "hosts"),
    [
        ("postgres://u@a/db", {"a": "postgres://u@a/db"}),
        (
            "postgres://u:p%2C@a:1,b:2/db?sslmode=require",
            {
                "a:1": "postgres://u:p%2C@a:1/db?sslmode=require",
                "b:2": "postgres://u:p%2C@b:2/db?sslmode=require",
            },
        ),
        (
            "postgres://u@[::1]:1,b/db?port=5",
            {"[::1]:1": "postgres://u@[::1]:1/db?port=5", "b": "postgres://u@b/db?port=5"},
        ),
        ("postgres://u@/db?host=/a", {"/a": "postgres://u@/db?host=/a"}),
        (
            "postgres://u@/db?host=/a,/b&port=1,2&sslmode=disable",
            {
                "/a": "postgres://u@/db?sslmode=disable&host=/a&port=1",
                "/b": "postgres://u@/db?sslmode=disable&host=/b&port=2",
            },
        ),
        (
            "postgres://u@/db?host=a,b&port=7",
            {"a": "postgres://u@/db?host=a&port=7", "b": "postgres://u@/db?host=b&port=7"},
        ),
        ("postgres:///db", {"localhost": "postgres:///db"}),
    ],
)
def test_each_host_of_an_address_has_an_address_of_its_own(dsn: str, hosts: dict[str, str]) -> None:
    """With the user, the password and the options that all of them have."""
    assert dict(hosts_of(dsn)) == hosts
