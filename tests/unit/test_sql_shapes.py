"""How an item's JSON becomes the keys of its indexes, and when it expires."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json

from wherry.codec import field_key
from wherry.platforms.shared.shapes import TableShape
from wherry.platforms.shared.tables import Index, Table, expiry_ms


def table(kind: str | None = None, *names: str) -> Table:
    definition = json.encode(["field", None, kind, None]).decode()
    indexes = [Index(n, name, definition, True) for n, name in enumerate(names or ["one"], 1)]
    return Table(1, TableShape("t", "id"), indexes)


def entry(kind: str | None, value: object) -> bytes | None:
    entries, _ = table(kind).derive(json.encode({"id": "x", "other": [1], "field": value}))
    return entries[0][1] if entries else None


zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 28), timezones=zones | st.just(UTC)))  # noqa: DTZ001
def test_a_moment_has_one_key_whatever_its_form(moment: datetime) -> None:
    forms = [
        moment.isoformat(),
        moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        json.decode(json.encode(moment)),
    ]
    assert {entry("moment", form) for form in forms} == {field_key(forms[0], "moment")}


@pytest.mark.parametrize(
    "text",
    [
        "2026-13-01T12:00:00.000000Z",
        "2026-02-30T12:00:00.000000Z",
        "2026-11-21 12:00:00.000000Z",
        "2026-11-21T12:00:00.000000z",
        "2026-11-21T12-00-00.000000Z",
        "2026-11-21T12:00:00.00000éZ",
        "a moment of 27 characters!!",
        "2026-11-21T12:00:00",
        "",
    ],
)
def test_what_only_looks_like_a_moment_is_treated_as_the_codec_does(text: str) -> None:
    assert entry("moment", text) == field_key(text, "moment")


@pytest.mark.parametrize("kind", [None, "text", "number", "moment"])
@pytest.mark.parametrize("value", ["a", "", 5, -1.5, True, None, [1], {"a": 1}])
def test_every_kind_takes_only_its_own_values(kind: str | None, value: object) -> None:
    if kind is None:
        kind_of_value = "text" if isinstance(value, str) else "number"
        assert entry(None, value) == field_key(value, kind_of_value)
    else:
        assert entry(kind, value) == field_key(value, kind)


def test_an_old_item_that_no_key_can_hold_does_not_stand_in_the_way_of_others() -> None:
    large = json.encode({"id": "x", "field": 2**53 + 1})
    with pytest.raises(ValueError, match="held exactly"):
        table("number").derive(large)
    assert table("number").entries(large) == []
    assert table("number").entries(b"[]") == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1_000, 1_000_000),
        (1.5, 1_500),
        ("1970-01-01T00:00:02Z", 2_000),
        ("1970-01-01T01:00:02+01:00", 2_000),
        ("1970-01-01T00:00:02", 2_000),
        (True, None),
        (None, None),
        ("soon", None),
        (1e300, None),
    ],
)
def test_an_expiry_is_seconds_or_a_moment(value: object, expected: int | None) -> None:
    assert expiry_ms(value) == expected
