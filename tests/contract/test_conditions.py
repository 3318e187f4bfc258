"""Conditions: what each relation says of each kind of value."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.effects import (
    Absent,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    HasField,
    Negation,
    Present,
)
from wherry.ports import Committed, Unmet

ITEM = {
    "text": "abc",
    "number": 5,
    "real": 5.0,
    "one": 1,
    "true": True,
    "null": None,
    "list": ["a", 1, None],
    "numeral": "5",
}

HOLDS: list[Condition] = [
    Present(),
    Negation(Absent()),
    HasField("text"),
    HasField("true"),
    Compare("text", "==", "abc"),
    Compare("number", "==", 5.0),
    Compare("real", "==", 5),
    Compare("true", "==", True),
    Compare("null", "==", None),
    Compare("text", "!=", "abd"),
    Compare("text", "!=", 5),
    Compare("true", "!=", 1),
    Compare("list", "!=", "a"),
    Compare("number", "<", 5.5),
    Compare("number", "<=", 5),
    Compare("number", ">", 4),
    Compare("real", ">=", 5),
    Compare("text", "<", "abd"),
    Compare("text", ">", "ab"),
    Compare("text", "begins_with", "ab"),
    Compare("text", "contains", "bc"),
    Compare("list", "contains", "a"),
    Compare("list", "contains", 1.0),
    Compare("list", "contains", None),
    AllOf((Compare("number", ">", 1), Compare("number", "<", 9))),
    AllOf(()),
    AnyOf((Compare("number", ">", 9), Present())),
    Negation(Compare("missing", "==", 1)),
]

DOES_NOT_HOLD: list[Condition] = [
    Absent(),
    HasField("null"),
    HasField("missing"),
    Compare("missing", "==", None),
    Compare("missing", "!=", 1),
    Compare("numeral", "==", 5),
    Compare("number", "==", "5"),
    Compare("true", "==", 1),
    Compare("one", "==", True),
    Compare("true", ">=", 1),
    Compare("null", "<", 1),
    Compare("number", "<", "9"),
    Compare("text", "<", "abc"),
    Compare("number", "begins_with", "5"),
    Compare("text", "contains", 5),
    Compare("list", "contains", True),
    Compare("list", "<", "b"),
    AnyOf(()),
    AllOf((Present(), Absent())),
    Negation(Present()),
]


@pytest.mark.parametrize("condition", HOLDS, ids=repr)
def test_a_condition_that_holds_lets_the_write_pass(quick: Any, condition: Condition) -> None:
    quick.commit(quick.put("counters", "k", **ITEM))
    assert isinstance(quick.commit(quick.put("counters", "k", when=condition)), Committed)


@pytest.mark.parametrize("condition", DOES_NOT_HOLD, ids=repr)
def test_a_condition_that_does_not_hold_is_an_answer_and_nothing_is_applied(
    quick: Any, condition: Condition
) -> None:
    quick.commit(quick.put("counters", "k", **ITEM))
    assert quick.commit(quick.put("counters", "k", when=condition)) == Unmet("counters", "k")
    assert quick.get("counters", "k") == ITEM


@pytest.mark.parametrize("condition", [*HOLDS, *DOES_NOT_HOLD], ids=repr)
def test_nothing_but_absence_and_denials_hold_of_an_item_that_is_not_there(
    quick: Any, condition: Condition
) -> None:
    expected = isinstance(condition, Absent) or condition in (
        Negation(Compare("missing", "==", 1)),
        Negation(Present()),
        AllOf(()),
    )
    answer = quick.commit(quick.put("counters", "k", when=condition))
    assert isinstance(answer, Committed) is expected
