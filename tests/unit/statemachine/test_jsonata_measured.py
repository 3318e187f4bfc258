"""What Step Functions' own JSONata gave where it was measured, and other engines differ."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.statemachine.machines import evaluate, only, run

STRINGS: list[tuple[Any, str]] = [
    ("a", "a"), (1.0, "1"), (1.5e16, "15000000000000000"), (1.5e21, "1.5e+21"),
    (1.7976931348623157e308, "1.7976931348623157e+308"), (0.1, "0.1"), (0.3, "0.3"),
    (0.6666666666666666, "0.666666666666666"), (-0.6666666666666666, "-0.666666666666667"),
    (1234567890123456.7, "1.23456789012345e+15"), (123456789012345.5, "123456789012345"),
    (100.0000000000001, "1e+2"), (0.0000015, "0.0000015"), (0.00000015, "1.5e-7"),
    (9007199254740993, "9007199254740993"), (True, "true"), (None, "null"), (-1.25, "-1.25"),
    ([1.0, {"a": [0.1, None]}], '[1,{"a":[0.1,null]}]'),
    (['\t\b\f\r\n"\\', "\x01\x7f\u2028/é😀"],
     '["\\t\\b\\f\\r\\n\\"\\\\","\x01\x7f\u2028/é😀"]'),
    ({'k"\x01': 1}, '{"k\\"\x01":1}'),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), STRINGS)
def test_string_writes_a_value(value: Any, text: str) -> None:
    assert evaluate("$string($states.input.v)", {"v": value}) == text


VALUES: list[tuple[str, Any]] = [
    ("$string([0.1 + 0.2])", "[0.3]"),
    ("$string({'a': [], 'b': {}}, true)", '{\n  "a": [],\n  "b": {}\n}'),
    ("$string({'c': [1, {'d': 0.5}]}, true)",
     '{\n  "c": [\n    1,\n    {\n      "d": 0.5\n    }\n  ]\n}'),
    ("$string('a', true)", "a"),
    ("$string(function($v) { $v })", ""),
    ("$string([$uppercase, 1])", '["",1]'),
    ("$exists($string($nothing))", False),
    ("$decodeUrlComponent('a+b%2Bc%20d')", "a b+c d"),
    ("$decodeUrlComponent('%E6%97%A5')", "日"),
    ("$decodeUrlComponent('%E6')", "\ufffd"),
    ("$base64decode('YWJ')", "ab"),
    ("$base64decode('5pel5pysIGE=')", "日本 a"),
    ("$formatNumber(0.125, '0.00')", "0.12"),
    ("$formatNumber(2.675, '0.00')", "2.68"),
    ("$formatNumber(2.5, '0')", "2"),
    ("$formatNumber(3.5, '0')", "4"),
    ("$formatNumber(1234.5678, '#,##0.00')", "1,234.57"),
    ("$formatNumber(1234.5, '#,##0')", "1,234"),
    ("$exists($parse($nothing))", False),
    ("$parse(\"{'a': 1}\")", {"a": 1}),
    ("$exists($hash($nothing, 'SHA-256'))", False),
    ("$exists($partition($nothing, 2))", False),
    ("$partition([1, 2, 3], $nothing)", [[1, 2, 3]]),
    ("$partition([1, 2, 3, 4, 5], 2.6)", [[1, 2], [3, 4], [5]]),
    ("$exists($partition([1, 2, 3], 0.5))", False),
    ("$exists($range($nothing, 3, 1))", False),
    ("$exists($range(0, $nothing, 1))", False),
    ("$exists($range(1, 5))", False),
    ("$exists($range(1, 10, 0.49))", False),
    ("$range(1.4, 5.6, 2.2)", [1, 3, 5]),
    ("$range(-1.5, 2.5, 1)", [-1, 0, 1, 2]),
    ("$range(1, 9, 9)", 1),
    ("[$range(1, 9, 9)]", [1]),
    ("$exists($range(3, 0, 1))", False),
    ("[$range(3, 0, 1)]", []),
    ("$random(77) = $random(77)", True),
    ("$fromMillis(0, '[H01]:[m01]', '+0900')", "09:00"),
    ("$round(2.5)", 2),
    ("$round(2.675, 2)", 2.68),
    ("$round(25, -1)", 20),
    ("$replace('abc', 'b', '$0$0')", "a$0$0c"),
    ("$replace('aaa', 'a', 'b', 2.5)", "bba"),
    ("$replace('aaa', 'a', 'b', 0)", "aaa"),
    ("$replace('\u3000a ', /^\\s+|\\s+$/, '')", "\u3000a"),
    ("$split('a.b*c', '.')", ["a", "b*c"]),
    ("$split($trim('  a  b\t\nc '), ' ')", ["a", "b", "c"]),
    ("$pad('a', -3.9, 'xy')", "xya"),
    ("$sort([{'k': 1, 'v': 'a'}, {'k': 0, 'v': 'b'}, {'k': 1, 'v': 'c'}],"
     " function($l, $r) { $l.k > $r.k }).v", ["b", "a", "c"]),
    ("$join([])", ""),
    ("$substring('hello', -10, 2)", "he"),
    ("$sum([])", 0),
    ("$exists($max([]))", False),
    ("$distinct([1, true, 1, [1], [1]])", [1, True, [1]]),
    ("$boolean([0])", False),
    ("1 / 0 > 5", True),
    ("$count(null)", 0),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "value"), VALUES)
def test_an_expression_gives_what_was_measured(expression: str, value: Any) -> None:
    assert evaluate(expression, {}) == value


FAILURES = [
    ("$hash('a', $nothing)", "Hash algorithm 'null' must be one of"),
    ("$hash('a', 'SHA256')", "Hash algorithm 'SHA256' must be one of"),
    ("$hash(123, 'SHA-256')", 'Argument 1 of function "hash"'),
    ("$hash()", 'Argument 1 of function "hash"'),
    ("$hash('a', 'SHA-256', 'x')", 'Argument 3 of function "hash"'),
    ("$parse(123)", 'Argument 1 of function "parse"'),
    ("$parse('{}', 1)", 'Argument 2 of function "parse"'),
    ('$parse(\'{"a":1,"a":2}\')', "not valid JSON"),
    ("$parse('1e400')", "not valid JSON"),
    ("$parse('NaN')", "not valid JSON"),
    ("$uuid(1, 2)", 'Argument 1 of function "uuid"'),
    ("$random('seed')", 'Argument 1 of function "random"'),
    ("$random(77, 88)", 'Argument 2 of function "random"'),
    ("$partition([1, 2, 3], '2')", 'Argument 2 of function "partition"'),
    ("$partition([1, 2, 3], null)", 'Argument 2 of function "partition"'),
    ("$partition('not-array', 2)", 'Argument 1 of function "partition"'),
    ("$partition([1, 2, 3], 2, 99)", 'Argument 3 of function "partition"'),
    ("$range('a', 5, 1)", 'Argument 1 of function "range"'),
    ("$range(1, 5, null)", 'Argument 3 of function "range"'),
    ("$range(1, 5, 1, 99)", 'Argument 4 of function "range"'),
    ("$now(1)", 'Argument 1 of function "now"'),
    ("$base64decode(123)", 'Argument 1 of function "base64decode"'),
    ("$base64decode('!!')", "' threw an internal error during evaluation. "),
    ("$decodeUrlComponent('%zz')", "decodeUrlComponent"),
    ("$string(1, 1)", 'Argument 2 of function "string"'),
    ("$string(1, true, 1)", 'Argument 3 of function "string"'),
    ("$replace('a', '', 'b')", "empty string"),
    ("$replace('a', 'a', 'b', -1)", "positive number"),
    ('1 < "a"', "T2009"),
    ('$merge([{"a": 1}, 1])', "T0412"),
    ("(1 / 0) & ''", ""),
]


@pytest.mark.parametrize(("expression", "said"), FAILURES)
def test_an_expression_fails_where_it_was_measured_to(expression: str, said: str) -> None:
    error, cause = evaluate(expression, {})
    assert error == "States.QueryEvaluationError"
    assert said in cause


WAITS: list[tuple[str, Any, bool]] = [
    ("Timestamp", "2016-12-05T21:29:29Z", True),
    ("Timestamp", "2016-12-05T21:29:29.123456789Z", True),
    ("Timestamp", "2016-12-05T21:29:29+09:00", True),
    ("Timestamp", "2016-12-05T21:29Z", True),
    ("Timestamp", "2016-12-05t21:29:29z", True),
    ("Timestamp", "2016-12-05 21:29:29Z", False),
    ("Timestamp", "2016-12-05T21:29:29", False),
    ("Timestamp", "2016-02-30T21:29:29Z", False),
    ("Timestamp", "2016-12-05T25:29:29Z", False),
    ("Timestamp", 1480973369, False),
    ("Seconds", 0, True),
    ("Seconds", 0.0, True),
    ("Seconds", -1, False),
    ("Seconds", 1.5, False),
    ("Seconds", "3", False),
    ("Seconds", None, False),
    ("Seconds", True, False),
]


@pytest.mark.parametrize(("field", "value", "is_read"), WAITS)
def test_a_wait_reads_what_was_measured(field: str, value: Any, is_read: bool) -> None:
    wait = only({"Type": "Wait", field: "{% $states.input.v %}"}, jsonata=True)
    outcome = run(wait, {"v": value})
    if is_read:
        assert outcome == {"v": value}
    else:
        assert outcome[0] == "States.QueryEvaluationError"
