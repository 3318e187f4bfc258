"""The fine print: keys and ranges that no item can have, and moments without a time zone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any, NewType
from uuid import UUID

import pytest
from pydantic import BaseModel

from tests.contract.fine_print import on_every_platform
from wherry import App, Struct, at_least, at_most, begins_with, between, exactly

Ward = NewType("Ward", str)


class State(StrEnum):
    """A key that is text."""

    OPEN = "open"


class Level(IntEnum):
    """A key that is a number."""

    LOW = 1


class Bed(Struct):
    """An item whose key is text and whose order is a number."""

    ward: Ward
    number: int
    state: State = State.OPEN
    level: Level = Level.LOW
    at: datetime | None = None
    until: datetime | None = None


class Shift(Struct):
    """An item with keys that are a UUID and a moment."""

    nurse: UUID
    begins: datetime
    day: date


class Room(BaseModel):
    """An item that is a Pydantic model."""

    name: str


NURSE = UUID("12345678-1234-5678-1234-56781234abcd")
MORNING = datetime(2026, 1, 2, 6, tzinfo=UTC)
NAIVE = datetime(2026, 1, 2, 6)  # noqa: DTZ001 - what this is about
SHIFT = Shift(NURSE, MORNING, date(2026, 1, 2))
BED = Bed(Ward("north"), 7, at=MORNING)


class Hospital:
    """An app whose one route does what a case asks."""

    def __init__(self) -> None:
        self.app = App("hospital")
        self.beds = self.app.table(
            Bed,
            key="ward",
            sort="number",
            indexes={"by_state": ("state", "at"), "by_level": "level"},
            expires="until",
        )
        self.shifts = self.app.table(
            Shift, key="nurse", sort="begins", indexes={"by_day": ("day", "nurse")}
        )
        self.rooms = self.app.table(Room, key="name")
        self.do: Callable[[], object] = lambda: None
        grants = [
            grant for one in (self.beds, self.shifts, self.rooms) for grant in (one.read, one.write)
        ]

        @self.app.post("/go", grants=grants)
        def go() -> None:
            self.do()


REFUSED: dict[str, tuple[Callable[[Hospital], object], str]] = {
    "get": (
        lambda h: h.beds.get(5, 7),
        "The key field 'ward' of 'beds' is str; int was given, which no item has there.",
    ),
    "get by a text for a number": (
        lambda h: h.beds.get("north", "7"),
        "The key field 'number' of 'beds' is int; str was given",
    ),
    "get by a bool": (lambda h: h.beds.get("north", True), "is int; bool was given"),
    "get by a Decimal": (lambda h: h.beds.get("north", Decimal(7)), "is int; Decimal was given"),
    "get by None": (lambda h: h.rooms.get(None), "'name' of 'rooms' is str; NoneType was given"),
    "get by a moment's text": (
        lambda h: h.shifts.get(NURSE, "2026-01-02T06:00:00Z"),
        "The key field 'begins' of 'shifts' is datetime; str was given",
    ),
    "get by a day for a moment": (
        lambda h: h.shifts.get(NURSE, date(2026, 1, 2)),
        "'begins' of 'shifts' is datetime; date was given",
    ),
    "delete": (lambda h: h.rooms.delete(5), "'name' of 'rooms' is str; int was given"),
    "update": (lambda h: h.beds.update(5, 7, level=1), "'ward' of 'beds' is str; int was given"),
    "query": (lambda h: h.beds.query(5), "'ward' of 'beds' is str; int was given"),
    "query of an index": (
        lambda h: h.beds.query("1", index="by_level"),
        "The key field 'level' of 'beds' is Level; str was given",
    ),
    "query by a moment for a day": (
        lambda h: h.shifts.query(MORNING, index="by_day"),
        "'day' of 'shifts' is date; datetime was given",
    ),
    "a range of text over numbers": (
        lambda h: h.beds.query("north", sort=begins_with("7")),
        "The table 'beds' is ordered by 'number', which is int; the range is one of text.",
    ),
    "a range of numbers over text": (
        lambda h: h.shifts.query(date(2026, 1, 2), index="by_day", sort=at_least(7)),
        "The index 'by_day' of 'shifts' is ordered by 'nurse', which is UUID; the range is one of "
        "numbers.",
    ),
    "a range from text to a number": (
        lambda h: between("a", 1),
        "between('a', 1): nothing is between text and a number.",
    ),
    "a beginning that is a number": (
        lambda h: begins_with(7),  # type: ignore[arg-type]
        "begins_with(7): numbers do not begin with one.",
    ),
    "a range that ends with a bool": (
        lambda h: at_most(True),
        "The end of a range of sort keys is not usable: a key cannot be a bool.",
    ),
    "a range of a table without order": (
        lambda h: h.rooms.query("a", sort=begins_with("a")),
        "The table 'rooms' has no sort field, and sort= was given.",
    ),
    "a range of an index without order": (
        lambda h: h.beds.query(1, index="by_level", sort=exactly(1)),
        "The index 'by_level' of 'beds' has no sort field, and sort= was given.",
    ),
    "a value where a range is meant": (
        lambda h: h.beds.query("north", sort=7),  # type: ignore[arg-type]
        "sort= of a query is a range; int was given.",
    ),
}

NAIVE_SAID = "is a datetime without a time zone, which is no moment. Make it with datetime.now(UTC)"

NAIVE_GIVEN: dict[str, tuple[Callable[[Hospital], object], str]] = {
    "get": (lambda h: h.shifts.get(NURSE, NAIVE), "A key of 'shifts'"),
    "put": (lambda h: h.shifts.put(Shift(NURSE, NAIVE, SHIFT.day)), "A key of 'shifts'"),
    "put, in an index": (
        lambda h: h.beds.put(Bed(Ward("a"), 1, at=NAIVE)),
        "'at' of an item of 'beds'",
    ),
    "put, as expiry": (
        lambda h: h.beds.put(Bed(Ward("a"), 1, until=NAIVE)),
        "'until' of an item of 'beds'",
    ),
    "put, as text": (
        lambda h: h.beds.put(Bed(Ward("a"), 1, at=NAIVE.isoformat())),  # type: ignore[arg-type]
        "'at' of an item of 'beds'",
    ),
    "update": (lambda h: h.beds.update("north", 7, at=NAIVE), "'at' of an item of 'beds'"),
    "update with text": (
        lambda h: h.beds.update("north", 7, until=NAIVE.isoformat()),
        "'until' of an item of 'beds'",
    ),
    "a range": (lambda h: at_least(NAIVE), "The end of a range of sort keys"),
}


def refused(run: Any, act: Callable[[Hospital], object], said: str) -> None:
    """Hold that a run ends with this error, which is the function's, and with nothing stored."""
    hospital = Hospital()
    hospital.do = lambda: act(hospital)
    with run(hospital.app) as backend:
        with backend.acting():
            hospital.beds.put(BED)
        reply = backend.post("/go")
        errors = [line["message"] for line in backend.logs if line["level"] == "ERROR"]
        assert (reply.status, len(errors)) == (500, 1)
        assert said in errors[0]
        assert backend.items(hospital.beds) == [BED]
        assert backend.items(hospital.shifts) == []


@on_every_platform
@pytest.mark.parametrize("case", REFUSED)
def test_what_no_item_can_have_for_a_key_is_refused_and_not_found_missing(
    run: Any, case: str
) -> None:
    """The error names table, field, what it is and what was given."""
    refused(run, *REFUSED[case])


@on_every_platform
@pytest.mark.parametrize("case", NAIVE_GIVEN)
def test_a_datetime_without_a_time_zone_is_refused_wherever_a_moment_is_needed(
    run: Any, case: str
) -> None:
    """In a key, in a range, in a field of an index and as expiry; the error says what to do."""
    act, whose = NAIVE_GIVEN[case]
    refused(run, act, f"{whose} {NAIVE_SAID}")


class Text(str):
    """A text of the team's own."""

    __slots__ = ()


@on_every_platform
def test_what_is_stored_as_the_fields_values_are_is_found(run: Any) -> None:
    """Types below, Enums and their values, whole floats; UUIDs, days and moments as text."""
    hospital = Hospital()
    beds, shifts = hospital.beds, hospital.shifts

    def do() -> None:
        for ward in ("north", Text("north"), Ward("north")):
            assert beds.get(ward, 7.0) == BED
        for state in ("open", State.OPEN):
            assert len(beds.query(state, index="by_state", sort=begins_with("2026"))) == 1
            assert len(beds.query(state, index="by_state", sort=at_least(date(2026, 1, 2)))) == 1
        for level in (1, Level.LOW):
            assert len(beds.query(level, index="by_level")) == 1
        for nurse in (NURSE, str(NURSE), str(NURSE).upper(), NURSE.hex):
            assert shifts.get(nurse, MORNING) == SHIFT
        for day in (date(2026, 1, 2), "2026-01-02", "20260102"):
            assert len(shifts.query(day, index="by_day", sort=exactly(NURSE))) == 1
        assert shifts.get("nobody", MORNING) is None
        assert len(beds.query("north", sort=between(6.5, Level(1) + 6))) == 1
        beds.update("north", 7, at=MORNING.isoformat())

    hospital.do = do
    with run(hospital.app) as backend:
        with backend.acting():
            beds.put(BED)
            shifts.put(SHIFT)
        assert backend.post("/go").status == 204, backend.logs
