"""Reads: by key, by index, in pages; what has expired; indexes that come and go."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import json, structs

from wherry import limits
from wherry.blueprint import Blueprint, IndexSpec, TableSpec
from wherry.codec import key_bytes
from wherry.effects import (
    Absent,
    AllOf,
    Compare,
    DeleteItem,
    Guard,
    HasField,
    Present,
    UpdateItem,
)
from wherry.errors import Refused
from wherry.ports import (
    Broken,
    Committed,
    Configure,
    Configured,
    Count,
    Denied,
    GetItem,
    GetReply,
    Nothing,
    NotReady,
    Page,
    QueryItems,
    Reindex,
    Rejected,
    Releases,
    ReplyAck,
    Sweep,
    Swept,
    Unmet,
)

KINDS: dict[str, Any] = {"customer": "text", "order": "text", "total": "number", "day": "moment"}


def orders_table(*indexes: IndexSpec) -> TableSpec:
    return TableSpec(
        name="orders",
        item="Order",
        schema={},
        key="customer",
        sort="order",
        indexes=indexes,
        kinds=KINDS,
    )


def fill(place: Any, count: int, **fields: Any) -> None:
    for number in range(count):
        values = {"n": number, "status": "open", "at": number} | fields
        assert isinstance(
            place.commit(place.put("orders", "c", f"{number:03}", **values)), Committed
        )


def numbers(place: Any, page: Any) -> list[int]:
    return [body["n"] for body in place.bodies(page)]


@pytest.mark.parametrize("index", [None, "by_status"])
@pytest.mark.parametrize("descending", [False, True])
def test_pages_follow_each_other_without_a_gap_or_a_repeat(
    place: Any, index: str | None, descending: bool
) -> None:
    fill(place, 7)
    pk = "open" if index else "c"
    found: list[int] = []
    after = None
    pages = 0
    while after is not None or pages == 0:
        pages += 1
        page = place.query("orders", pk, index, limit=3, descending=descending, after=after)
        found += numbers(place, page)
        after = page.after
    assert pages == 3
    assert found == sorted(range(7), reverse=descending)


@pytest.mark.parametrize("descending", [False, True])
def test_a_range_takes_its_low_end_and_leaves_its_high_end(place: Any, descending: bool) -> None:
    fill(place, 6)
    by_key = place.query(
        "orders", "c", low=key_bytes("001"), high=key_bytes("004"), descending=descending
    )
    by_index = place.query(
        "orders", "open", "by_status", low=key_bytes(1), high=key_bytes(4), descending=descending
    )
    assert numbers(place, by_key) == numbers(place, by_index)
    assert sorted(numbers(place, by_key)) == [1, 2, 3]


def test_a_page_is_bounded_by_bytes(place: Any) -> None:
    for number in range(4):
        place.commit(place.put("orders", "c", str(number), n=number, text="x" * 399_000))
    page = place.query("orders", "c")
    assert numbers(place, page) == [0, 1]
    assert numbers(place, place.query("orders", "c", after=page.after)) == [2, 3]


def test_several_items_with_one_index_key_are_all_there_in_the_order_of_their_keys(
    place: Any,
) -> None:
    for order in ("b", "a", "c"):
        for customer in ("y", "x"):
            place.commit(
                place.put("orders", customer, order, n=customer + order, status="open", at=1)
            )
    everything = ["xa", "xb", "xc", "ya", "yb", "yc"]
    assert numbers(place, place.query("orders", "open", "by_status")) == everything  # type: ignore[comparison-overlap]
    first = place.query("orders", "open", "by_status", limit=4)
    rest = place.query("orders", "open", "by_status", limit=4, after=first.after)
    assert numbers(place, first) + numbers(place, rest) == everything  # type: ignore[comparison-overlap]


def test_an_item_moves_in_its_index_with_its_fields(place: Any) -> None:
    fill(place, 1)
    place.commit(place.put("orders", "c", "000", n=0, status="paid", at=5))
    assert place.query("orders", "open", "by_status").rows == []
    assert numbers(place, place.query("orders", "paid", "by_status")) == [0]
    place.commit(DeleteItem("orders", *place.key("c", "000")))
    assert place.query("orders", "paid", "by_status").rows == []


@pytest.mark.parametrize("status", [None, True, 5, ["open"]])
def test_an_item_without_a_proper_field_is_absent_from_the_index(place: Any, status: Any) -> None:
    fill(place, 1, status=status)
    fill(place, 1, at="no number")
    assert place.query("orders", "open", "by_status").rows == []
    assert len(place.query("orders", "c").rows) == 1


def test_a_row_of_an_index_carries_the_version_that_a_guard_checks(place: Any) -> None:
    fill(place, 1)
    [row] = place.query("orders", "open", "by_status").rows
    assert row.version == place.version("orders", "c", "000")
    guard = Guard("orders", row.pk, row.sk, row.version)
    assert isinstance(place.commit(guards=[guard]), Committed)


def test_a_number_that_no_index_can_hold_exactly_is_rejected(place: Any) -> None:
    answer = place.commit(place.put("orders", "c", "1", status="open", at=2**53 + 1))
    assert isinstance(answer, Rejected)


def test_moments_sort_by_time_whatever_their_zone(place: Any) -> None:
    place.configure("release-2", tables=(orders_table(IndexSpec(name="d", key="x", sort="day")),))
    times = ["2026-03-01T12:00:00+02:00", "2026-03-01T11:00:00Z", "2026-03-01T09:00:00-03:00"]
    for number, day in enumerate(times):
        place.commit(place.put("orders", "c", str(number), n=number, x="x", day=day))
    assert numbers(place, place.query("orders", "x", "d")) == [0, 1, 2]


def test_an_index_key_beyond_its_bound_is_rejected(place: Any) -> None:
    for fields in (
        {"status": "x" * (limits.PARTITION_KEY_BYTES + 1), "at": 1},
        {"tag": "x" * 3_000},
    ):
        table = "notes" if "tag" in fields else "orders"
        assert isinstance(place.commit(place.put(table, "c", "1", **fields)), Rejected)


def test_a_cursor_of_another_query_is_refused_and_harms_no_other_request(place: Any) -> None:
    query = QueryItems("orders", "by_status", b"sopen", None, None, 10, False, b"\xc1")
    put = place.request(place.put("orders", "c", "1", n=1))
    done, broken = place.batch(put, query)
    assert isinstance(done, Committed)
    assert isinstance(broken, Broken)
    assert broken.code == "bad_request"


# --- grants -------------------------------------------------------------------------------------


def test_a_read_without_its_grant_is_denied(place: Any) -> None:
    get = GetItem("orders", b"sc", b"s1")
    query = QueryItems("orders", None, b"sc", None, None, 1, False, None)
    assert place.ask(get, function="writer") == Denied("orders", "read")
    assert place.ask(query, function="writer") == Denied("orders", "read")
    assert place.ask(get, function="nobody") == Denied("orders", "read")
    assert place.ask(get, function="reader") == Nothing()
    assert place.ask(query, function="reader") == Page([], None)


def test_a_read_has_the_grants_of_the_release_that_is_named_behind_the_function(
    place: Any,
) -> None:
    place.configure("release-2", functions=(), activate=False)
    get = GetItem("orders", b"sc", b"s1")
    assert place.ask(get, function="reader") == Nothing()
    assert place.ask(get, function="reader@release-2") == Denied("orders", "read")
    place.configure("release-2", functions=())
    assert place.ask(get, function="reader") == Denied("orders", "read")
    assert place.ask(get, function="reader@release-1") == Nothing()


def test_a_function_sees_only_replies_that_were_stored_for_itself(place: Any) -> None:
    place.commit(acks=[ReplyAck("message/shop/a#step#0", "", b"1", 60)])
    own = GetReply("message/shop/a#step#0")
    assert place.ask(own, function="shop").body == b"1"
    assert isinstance(place.ask(own, function="sho"), Denied)
    assert isinstance(place.ask(own, function="reader"), Denied)


# --- expiry -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["seconds", "text"])
def test_an_expired_item_is_not_there_for_any_read_condition_or_guard(
    place: Any, kind: str
) -> None:
    at = place.now_ms // 1000 + 60
    moment = msgspec.to_builtins(msgspec.json.decode(b'"2026-01-01T00:01:00Z"'))
    until = at if kind == "seconds" else moment
    assert isinstance(place.commit(place.put("notes", "x", tag="t", until=until)), Committed)
    guard = place.guard("notes", "x")
    assert place.get("notes", "x") is not None
    place.advance(60)
    assert place.get("notes", "x") is None
    assert place.query("notes", "x").rows == []
    assert place.query("notes", "t", "by_tag").rows == []
    assert place.commit(place.put("notes", "x", when=Present())) == Unmet("notes", "x")
    assert not isinstance(place.commit(guards=[guard]), Committed)
    absent = Guard("notes", *place.key("x"), 0)  # type: ignore[call-arg]
    assert isinstance(
        place.commit(place.put("notes", "x", tag="u", when=Absent()), guards=[absent]), Committed
    )
    assert place.query("notes", "t", "by_tag").rows == []
    assert len(place.query("notes", "u", "by_tag").rows) == 1


@pytest.mark.parametrize("until", [None, True, "soon", [1], 1e300])
def test_what_is_no_moment_never_expires(place: Any, until: object) -> None:
    place.commit(place.put("notes", "x", until=until))
    place.advance(10**8)
    assert place.get("notes", "x") is not None


def test_expired_items_and_their_index_entries_are_swept_in_small_batches(place: Any) -> None:
    until = place.now_ms // 1000 + 60
    for number in range(5):
        place.commit(place.put("notes", str(number), tag="t", until=until))
    place.commit(place.put("notes", "kept", tag="t"))
    assert place.ask(Sweep(100)).count == 0
    place.advance(60)
    assert [place.ask(Sweep(2)).count for _ in range(4)] == [2, 2, 1, 0]
    assert len(place.query("notes", "t", "by_tag").rows) == 1


# --- indexes that come and go -------------------------------------------------------------------

BY_TOTAL = IndexSpec(name="by_total", key="customer_name", sort="total")


def test_a_new_index_of_a_table_with_items_is_filled_while_writes_go_on(place: Any) -> None:
    for number in range(5):
        place.commit(place.put("orders", "c", str(number), n=number, customer_name="a", total=1))
    answer = place.configure("release-2", tables=(orders_table(BY_TOTAL),))
    assert answer.unready == [("orders", "by_total", 5)]
    assert place.query("orders", "a", "by_total") == NotReady("orders", "by_total")
    assert place.ask(Reindex("orders", "by_total", 2)) == Count(2)
    # Behind and before the place that the filling has reached:
    place.commit(place.put("orders", "c", "0", n=10, customer_name="a", total=2))
    place.commit(place.put("orders", "c", "4", n=14, customer_name="b", total=2))
    place.commit(DeleteItem("orders", *place.key("c", "1")))
    place.commit(place.put("orders", "c", "9", n=9, customer_name="a", total=0))
    while place.ask(Reindex("orders", "by_total", 2)).count:
        assert place.query("orders", "a", "by_total") != Page([], None)
    assert numbers(place, place.query("orders", "a", "by_total")) == [9, 2, 3, 10]
    assert numbers(place, place.query("orders", "b", "by_total")) == [14]
    assert place.configure("release-2", tables=(orders_table(BY_TOTAL),)).unready == []


def test_an_index_of_an_empty_table_is_ready_at_once(place: Any) -> None:
    assert place.configure("release-2", tables=(orders_table(BY_TOTAL),)).unready == []
    assert place.query("orders", "a", "by_total") == Page([], None)


def test_an_index_that_a_release_no_longer_has_is_gone_and_its_entries_are_swept(
    place: Any,
) -> None:
    """Not with the first such release: the one before it may run on, on another machine."""
    fill(place, 5)
    place.configure("release-2", tables=(orders_table(),))
    assert place.ask(Sweep(3)).count == 0
    place.configure("release-3", tables=(orders_table(),))
    assert isinstance(place.query("orders", "open", "by_status"), NotReady)
    assert [place.ask(Sweep(3)).count for _ in range(3)] == [3, 2, 0]
    assert place.configure("release-1").unready == [("orders", "by_status", 5)]


def test_each_release_is_answered_from_the_index_that_it_means_by_a_name(place: Any) -> None:
    """Machines take turns with a new version; until then the old one runs beside it."""
    place.commit(place.put("orders", "c", "1", status="open", at=1, total=9))
    place.commit(place.put("orders", "c", "2", status="open", at=9, total=1))
    changed = orders_table(IndexSpec(name="by_status", key="status", sort="total"))

    def above_five(release: str) -> Any:
        low = key_bytes(5)
        asked = QueryItems("orders", "by_status", key_bytes("open"), low, None, 9, False, None)
        answer = place.ask(asked, f"shop@{release}")
        return answer if isinstance(answer, NotReady) else [row.sk for row in answer.rows]

    place.configure("release-2", tables=(changed,))
    assert above_five("release-1") == [key_bytes("2")]
    assert above_five("release-2") == NotReady("orders", "by_status")
    while place.ask(Reindex("orders", "by_status", 10)).count:
        pass
    place.commit(place.put("orders", "c", "3", status="open", at=8, total=8))
    assert above_five("release-1") == [key_bytes("3"), key_bytes("2")]
    assert above_five("release-2") == [key_bytes("3"), key_bytes("1")]
    place.configure("release-3", tables=(changed,))
    assert above_five("release-1") == NotReady("orders", "by_status")
    assert above_five("release-2") == [key_bytes("3"), key_bytes("1")]


def test_a_release_that_is_only_prepared_fills_its_index_and_leaves_the_old_one_alone(
    place: Any,
) -> None:
    fill(place, 3)
    changed = orders_table(IndexSpec(name="by_status", key="status"))
    answer = place.configure("release-2", activate=False, tables=(changed,))
    assert answer.unready == [("orders", "by_status", 3)]
    assert len(place.query("orders", "open", "by_status").rows) == 3
    while place.ask(Reindex("orders", "by_status", 10)).count:
        pass
    assert place.configure("release-2", tables=(changed,)).unready == []
    page = place.query("orders", "open", "by_status", low=key_bytes(0))
    assert page.rows == []
    assert len(place.query("orders", "open", "by_status").rows) == 3


# --- fields with a default that stored items lack -------------------------------------------------


def table_with_defaults(*indexes: IndexSpec, **defaults: Any) -> TableSpec:
    """The orders, whose type has got fields with these defaults."""
    fields = {name: {"default": default} for name, default in defaults.items()}
    item = {"type": "object", "properties": fields}
    schema = {"$ref": "#/$defs/Order", "$defs": {"Order": item}}
    return structs.replace(orders_table(*indexes), schema=schema)


BY_PLACE = IndexSpec(name="by_place", key="place", sort="rank")


def test_a_new_index_holds_items_that_were_stored_without_its_fields_by_their_defaults(
    place: Any,
) -> None:
    """As they are read. One that says null is absent, as ever."""
    fill(place, 3)
    place.commit(place.put("orders", "c", "null", n=9, place=None))
    table = table_with_defaults(BY_PLACE, place="home", rank=0)
    place.configure("release-2", tables=(table,))
    while place.ask(Reindex("orders", "by_place", 2)).count:
        pass
    assert numbers(place, place.query("orders", "home", "by_place")) == [0, 1, 2]
    place.commit(place.put("orders", "c", "000", n=0, place="away", rank=1))
    place.commit(UpdateItem("orders", *place.key("c", "001"), assign=b'{"n":11}'))  # type: ignore[misc]
    place.commit(DeleteItem("orders", *place.key("c", "002")))
    assert numbers(place, place.query("orders", "home", "by_place")) == [11]
    assert numbers(place, place.query("orders", "away", "by_place")) == [0]


def test_an_index_finds_its_entries_again_when_another_default_is_declared(place: Any) -> None:
    """It keeps those that it was made with, and is no other index."""
    fill(place, 2)
    place.configure("release-2", tables=(table_with_defaults(BY_PLACE, place="home", rank=0),))
    while place.ask(Reindex("orders", "by_place", 10)).count:
        pass
    changed = table_with_defaults(BY_PLACE, place="work", rank=0)
    assert place.configure("release-3", tables=(changed,)).unready == []
    place.commit(place.put("orders", "c", "000", n=0, place="away", rank=1))
    assert numbers(place, place.query("orders", "home", "by_place")) == [1]
    assert numbers(place, place.query("orders", "away", "by_place")) == [0]


def test_a_condition_holds_on_a_field_that_an_item_was_stored_without_by_its_default(
    place: Any,
) -> None:
    """As does a sum: what is added to is what would be read."""
    place.commit(place.put("orders", "c", "1", n=1))
    place.commit(place.put("orders", "c", "2", n=2, place="away"))
    place.configure("release-2", tables=(table_with_defaults(place="home", rank=5),))

    def applied(order: str, condition: Any) -> bool:
        key = place.key("c", order)
        effect = UpdateItem("orders", *key, add=b'{"rank":1}', when=condition)  # type: ignore[misc]
        return isinstance(place.commit(effect), Committed)

    at_home = Compare("place", "==", "home")
    assert applied("1", at_home)
    assert place.get("orders", "c", "1") == {"n": 1, "rank": 6}
    assert not applied("2", at_home)
    assert applied("2", HasField("place"))
    assert applied("1", AllOf((HasField("place"), Compare("rank", ">", 5))))
    assert not applied("1", Compare("unknown", "==", "home"))


def test_sweeping_an_empty_store_does_nothing(place: Any) -> None:
    assert place.ask(Sweep(limits.SWEEP_BATCH)) == Swept(0, [])


# --- keys that change ---------------------------------------------------------------------------


def rekeyed(place: Any, digest: str = "release-2") -> Any:
    """Take a release over whose orders lie under another key."""
    table = structs.replace(orders_table(), key="order", sort=None)
    return place.ask(Configure(digest, json.encode(Blueprint(app="shop", tables=(table,))), True))


def test_a_release_that_would_not_find_the_items_of_a_table_is_not_taken_over(place: Any) -> None:
    fill(place, 1)
    answer = rekeyed(place)
    assert isinstance(answer, Rejected)
    assert answer.message.startswith(
        "The items of table 'orders' are stored by key=customer (text), sort=order (text); this "
        "release declares key=order (text) and would not find them. Keep "
    )
    assert [row.digest for row in place.ask(Releases()).rows] == ["release-1"]
    assert place.get("orders", "c", "000") == {"n": 0, "status": "open", "at": 0}
    place.configure("release-3")


def test_a_key_may_be_another_type_only_while_a_table_is_empty(place: Any) -> None:
    fill(place, 1)
    table = structs.replace(orders_table(), kinds=KINDS | {"order": "number"})
    blueprint = json.encode(Blueprint(app="shop", tables=(table,)))
    assert isinstance(place.ask(Configure("release-2", blueprint, True)), Rejected)
    place.commit(DeleteItem("orders", *place.key("c", "000")))
    assert isinstance(place.ask(Configure("release-2", blueprint, True)), Configured)


def test_an_empty_table_takes_another_key_and_an_older_release_writes_nothing_beside_it(
    place: Any,
) -> None:
    """Machines take turns with a new version; until then the old one runs beside it."""
    assert isinstance(rekeyed(place), Configured)
    late = place.commit(place.put("orders", "c", "1"), release="release-1")
    assert isinstance(late, Rejected)
    assert "another key" in late.message
    looked = place.ask(GetItem("orders", *place.key("c", "1")), "shop@release-1")
    assert isinstance(looked, Broken)
    assert looked.code == Refused.code
    # Which key counts is remembered, whatever releases are:
    assert isinstance(place.commit(place.put("orders", "1"), function=""), Committed)
    assert isinstance(rekeyed(place, "release-3"), Configured)
    again = Blueprint(app="shop", tables=(orders_table(),))
    assert isinstance(place.ask(Configure("release-1", json.encode(again), True)), Rejected)
