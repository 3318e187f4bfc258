"""DynamoDB's typed values, conditions and updates, on the JSON of an item."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.statemachine.dynamo_conditions import condition
from wherry.statemachine.dynamo_syntax import Reader
from wherry.statemachine.dynamo_updates import update
from wherry.statemachine.dynamo_values import Invalid, number_text, plain, typed

# --- typed values --------------------------------------------------------------------------------

VALUES: list[tuple[dict[str, Any], Any]] = [
    ({"S": "x"}, "x"),
    ({"N": "12"}, 12),
    ({"N": "0.5"}, 0.5),
    ({"N": "-7"}, -7),
    ({"BOOL": False}, False),
    ({"NULL": True}, None),
    ({"L": [{"S": "a"}, {"N": "1"}]}, ["a", 1]),
    ({"M": {"a": {"M": {"b": {"BOOL": True}}}}}, {"a": {"b": True}}),
]


@pytest.mark.parametrize(("value", "found"), VALUES)
def test_typed_values_are_the_json_of_an_item_and_back(value: dict[str, Any], found: Any) -> None:
    assert plain(value) == found
    assert typed(found) == value


@pytest.mark.parametrize(
    "value",
    [
        "x", {}, {"S": "a", "N": "1"}, {"S": 1}, {"N": 5}, {"N": "x"}, {"N": ""}, {"N": "1e200"},
        {"BOOL": "true"}, {"NULL": False}, {"SS": ["a"]}, {"B": "eA=="}, {"X": 1}, {"L": {}},
        {"M": {"a": 1}},
    ],
)  # fmt: skip
def test_what_is_no_typed_value_is_refused(value: Any) -> None:
    with pytest.raises(Invalid):
        plain(value)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1, "1"),
        (1.0, "1"),
        (0.1, "0.1"),
        (1e21, "1" + "0" * 21),
        (1e-7, "0.0000001"),
        (-2.50, "-2.5"),
    ],
)
def test_numbers_are_written_without_exponents(number: float, text: str) -> None:
    assert number_text(number) == text


# --- conditions ----------------------------------------------------------------------------------

ITEM = {
    "id": "o-1",
    "n": 5,
    "t": "abc",
    "ok": True,
    "no": None,
    "m": {"x": [1, {"y": 2}]},
    "l": [1],
}
HOLDS: list[tuple[str, bool]] = [
    ("attribute_exists(id)", True),
    ("attribute_exists(#n)", True),
    ("attribute_exists(no)", True),
    ("attribute_exists(gone)", False),
    ("attribute_not_exists(gone)", True),
    ("attribute_not_exists(m.x[1].y)", False),
    ("n = :five", True),
    ("n <> :five", False),
    ("gone <> :five", True),
    ("gone = :five", False),
    ("gone < :five", False),
    ("n < :six and n >= :five", True),
    ("n BETWEEN :one AND :five", True),
    ("t between :b and :c", False),
    ("n IN (:one, :five)", True),
    ("t IN (:one)", False),
    ("NOT n = :five", False),
    ("NOT (n = :one OR t = :b)", True),
    ("n = :one OR n = :five AND ok = :true", True),
    ("begins_with(t, :ab)", True),
    ("begins_with(n, :ab)", False),
    ("contains(t, :b)", True),
    ("contains(l, :one)", True),
    ("contains(l, :true)", False),
    ("size(t) = :three", True),
    ("size(m) < :three", True),
    ("size(n) < :three", False),
    ("attribute_type(n, :N)", True),
    ("attribute_type(no, :N)", False),
    ("t > n", False),
    ("m.x[1].y < n", True),
]
GIVEN = {
    ":one": 1, ":five": 5, ":six": 6, ":three": 3, ":true": True, ":b": "b", ":c": "c", ":ab": "ab",
    ":N": "N",
}  # fmt: skip


@pytest.mark.parametrize(("text", "holds"), HOLDS)
def test_a_condition_holds_as_dynamodb_says(text: str, holds: bool) -> None:
    assert condition(Reader("ConditionExpression", text, {"#n": "n"}, GIVEN))(ITEM) is holds


SYNTAX = [
    "", "   ", "a =", "= :one", "a = :gone", "#gone = :one", "foo(a) = :one", "size(a)",
    "attribute_exists(:one)", "attribute_exists(a, b)", "a = :one)", "(a = :one", "a ! :one",
    "contains(a) = :one", "a[x] = :one", "a between :one", "contains(a, :b) = :true",
    "(" * 400 + "a = :one" + ")" * 400, "NOT " * 900 + "a = :one",
]  # fmt: skip


@pytest.mark.parametrize("text", SYNTAX)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        condition(Reader("ConditionExpression", text, {}, GIVEN))


# --- updates -------------------------------------------------------------------------------------

UPDATES: list[tuple[str, dict[str, Any]]] = [
    ("SET n = :one", {"n": 1}),
    ("SET n = n + :one", {"n": 6}),
    ("SET n = :one - n", {"n": -4}),
    ("set t = :b, fresh = n", {"t": "b", "fresh": 5}),
    ("SET fresh = if_not_exists(fresh, :one) + :one", {"fresh": 2}),
    ("SET n = if_not_exists(n, :one)", {"n": 5}),
    ("SET l = list_append(l, :list)", {"l": [1, 7]}),
    ("SET m.x[1].y = :b", {"m": {"x": [1, {"y": "b"}]}}),
    ("SET l[9] = :one", {"l": [1, 1]}),
    ("ADD n :six, fresh :one", {"n": 11, "fresh": 1}),
    ("SET t = :b ADD n :one", {"t": "b", "n": 6}),
    ("SET #n = :tenth + :fifth", {"n": 0.3}),
]


@pytest.mark.parametrize(("text", "changed"), UPDATES)
def test_an_update_changes_an_item(text: str, changed: dict[str, Any]) -> None:
    values = {**GIVEN, ":list": [7], ":tenth": 0.1, ":fifth": 0.2}
    done = update(Reader("UpdateExpression", text, {"#n": "n"}, values)).apply(ITEM)
    assert done == {**ITEM, **changed}


def test_remove_takes_fields_and_elements_out() -> None:
    done = update(Reader("UpdateExpression", "REMOVE t, m.x[0], gone", {}, {})).apply(ITEM)
    assert done == {key: one for key, one in ITEM.items() if key != "t"} | {"m": {"x": [{"y": 2}]}}
    many = {"l": [0, 1, 2, 3]}
    assert update(Reader("UpdateExpression", "REMOVE l[0], l[2]", {}, {})).apply(many) == {
        "l": [1, 3]
    }


WRONG_UPDATES = [
    "", "n = :one", "SET n", "SET n = :one SET t = :b", "DELETE l :one", "ADD n :b", "ADD n n",
    "SET n = t + :one", "SET gone.a = :one", "SET n = gone", "SET l = list_append(l, :one)",
    "SET n = :one, n = :five", "SET m = :one, m.x = :five", "SET n = size(t)", "SET n = :one +",
    "SET n = if_not_exists(:one, :five)", "REMOVE n[0]",
]  # fmt: skip


@pytest.mark.parametrize("text", WRONG_UPDATES)
def test_what_dynamodb_would_not_update_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        update(Reader("UpdateExpression", text, {}, GIVEN)).apply(ITEM)
