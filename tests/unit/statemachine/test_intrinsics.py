"""The eighteen intrinsic functions, with the edge cases that were recorded on AWS."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.statemachine.machines import in_state, only, run

ALICE = {
    "name": "Alice",
    "list": [1, 2, 3, 4, 5],
    "n": 2,
    "json": '{"a": 1}',
    "obj": {"a": {"x": 1}},
}

VALUES = [
    ("States.Format('Hello {}, {}', $.name, $.n)", "Hello Alice, 2"),
    ("States.Format('{}', $.obj)", '{"a":{"x":1}}'),
    (r"States.Format('\{{}\}', $.n)", "{2}"),
    ("States.Format('plain')", "plain"),
    ("States.StringToJson($.json)", {"a": 1}),
    ("States.JsonToString($.obj)", '{"a":{"x":1}}'),
    ("States.Array($.name, 1, null, true, 'x')", ["Alice", 1, None, True, "x"]),
    ("States.Array()", []),
    ("States.ArrayPartition($.list, 2)", [[1, 2], [3, 4], [5]]),
    ("States.ArrayContains($.list, 5)", True),
    ("States.ArrayContains($.list, '5')", True),
    ("States.ArrayContains($.list, false)", False),
    ("States.ArrayContains(States.Array('true'), true)", True),
    ("States.ArrayContains(States.Array($.obj), $.obj)", True),
    ("States.ArrayGetItem($.list, 1.7)", 2),
    ("States.ArrayGetItem(States.Array(), 99)", None),
    ("States.ArrayUnique(States.Array(true, false, true))", [False, True]),
    ("States.ArrayUnique(States.Array(null, 1, null))", [None, 1]),
    ("States.ArrayUnique(States.Array(1, '1', '01'))", [1, "1", "01"]),
    ("States.ArrayUnique(States.Array('a', 'b', 'a'))", ["a", "b"]),
    ("States.ArrayUnique(States.StringToJson('[[1,2],[1,2],[2,1]]'))", [[2, 1], [1, 2]]),
    (
        'States.ArrayUnique(States.StringToJson(\'[{"a":1,"b":2},{"b":2,"a":1}]\'))',
        [{"a": 1, "b": 2}],
    ),
    ("States.Base64Decode('abc')", "i\ufffd"),
    ("States.Base64Decode('ab==cd')", "i"),
    ("States.Base64Decode(' YWJjZA== ')", "abcd"),
    ("States.StringToJson('')", None),
    ("States.StringToJson('  ')", None),
    ("States.Hash(123, 'MD5')", "202cb962ac59075b964b07152d234b70"),
    ("States.JsonMerge($.obj, $.obj, 'false')", {"a": {"x": 1}}),
    ("States.ArrayRange(1, 9, 2)", [1, 3, 5, 7, 9]),
    ("States.ArrayRange(3, 1, -1)", [3, 2, 1]),
    ("States.ArrayGetItem($.list, 4)", 5),
    ("States.ArrayLength($.list)", 5),
    ("States.ArrayUnique(States.Array(1, 2, 1, '1'))", [1, "1", 2]),
    ("States.Base64Encode('Data to encode')", "RGF0YSB0byBlbmNvZGU="),
    ("States.Base64Decode('RGF0YSB0byBlbmNvZGU=')", "Data to encode"),
    ("States.Hash('input data', 'SHA-1')", "aaff4a450a104cd177d28d18d74485e8cae074b7"),
    ("States.JsonMerge($.obj, States.StringToJson('{\"b\":2}'), false)", {"a": {"x": 1}, "b": 2}),
    ("States.MathAdd(111, -1)", 110),
    ("States.StringSplit('1,2;3', ',;')", ["1", "2", "3"]),
    ("States.ArrayGetItem(States.StringSplit($.name, 'l'), 1)", "ice"),
]


def given(call: str, data: Any = None) -> Any:
    return run(only({"Type": "Pass", "Parameters": {"v.$": call}}), ALICE if data is None else data)


@pytest.mark.parametrize(("call", "value"), VALUES)
def test_a_call_gives_its_value(call: str, value: Any) -> None:
    assert given(call) == {"v": value}


def test_a_uuid_is_new_each_time() -> None:
    first, second = given("States.Array(States.UUID(), States.UUID())")["v"]
    assert first != second
    assert first[14] == "4"


def test_chance_with_a_seed_is_aws_s_own_sequence() -> None:
    seeded = given("States.MathRandom(1, 999, 5)")
    assert seeded == given("States.MathRandom(1, 999, 5)")
    assert 1 <= seeded["v"] < 999


@pytest.mark.parametrize(
    "call",
    [
        "States.ArrayPartition($.list, 0)",
        "States.ArrayGetItem($.list, 5)",
        "States.ArrayRange(1, 5, 0)",
        "States.ArrayRange(1, 1001, 1)",
        "States.ArrayLength('text')",
        "States.StringToJson('{')",
        "States.Hash('x', 'SHA-3')",
        "States.JsonMerge($.obj, $.obj, true)",
        "States.MathAdd('1', 2)",
    ],
)
def test_arguments_that_a_function_does_not_take_end_the_run(call: str) -> None:
    error, cause = given(call)
    assert error == "States.Runtime"
    assert "error while evaluating the intrinsic function" in cause or "Invalid" in cause


def test_the_cause_names_the_call_and_the_function() -> None:
    assert given("States.ArrayGetItem($.list, 9)") == (
        "States.Runtime",
        in_state(
            "There was an error while evaluating the intrinsic function:"
            " States.ArrayGetItem($.list, 9). Invalid arguments in States.ArrayGetItem"
        ),
    )
