"""Several engines on one Postgres, at the same moment: nothing is lost, done twice or out of order.

Each engine is a store of its own, with its own connections and its own memory.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from msgspec import json, structs

from tests.contract.conftest import ORDERS, TABLES, Place
from tests.contract.trigger_kit import configure, message
from tests.postgres_kit import Schema, Waited, found, loop, schema
from wherry import limits
from wherry.blueprint import IndexSpec, ScheduleSource
from wherry.codec import key_bytes
from wherry.effects import DeleteItem, Guard, PutItem, SendMessage, UpdateItem
from wherry.errors import Refused
from wherry.platforms.postgres.keys import lock
from wherry.platforms.postgres.migrating import migrate
from wherry.platforms.postgres.nodes import PREFIX, SURE_RENEWALS, Nodes
from wherry.ports import (
    Already,
    Bury,
    Claim,
    Committed,
    Conflicted,
    Count,
    Fire,
    GetItem,
    Item,
    ListFailures,
    MessageAck,
    NotReady,
    PutState,
    QueryItems,
    Redrive,
    Reindex,
    Rejected,
    ReplyAck,
    Request,
    Sweep,
)
from wherry.world import Chance, ManualClock

ENGINES = 3
WAITING = """
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND NOT granted AND (classid::bigint << 32 | objid::bigint) = $1
"""


class Engines:
    """A place, and further engines on the same database."""

    def __init__(self, one: Schema) -> None:
        self.place = Place(one.store, one.clock.advance_to)
        self.stores: list[Waited] = [one.store, *(one.open() for _ in range(ENGINES - 1))]

    def together(self, requests: Sequence[Request]) -> list[Any]:
        """Ask all of these at once, of one engine after the other; the answers in their order."""

        async def ask() -> list[Any]:
            return await asyncio.gather(
                *(
                    self.stores[number % ENGINES].store.answer("", request)
                    for number, request in enumerate(requests)
                )
            )

        return loop().run(ask())


@pytest.fixture
def engines() -> Iterator[Engines]:
    with schema(ManualClock()) as one:
        yield Engines(one)


def add(id: str, amount: int) -> UpdateItem:
    initial = b'{"id":"%s","n":0}' % id.encode()
    return UpdateItem("counters", key_bytes(id), b"", b"{}", b'{"n":%d}' % amount, initial)


def test_additions_to_one_key_commute_however_many_come_at_once(engines: Engines) -> None:
    place = engines.place
    answers = engines.together([place.request(add("hot", 1)) for _ in range(60)])
    assert {type(answer) for answer in answers} == {Committed}
    assert place.get("counters", "hot") == {"id": "hot", "n": 60}


def test_commits_on_crossing_keys_do_not_wait_for_each_other_for_ever(engines: Engines) -> None:
    place = engines.place
    keys = ["a", "b", "c", "d"]
    requests = [
        place.request(*(place.put("counters", key, n=n) for key in (keys if n % 2 else keys[::-1])))
        for n in range(60)
    ]
    answers = engines.together(requests)
    assert {type(answer) for answer in answers} == {Committed}
    last = [place.get("counters", key) for key in keys]
    assert len({one["n"] for one in last if one}) == 1  # whoever was last has written all of them


def test_of_those_that_read_one_version_one_wins_and_all_others_are_told(engines: Engines) -> None:
    place = engines.place
    place.commit(place.put("counters", "k", n=0))
    guard = place.guard("counters", "k")
    requests = [place.request(place.put("counters", "k", n=n), guards=[guard]) for n in range(20)]
    answers = Counter(type(answer) for answer in engines.together(requests))
    assert answers == {Committed: 1, Conflicted: 19}


def test_two_that_each_read_as_absent_what_the_other_writes_do_not_both_commit(
    engines: Engines,
) -> None:
    """A guard holds for a key that is not there as well: nobody makes it meanwhile."""
    place = engines.place
    for number in range(20):
        left, right = f"left{number}", f"right{number}"
        absent = {key: Guard("counters", *place.key(key), 0) for key in (left, right)}
        answers = engines.together(
            [
                place.request(place.put("counters", left, n=1), guards=[absent[right]]),
                place.request(place.put("counters", right, n=1), guards=[absent[left]]),
            ]
        )
        assert sorted(type(answer).__name__ for answer in answers) == ["Committed", "Conflicted"]


def test_a_commit_that_is_asked_for_twice_at_once_is_applied_once(engines: Engines) -> None:
    place = engines.place
    for number in range(1, 11):
        request = place.request(add("once", 1), SendMessage("jobs", f"m{number}", b"{}"))
        answers = engines.together([request] * ENGINES)
        assert Counter(type(answer) for answer in answers) == {Committed: 1, Already: ENGINES - 1}
    assert place.get("counters", "once") == {"id": "once", "n": 10}
    assert len(place.claim(limit=50)) == 10


def test_of_several_under_one_key_one_commits_and_the_others_get_its_reply(
    engines: Engines,
) -> None:
    place = engines.place
    acks = [[ReplyAck("idem/shop/k", "", b"%d" % n, 60)] for n in range(9)]
    answers = engines.together([place.request(add("k", 1), acks=one) for one in acks])
    [winner] = [n for n, answer in enumerate(answers) if isinstance(answer, Committed)]
    losers = [answer for answer in answers if isinstance(answer, Already)]
    assert len(losers) == 8
    assert {answer.stored.body for answer in losers if answer.stored} == {b"%d" % winner}
    assert place.get("counters", "k") == {"id": "k", "n": 1}


def test_no_message_is_leased_to_two(engines: Engines) -> None:
    place = engines.place
    ids = [f"m{n:03}" for n in range(120)]
    for start in range(0, 120, 40):
        place.commit(*(SendMessage("jobs", id, b"{}") for id in ids[start : start + 40]))
    found: list[str] = []
    while answers := [
        message.id
        for answer in engines.together([Claim("jobs", 7, f"engine-{n}") for n in range(9)])
        for message in answer.messages
    ]:
        found += answers
    assert sorted(found) == ids


def test_a_group_is_in_the_order_of_its_commits_and_one_by_one(engines: Engines) -> None:
    """Who sends, who claims and who is done are different engines, all at the same moment."""
    place = engines.place
    configure(place)
    groups = ("g", "h")
    sent = 0
    done: dict[str, list[int]] = {group: [] for group in groups}
    held: list[Any] = []
    for turn in range(100):
        if sum(map(len, done.values())) == 40:
            break
        requests: list[Request] = [Claim("lane", 5, f"engine-{n}") for n in range(ENGINES)]
        acks = [place.request(acks=[MessageAck(one.id, one.token)], function="") for one in held]
        sends: list[Request] = []
        if turn < 20:
            for group in groups:
                effect = message("lane", f"{group}-{sent:03}", group)
                sends.append(place.request(effect, function=""))
            sent += 1
        answers = engines.together([*sends, *acks, *requests])
        assert {type(one) for one in answers[:-ENGINES]} <= {Committed}
        for one in held:
            group, _, number = one.id.partition("-")
            done[group].append(int(number))
        held = [one for answer in answers[-ENGINES:] for one in answer.messages]
        active = Counter(one.id[0] for one in held)
        assert all(count == 1 for count in active.values())
    assert done == {group: list(range(20)) for group in groups}


def test_keys_that_take_turns_lose_and_repeat_nothing(engines: Engines) -> None:
    place = engines.place
    configure(place)
    ids = [f"{key}{n}" for n in range(15) for key in "xyz"]
    sent = [place.request(message("fair", id, id[0]), function="") for id in ids]
    assert {type(answer) for answer in engines.together(sent)} == {Committed}
    found: list[str] = []
    idle = 0
    while idle < 3:
        answers = engines.together([Claim("fair", 4, f"engine-{n}") for n in range(ENGINES)])
        taken = [one for answer in answers for one in answer.messages]
        engines.together(
            [place.request(acks=[MessageAck(one.id, one.token)], function="") for one in taken]
        )
        found += [one.id for one in taken]
        idle = 0 if taken else idle + 1
    assert sorted(found) == sorted(ids)


def test_what_several_redrive_at_once_goes_back_once(engines: Engines) -> None:
    place = engines.place
    place.commit(*(SendMessage("jobs", f"m{n}", b"{}") for n in range(20)))
    for one in place.claim(limit=20):
        place.ask(Bury(one.id, one.token, "worker", "failed", "", None))
    answers = engines.together([Redrive([], "jobs", "ana") for _ in range(ENGINES)])
    assert sum(answer.count for answer in answers if isinstance(answer, Count)) == 20
    assert len(place.claim(limit=64)) == 20


def test_a_firing_happens_once_whichever_engines_ask(engines: Engines) -> None:
    place = engines.place
    tick = ScheduleSource(queue="jobs", name="tick", expression="rate(1 minute)")
    configure(place, sources=(tick,))
    place.advance(60)
    place.ask(Claim("jobs", 1, "engine-1"))  # the database's clock shows it
    answers = engines.together([Fire(10)] * 6)
    assert sum(answer.fired for answer in answers) == 1
    assert len(place.claim(limit=10)) == 1


# --- releases -----------------------------------------------------------------------------------


def test_an_engine_keeps_the_index_that_another_one_has_added(engines: Engines) -> None:
    place = engines.place
    assert engines.stores[1].run([("", place.request(place.put("orders", "c", "1", total=1)))])
    total = IndexSpec(name="by_total", key="total")
    table = structs.replace(ORDERS, indexes=(*ORDERS.indexes, total))
    place.configure("release-2", tables=(table, *TABLES[1:]))
    written = place.request(place.put("orders", "c", "2", total=7))
    assert isinstance(engines.stores[1].run([("", written)])[0], Committed)
    while place.ask(Reindex("orders", "by_total", 10)) != Count(0):
        pass
    query = QueryItems("orders", "by_total", key_bytes(7), None, None, 10, False, None)
    for store in engines.stores:
        page: Any = store.run([("", query)])[0]
        assert [json.decode(row.body) for row in page.rows] == [{"total": 7}]


def later(place: Place, seconds: float) -> None:
    place.advance(seconds)
    place.active()  # now the database's clock shows it


@pytest.mark.parametrize("leave", ["dies", "starts with the old code"])
def test_old_code_that_starts_does_not_take_over_from_the_new_one_before_that_is_gone(
    engines: Engines, leave: str
) -> None:
    """What the newer one alone listens to goes on being delivered; no engine has to be told."""
    place = engines.place
    place.configure("release-1", engine="a")
    assert place.configure("release-2", engine="b").beside == ""  # seen for the first time
    assert place.configure("release-1", engine="a").beside == "release-2"
    assert place.configure("release-2", engine="b").beside == ""
    assert place.active() == "release-2"
    if leave == "dies":
        later(place, limits.NODE_LEASE_S + 1)
    else:
        assert place.configure("release-1", engine="b").beside == ""
    assert place.configure("release-1", engine="a").beside == ""
    assert place.active() == "release-1"
    assert place.configure("release-2", engine="b").beside == ""  # a start of the newer one
    assert place.active() == "release-2"


def test_the_active_release_is_the_newest_that_a_living_engine_serves(engines: Engines) -> None:
    """Also after an engine was away for so long that the others went back: it comes forward."""
    place, store = engines.place, engines.stores[0].store
    nodes = [Nodes(store.database, name, 4, name) for name in "ab"]
    numbers = [loop().run(one.take()) for one in nodes]
    for number, one in enumerate(nodes):
        one.release = f"release-{number + 1}"
        place.configure(one.release, engine="ab"[number])

    def due() -> list[bool]:
        return [loop().run(one.due())[1] for one in nodes]

    assert due() == [False, False]
    for _ in range(SURE_RENEWALS):
        later(place, limits.NODE_LEASE_S / 4)
        assert loop().run(nodes[0].renew(numbers[0]))
    assert due() == [False, False]  # the other one is away, but not for long enough
    later(place, limits.NODE_LEASE_S / 3)
    assert due() == [True, False]
    assert place.configure("release-1", engine="a").beside == ""
    assert place.active() == "release-1"
    assert loop().run(nodes[1].renew(numbers[1]))
    assert due() == [False, True]
    assert place.configure("release-2", engine="b").beside == ""
    assert due() == [False, False]
    assert place.active() == "release-2"


def test_a_renewal_under_way_does_not_take_back_what_a_reload_has_said(engines: Engines) -> None:
    """It was sent before, and arrives after: the release of the reload is served all the same."""
    place, store = engines.place, engines.stores[0].store
    node = Nodes(store.database, "a", 4, "a")
    number = loop().run(node.take())
    place.configure("release-1", engine="a")
    place.configure("release-1", engine="b")
    node.release = "release-1"
    place.configure("release-2", chosen=True, engine="a")
    assert loop().run(node.renew(number))  # of before
    assert place.configure("release-1", engine="b").beside == "release-2"


@pytest.mark.parametrize("gap_s", [limits.NODE_LEASE_S - 3, limits.NODE_LEASE_S + 1])
def test_after_a_gap_nobody_is_said_to_have_left_before_all_had_time_to_come_back(
    engines: Engines, gap_s: float
) -> None:
    """The database was away for about a lease; who renews first takes nothing over."""
    place, store = engines.place, engines.stores[0].store
    nodes = [Nodes(store.database, name, 4, name) for name in "ab"]
    numbers = [loop().run(one.take()) for one in nodes]
    for number, one in enumerate(nodes):
        one.release = f"release-{number + 1}"
        place.configure(one.release, engine="ab"[number])
    for _ in range(SURE_RENEWALS):
        later(place, limits.LEASE_RENEW_S)
        assert loop().run(nodes[1].renew(numbers[1]))
        assert loop().run(nodes[0].renew(numbers[0]))
    later(place, limits.LEASE_RENEW_S - 0.5)
    assert loop().run(nodes[0].renew(numbers[0]))  # the other would have a moment later
    later(place, gap_s)
    for _ in range(SURE_RENEWALS):
        assert loop().run(nodes[0].renew(numbers[0]))
        assert not loop().run(nodes[0].due())[1]
    assert loop().run(nodes[1].renew(numbers[1]))
    assert loop().run(nodes[0].renew(numbers[0]))
    assert not loop().run(nodes[0].due())[1]


def test_who_gets_the_number_of_an_engine_that_starts_again_says_nothing_in_its_place(
    engines: Engines,
) -> None:
    place, store = engines.place, engines.stores[0].store
    place.configure("release-1", engine="a")
    gone, new = (Nodes(store.database, name, 1, name) for name in "bc")
    loop().run(gone.take())
    place.configure("release-2", engine="b")
    loop().run(gone.give(0))
    assert loop().run(new.take()) == 0
    assert place.configure("release-1", engine="c").beside == "release-2"
    assert loop().run(new.renew(0))
    assert place.configure("release-1", engine="a").beside == "release-2"


def test_a_release_that_a_living_engine_serves_is_kept(engines: Engines) -> None:
    """However many came after it: else its next start would look like a new one."""
    place = engines.place
    place.configure("early", engine="a")
    for newer in range(limits.RELEASES_KEPT + 2):
        place.configure(f"newer-{newer}", engine="b")
    place.ask(Sweep(100))
    assert place.configure("early", engine="a").beside == f"newer-{newer}"


def test_an_engine_of_before_may_serve_any_release(engines: Engines) -> None:
    """It says not which: while it lives nobody takes the triggers from what it may serve."""
    place, store = engines.place, engines.stores[0].store
    node = Nodes(store.database, "a", 4, "a")
    number = loop().run(node.take())
    node.release = "release-1"
    place.configure("release-1", engine="a")
    place.configure("release-2")
    expires_s = (place.now_ms + int(2 * limits.NODE_LEASE_S * 1000)) // 1000
    place.ask(PutState(f"{PREFIX}3", b"engine-1-2-3", False, expires_s))
    for _ in range(SURE_RENEWALS):
        later(place, 1)
        assert loop().run(node.renew(number))
    assert not loop().run(node.due())[1]
    assert place.configure("release-1", engine="a").beside == "release-2"
    for _ in range(5):
        later(place, limits.NODE_LEASE_S / 2 - 1)
        assert loop().run(node.renew(number))
    later(place, 5)
    assert loop().run(node.due()) == ("release-2", True)


def test_a_release_that_somebody_asks_for_takes_over_whatever_others_serve(
    engines: Engines,
) -> None:
    place = engines.place
    place.configure("release-1", engine="a")
    place.configure("release-2", engine="b")
    assert place.configure("release-1", chosen=True, engine="a").beside == ""
    assert place.active() == "release-1"
    assert place.configure("release-2", engine="b").beside == "release-1"  # it was chosen earlier
    assert place.active() == "release-1"


def test_a_release_that_serves_beside_another_one_has_its_indexes(engines: Engines) -> None:
    place = engines.place
    table = structs.replace(ORDERS, indexes=(IndexSpec(name="by_total", key="total"),))
    place.configure("early", tables=(table, *TABLES[1:]), engine="a")
    place.commit(place.put("orders", "c", "1", total=7))
    later(place, limits.NODE_LEASE_S + 1)  # it was away
    for newer in range(2, 2 + limits.RELEASES_SERVED):
        place.configure(f"release-{newer}", engine="b")  # none of these has it
    answer = place.configure("early", tables=(table, *TABLES[1:]), engine="a")
    assert answer.beside == f"release-{newer}"
    assert [found[:2] for found in answer.unready] == [("orders", "by_total")]
    query = QueryItems("orders", "by_total", key_bytes(7), None, None, 10, False, None)
    while place.ask(Reindex("orders", "by_total", 10)) != Count(0):
        pass
    assert len(place.ask(query, "shop@early").rows) == 1


def test_an_index_of_a_release_that_a_living_engine_serves_is_kept(engines: Engines) -> None:
    """However many newer ones follow each other elsewhere."""
    place = engines.place
    table = structs.replace(ORDERS, indexes=(IndexSpec(name="by_total", key="total"),))
    place.configure("early", tables=(table, *TABLES[1:]), engine="a")
    place.commit(place.put("orders", "c", "1", total=7))
    for newer in range(2 + limits.RELEASES_SERVED):
        place.configure(f"release-{newer}", engine="b")
    query = QueryItems("orders", "by_total", key_bytes(7), None, None, 10, False, None)
    assert len(place.ask(query, "shop@early").rows) == 1
    later(place, limits.NODE_LEASE_S + 1)
    place.configure("late", engine="b")
    assert isinstance(place.ask(query, "shop@early"), NotReady)


def test_of_three_releases_the_second_follows_when_the_engine_of_the_newest_has_died(
    engines: Engines,
) -> None:
    place, store = engines.place, engines.stores[0].store
    nodes = {name: Nodes(store.database, name, 4, name) for name in "ab"}
    numbers = {name: loop().run(one.take()) for name, one in nodes.items()}
    for number, name in enumerate("abc"):
        place.configure(f"next-{number}", engine=name)
    nodes["a"].release, nodes["b"].release = "next-0", "next-1"
    for _ in range(int(limits.NODE_LEASE_S // limits.LEASE_RENEW_S) + 1):
        later(place, limits.LEASE_RENEW_S)
        for name, one in nodes.items():
            assert loop().run(one.renew(numbers[name]))
    assert [loop().run(one.due())[1] for one in nodes.values()] == [False, True]
    # Nor does one that starts now come before it.
    assert place.configure("next-0", engine="a").beside == "next-2"
    assert place.configure("next-1", engine="b").beside == ""
    assert place.active() == "next-1"


def test_a_release_from_before_its_choice_was_kept_stays_older_than_what_came_after_it(
    engines: Engines,
) -> None:
    """One that a wherry of before has stored, or that was moved here."""
    place, store = engines.place, engines.stores[0]
    place.configure("release-1", engine="a")
    store.execute("UPDATE releases SET chosen = 0")
    place.configure("release-2", engine="b")
    later(place, limits.NODE_LEASE_S + 1)
    assert place.configure("release-1", engine="a").beside == ""
    assert place.configure("release-2", engine="b").beside == ""  # it comes back
    assert place.active() == "release-2"


def test_a_release_that_a_standby_lacks_is_due(engines: Engines) -> None:
    """An asynchronous one that took over may not know what an engine serves."""
    place, store = engines.place, engines.stores[0]
    node = Nodes(store.store.database, "engine-0", 4, "a")
    place.configure("release-1", engine="a")
    assert loop().run(node.due()) == ("release-1", False)  # it serves nothing yet
    place.configure("release-2", engine="a")
    node.release = "release-2"
    store.execute("DELETE FROM releases WHERE digest = 'release-2'")
    assert loop().run(node.due()) == ("release-1", True)


def test_an_engine_keeps_saying_which_release_it_serves(engines: Engines) -> None:
    place, store = engines.place, engines.stores[0].store
    node = Nodes(store.database, "engine-0", 4, "b")
    number = loop().run(node.take())
    place.configure("release-1", engine="d")
    place.configure("release-2", engine="b")
    node.release = "release-2"
    for _ in range(2):
        later(place, limits.NODE_LEASE_S - 1)
        assert loop().run(node.renew(number))
    assert place.configure("release-1", engine="d").beside == "release-2"
    loop().run(node.give(number))  # it starts again, perhaps: it has not left before its lease ends
    assert place.configure("release-1", engine="d").beside == "release-2"
    later(place, limits.NODE_LEASE_S + 1)
    assert place.configure("release-1", engine="d").beside == ""


def test_an_index_that_is_filled_while_all_engines_write_holds_each_item_once(
    engines: Engines,
) -> None:
    """No row of it says what an item was, and none is missing."""
    place = engines.place
    for start in range(0, 60, 20):
        keys = [str(n) for n in range(start, start + 20)]
        place.commit(*(place.put("orders", "c", key, total=0) for key in keys))
    total = IndexSpec(name="by_total", key="total")
    table = structs.replace(ORDERS, indexes=(*ORDERS.indexes, total))
    assert place.configure("release-2", tables=(table, *TABLES[1:])).unready
    for turn in range(1, 16):
        writes: list[Request] = [
            place.request(place.put("orders", "c", str((turn * 7 + n * 4) % 60), total=turn))
            for n in range(15)
        ]
        filling: list[Request] = [Reindex("orders", "by_total", 5)] * ENGINES
        assert {type(one) for one in engines.together([*writes, *filling])} == {Committed, Count}
    while place.ask(Reindex("orders", "by_total", 10)) != Count(0):
        pass
    stored = {row.sk: json.decode(row.body)["total"] for row in place.query("orders", "c").rows}
    found: dict[bytes, int] = {}
    for value in range(16):
        for row in place.query("orders", value, "by_total").rows:
            assert row.sk not in found
            assert json.decode(row.body) == {"total": value}
            found[row.sk] = value
    assert found == stored
    assert len(stored) == 60


def test_an_index_that_is_filled_misses_none_where_new_items_come_to_lie_between(
    engines: Engines,
) -> None:
    """As many as are filled at once, while the filling waits for the lock of one of those."""
    place, other = engines.place, engines.stores[1]
    place.commit(*(place.put("orders", "c", key, total=7) for key in ("a", "b", "z")))
    total = IndexSpec(name="by_total", key="total")
    table = structs.replace(ORDERS, indexes=(*ORDERS.indexes, total))
    assert place.configure("release-2", tables=(table, *TABLES[1:])).unready
    number = other.query("SELECT id FROM names WHERE (kind, name) = ('table', 'orders')")
    held = lock(b"item", number[0][0], *place.key("c", "a"))
    between = [place.put("orders", "c", key, total=7) for key in ("c", "d", "e")]

    async def fill() -> Any:
        holder = await other.store.database.connect()
        await holder.execute(f"SELECT pg_advisory_lock({held})")
        asked = engines.stores[0].store.answer("", Reindex("orders", "by_total", 3))
        filling = asyncio.create_task(asked)
        while not await holder.fetchval(WAITING, held):
            assert not filling.done()
            await asyncio.sleep(0)
        assert isinstance(await other.store.answer("", place.request(*between)), Committed)
        await holder.close()
        return await filling

    assert loop().run(fill()) == Count(3)
    while place.ask(Reindex("orders", "by_total", 3)) != Count(0):
        pass
    assert len(place.query("orders", 7, "by_total").rows) == 6


def test_a_schema_is_made_once_by_several_that_begin_at_once(engines: Engines) -> None:
    database = engines.stores[0].store.database
    name = f"{database.schema}_fresh"

    async def begin() -> None:
        connections = [await database.connect() for _ in range(4)]
        try:
            await asyncio.gather(*(migrate(one, name) for one in connections))
            steps = await connections[0].fetchval(f"SELECT version FROM {name}.wherry")
            assert steps > 0
            await connections[0].execute(f"DROP SCHEMA {name} CASCADE")
        finally:
            for one in connections:
                await one.close()

    loop().run(begin())


def test_a_schema_of_somebody_else_is_left_alone(engines: Engines) -> None:
    store = engines.stores[0]
    name = f"{store.store.database.schema}_other"
    store.execute(f"CREATE SCHEMA {name}; CREATE TABLE {name}.theirs (id integer)")

    async def begin() -> None:
        connection = await store.store.database.connect()
        try:
            await migrate(connection, name)
        finally:
            await connection.close()

    with pytest.raises(Refused, match="not wherry's"):
        loop().run(begin())
    store.execute(f"DROP SCHEMA {name} CASCADE")


# --- hints --------------------------------------------------------------------------------------


def test_an_engine_hears_what_another_one_has_put_into_a_queue(engines: Engines) -> None:
    """Also after the connection on which it listens was cut. (It would find it by polling, too.)"""
    place, listener, sender = engines.place, engines.stores[1], engines.stores[0]
    heard: list[str] = []

    async def hear_of(queue: str, cut: bool) -> None:
        listener.store.listen(heard.extend)
        sender.store.listen(lambda names: None)
        number = 0
        while queue not in heard:
            number += 1
            effect = SendMessage(queue, f"{queue}{number}", b"{}")
            answer = await sender.store.answer("", place.request(effect, function=""))
            assert isinstance(answer, Committed)
            if cut and number == 1:
                await found(
                    sender.store,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE query ILIKE 'listen%' AND pid <> pg_backend_pid()",
                )
        await listener.store.deafen()
        await sender.store.deafen()

    loop().run(hear_of("jobs", cut=False))
    loop().run(hear_of("mail", cut=True))
    assert set(heard) <= {"jobs", "mail"}


# --- what a database can hold -------------------------------------------------------------------


def test_the_longest_keys_are_held_found_and_kept_in_order(engines: Engines) -> None:
    """An index of Postgres holds less than they are, where they cannot be compressed."""
    place = engines.place
    chance = Chance(7)

    def text(length: int, begin: str = "") -> str:
        return begin + chance.token(length).hex()[: length - len(begin)]

    tags = [text(limits.PARTITION_KEY_BYTES, "t") for _ in range(2)]
    whole = [b"s" + chance.token(limits.PARTITION_KEY_BYTES) for _ in range(3)]
    sorts = sorted(b"s" + chance.token(limits.SORT_KEY_BYTES) for _ in range(4))
    for pk in whole:
        for number, sk in enumerate(sorts):
            body = {"status": tags[number % 2], "at": number, "n": number}
            effect = PutItem("orders", pk, sk, json.encode(body))
            assert isinstance(place.commit(effect, function=""), Committed)
    # They differ only behind the part that an index holds as it is.
    twin = whole[0][:-1] + bytes([whole[0][-1] ^ 1])
    for pk, wanted in ((whole[0], sorts), (twin, [])):
        query = QueryItems("orders", None, pk, None, None, 10, False, None)
        page: Any = place.ask(query)
        assert [(row.pk, row.sk) for row in page.rows] == [(pk, sk) for sk in wanted]
    assert isinstance(place.ask(GetItem("orders", whole[1], sorts[2])), Item)
    found: Any = place.query("orders", tags[0], "by_status")
    assert sorted((row.pk, row.sk) for row in found.rows) == sorted(
        (pk, sk) for pk in whole for sk in sorts[::2]
    )
    place.commit(DeleteItem("orders", whole[1], sorts[0]), function="")
    assert len(place.query("orders", tags[0], "by_status").rows) == 5


def test_what_postgres_cannot_hold_is_rejected_or_made_readable(engines: Engines) -> None:
    place = engines.place
    bad = place.request(SendMessage("jobs", "a\0b", b"{}"))
    good = place.request(SendMessage("jobs", "good", b"\0 is content"))
    rejected, committed = place.batch(bad, good)
    assert isinstance(rejected, Rejected)
    assert isinstance(committed, Committed)
    [message] = place.claim()
    assert message.body == b"\0 is content"
    place.ask(Bury(message.id, message.token, "worker", "failed", "it said \0", None))
    [failed] = place.ask(ListFailures(None, 10, None)).rows
    assert failed.error == "it said \ufffd"


@pytest.mark.parametrize("turns", range(4))
def test_who_ends_while_it_begins_to_listen_leaves_no_connection_open(
    monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    with schema(ManualClock()) as one:
        store = one.open().store
        connect = store.database.connect
        made: list[Any] = []

        async def ended() -> None:
            connected = asyncio.Event()

            async def noted() -> Any:
                made.append(await connect())
                connected.set()
                return made[-1]

            monkeypatch.setattr(store.database, "connect", noted)
            store.listen(lambda names: None)
            await connected.wait()
            for _ in range(turns):
                await asyncio.sleep(0)
            await store.deafen()

        loop().run(ended())
        assert [connection.is_closed() for connection in made] == [True]
