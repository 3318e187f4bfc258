"""JSONata: AWS's own functions, its bounds, and what it says when an expression fails."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.statemachine.machines import chain, evaluate, in_state, only, run
from wherry.testing import TaskFailed, run_workflow

VALUES: list[tuple[str, Any]] = [
    ("1 + 1", 2),
    ("3.0", 3),
    ("0.1 + 0.2", 0.30000000000000004),
    ("5 / 2", 2.5),
    ("5.5 % 2", 1.5),
    ("9223372036854775807 * 2", 1.8446744073709552e19),
    ("1 / 0", "Infinity"),
    ("-1 / 0", "-Infinity"),
    ("{'a': 0 / 0}", {"a": "NaN"}),
    ("null", None),
    ("[]", []),
    ("{'a': null, 'b': $nothing}", {"a": None}),
    ("[$nothing, null, 1]", [None, 1]),
    ("$states.input.items[price > 10].name", "b"),
    ("$states.input.items.price", [5, 20]),
    ("$sum($states.input.items.price)", 25),
    ("$states.context.State.Name", "S"),
    ("$string(1/3)", "0.333333333333333"),
    ("$string(1e21)", "1e+21"),
    ("$string(1e20)", "100000000000000000000"),
    ("$string(0.0000001)", "1e-7"),
    ("1 & 'a' & [1, null]", "1a[1,null]"),
    ("$partition([1,2,3,4,5], 2)", [[1, 2], [3, 4], [5]]),
    ("$partition([1,2,3,4,5], 2.9)", [[1, 2], [3, 4], [5]]),
    ("$partition([1,2,3])", [[1, 2, 3]]),
    ("$range(1, 9, 2)", [1, 3, 5, 7, 9]),
    ("$range(5, 1, -2)", [5, 3, 1]),
    ("$range(1, 1, 1)", 1),
    ("$hash('input data', 'SHA-256')",
     "b4a697a057313163aee33cd8d40c66e9f0f177e00cac2de32475ffff6169c3e3"),
    ("$random(42)", 0.7275636800328681),
    ("$parse('[1,{\"a\":null}]')", [1, {"a": None}]),
    ("$now()", "2026-01-01T00:00:00.000Z"),
    ("$millis()", 1_767_225_600_000),
    ("$fromMillis(0)", "1970-01-01T00:00:00.000Z"),
    ("$distinct([1, 1, '1', true])", [1, "1", True]),
    ("$count([1..873782])", 873782),
    ("$length($pad('', 4194304))", 4194304),
    ("$replace('aXbx', /x/i, '-')", "a-b-"),
    ("$contains('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!', /(a+)+$/)", False),
    ("($f := function($n) { $n = 0 ? 0 : 1 + $f($n - 1) }; $f(31))", 31),
    ("($f := function($n) { $n = 0 ? 'end' : $f($n - 1) }; $f(500))", "end"),
]  # fmt: skip

REFERENCE: list[tuple[str, Any]] = [
    ("$map([1, 2.5, true], $string)", ["1", "2.5", "true"]),
    ("$map(['1', '0xFF', '0b101'], $number)", [1, 255, 5]),
    ("$states.input.items.price.$string()", ["5", "20"]),
    ("('YQ==').$base64decode() & ('%41').$decodeUrlComponent()", "aA"),
    ("('[1,2]').$parse()[1]", 2),
    ("('input data').$hash('SHA-256') = $hash('input data', 'SHA-256')", True),
    ("(1).$range(9, 4)", [1, 5, 9]),
    ("$distinct([1, 1])", [1]),
    ("$distinct($states.input.items.(price > 1))", True),
    ("$string(1e100)", "1e+100"),
    ("$number('05') + $number('-1.5e1')", -10),
    ("$power(2, -1)", 0.5),
    ("[1 in [true], true in [1], true in true, {'a': 1} in [{'a': 1}]]",
     [False, False, True, True]),
    ("$replace('abc', /(b)/, '[$1$12$3$$$0]')", "a[bb2$b]c"),
    ("$replace('abc', /b/, '[$1$2]')", "a[]c"),
    ("$replace('abc', /b/, '\\\\1\\\\n')", "a\\1\\nc"),
    ("$replace('aaa', /a/, 'b$0', 2)", "babaa"),
    ("$replace('abab', /a(b)/, function($m) { $uppercase($m.groups[0]) }, 1)", "Bab"),
    ("$replace('abc', /.*/, 'x')", "x"),
    ("$match('abc', /[^,]*/).match", "abc"),
    ("$replace('abc  ', /\\s*$/, '')", "abc"),
    ("$split('a1b22c', /\\d+/)", ["a", "b", "c"]),
    ("$split('a1b', /(\\d)/)", ["a", "b"]),
    ("$toMillis('2017-11')", 1509494400000),
    ("$fromMillis(253402300799999)", "9999-12-31T23:59:59.999Z"),
    ("$parseInteger('xyz', '0')", "NaN"),
    ("$formatNumber(0.5, '#.##') & ' ' & $formatNumber(1, '#.##')", ".5 1.0"),
    ("$formatNumber(-34.555, '#0.00;(#0.00)')", "(34.56)"),
    ("$formatNumber(0.14, '01%') & $formatNumber(0.14, '#0\u2030')", "14%140\u2030"),
    ("$formatNumber(1234567.5, '##,##,##0.0##')", "12,34,567.5"),
    ("$formatNumber(123456.789, '#,##0.000,0')", "123,456.789,0"),
    ("$formatNumber(1234.5678, '00.000e0')", "12.346e2"),
    ("$formatNumber(0.00012, '$0.0e00 x')", "$1.2e-04 x"),
    ("$formatNumber(1234.5, '#.##0,0', {'decimal-separator': ',', 'grouping-separator': '.'})",
     "1.234,5"),
    ("$parseInteger('12x', '0')", 12),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "value"), REFERENCE)
def test_an_expression_gives_what_the_reference_gives(expression: str, value: Any) -> None:
    assert evaluate(expression, INPUT) == value


INPUT = {"items": [{"name": "a", "price": 5}, {"name": "b", "price": 20}]}


@pytest.mark.parametrize(("expression", "value"), VALUES)
def test_an_expression_gives_its_value(expression: str, value: Any) -> None:
    found = evaluate(expression, INPUT)
    assert found == value
    assert type(found) is type(value)


UNDEFINED = "returned nothing (undefined)."
FAILED = "threw an error during evaluation"
MEMORY = "Expression evaluation memory limit exceeded: Check for excessive memory usage"
STACK = (
    "Stack overflow error: Check for non-terminating recursive function. Consider rewriting as"
    " tail-recursive"
)

FAILURES = [
    ("$states.input.gone", UNDEFINED),
    ("$partition([], 2)", UNDEFINED),
    ("$partition([1], 0)", UNDEFINED),
    ("$range(1, 5, 0)", UNDEFINED),
    ("$hash('a')", UNDEFINED),
    ("$parse()", UNDEFINED),
    ("'a' - 1", f'{FAILED}. T2001: The left side of the "-" operator must evaluate to a number'),
    ("1 + 'a'", f'{FAILED}. T2002: The right side of the "+" operator must evaluate to a number'),
    ("$partition([1], -1)", f"{FAILED}. D3137: Second argument must be zero or greater"),
    ("$uuid(1)",
     f'{FAILED}. T0410: Argument 1 of function "uuid" does not match function signature'),
    ("$parse(null)",
     f'{FAILED}. T0410: Argument 1 of function "parse" does not match function signature'),
    ("$uppercase(1)",
     f'{FAILED}. T0410: Argument 1 of function "uppercase" does not match function signature'),
    ("$eval('1')", f"{FAILED}. T1006: Attempted to invoke a non-function"),
    ("$number('abc')", f'{FAILED}. D3030: Unable to cast value to a number: "abc"'),
    ("$error('no')", f"{FAILED}. D3137: no"),
    ("[1..873783]", f"{FAILED}: {MEMORY}"),
    ("$range(1, 500000, 1)", f"{FAILED}: {MEMORY}"),
    ("$pad('', 8388608)", f"{FAILED}: {MEMORY}"),
    ("$join([1..100000].('x'), $pad('', 1000))", f"{FAILED}: {MEMORY}"),
    ("$replace($pad('', 100000, 'a'), 'a', $pad('', 100000))", f"{FAILED}: {MEMORY}"),
    ("$reduce([1..40], function($a, $b) {[$a, $a]}, [1])", f"{FAILED}: {MEMORY}"),
    ("($f := function($n) { $n = 0 ? 0 : 1 + $f($n - 1) }; $f(32))", f"{FAILED}: {STACK}"),
    ("($f := function() { $f() }; $f())",
     f"{FAILED}: Expression evaluation timeout: Check for infinite loop"),
    ("$sum(['a'])",
     f'{FAILED}. T0412: Argument 1 of function "sum" must be an array of "numbers"'),
    ("$sum(1, 2)",
     f'{FAILED}. T0410: Argument 2 of function "sum" does not match function signature'),
    ("$substring('abc', null)",
     f'{FAILED}. T0410: Argument 2 of function "substring" does not match function signature'),
    ("($f := $uppercase; $f(1))",
     f'{FAILED}. T0410: Argument 1 of function "uppercase" does not match function signature'),
    ("$map([1, 2], $uppercase)",
     f'{FAILED}. T0410: Argument 1 of function "uppercase" does not match function signature'),
    ("(5).$hash('MD5')", f"{FAILED}. T0411: Context value is not a compatible type with argument 1"
     ' of function "hash"'),
    ("(5).$uppercase()", f"{FAILED}. T0411: Context value is not a compatible type with argument 1"
     ' of function "uppercase"'),
    ("$number('1_0')", f'{FAILED}. D3030: Unable to cast value to a number: "1_0"'),
    ("$number(' 5')", f'{FAILED}. D3030: Unable to cast value to a number: " 5"'),
    ("-'a'", f'{FAILED}. D1002: Cannot negate a non-numeric value: "a"'),
    ("$power(10, 400)", f"{FAILED}. D3061: The power function has resulted in a value that cannot"
     " be represented as a JSON number: base=10, exponent=400"),
    ("$sort([1, 'a'])", f"{FAILED}. D3070: The single argument form of the sort function can only"
     " be applied to an array of strings or an array of numbers.  Use the second argument to"
     " specify a comparison function"),
    ("$formatBase(5, 37)", f"{FAILED}. D3100: The radix of the formatBase function must be between"
     " 2 and 36.  It was given 37"),
    ("$toMillis('soon')", f"{FAILED}. D3110: The argument of the toMillis function must be an ISO"
     ' 8601 formatted timestamp. Given "soon"'),
    ("$fromMillis(0, '[q]')",
     f'{FAILED}. D3132: Unknown component specifier "q" in date/time picture string'),
    ("$fromMillis(0, '[Y')",
     f"{FAILED}. D3135: No matching closing bracket ']' in date/time picture string"),
    ("$formatInteger(5, '#')", f"{FAILED}. D3130: Formatting or parsing an integer as a sequence"
     ' starting with "#" is not supported by this implementation'),
    ("$split('abc', /x*/)", f"{FAILED}. D1004: Regular expression matches zero length string"),
    ("$states.input()", f"{FAILED}. T1006: Attempted to invoke a non-function"),
    ("function($x) { $x }", "returned an unsupported result type."),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "said"), FAILURES)
def test_an_expression_that_fails_says_why(expression: str, said: str) -> None:
    assert evaluate(expression, {}) == (
        "States.QueryEvaluationError",
        in_state(f"The JSONata expression '{expression}' specified for the field 'Output' {said}"),
    )


PICTURES = [
    ("0;0;0", "D3080"), ("0.0.0", "D3081"), ("0%%", "D3082"), ("0\u2030\u2030", "D3083"),
    ("0%\u2030", "D3084"), ("", "D3085"), ("x", "D3086"), ("0a0", "D3086"), ("0,.0", "D3087"),
    ("0,", "D3088"), ("0,,0", "D3089"), ("0#", "D3090"), (".#0", "D3091"), ("0%e0", "D3092"),
    ("0e0e0", "D3093"),
]  # fmt: skip


@pytest.mark.parametrize(("picture", "code"), PICTURES)
def test_a_bad_picture_is_refused_with_its_code(picture: str, code: str) -> None:
    error, cause = evaluate(f"$formatNumber(1, '{picture}')")
    assert error == "States.QueryEvaluationError"
    assert f"{FAILED}. {code}: " in cause


FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"Output": {"a": {"b": "{% $q %}"}}}, "Output/a/b"),
    ({"Output": {"l": [1, "{% $q %}"]}}, "Output/l[1]"),
    ({"Assign": {"x": "{% $q %}"}}, "Assign/x"),
    ({"Arguments": {"Payload": "{% $q %}"}}, "Arguments/Payload"),
    ({"TimeoutSeconds": "{% $q %}"}, "TimeoutSeconds"),
]


@pytest.mark.parametrize(("fields", "where"), FIELDS)
def test_the_cause_says_where_the_expression_stands(fields: dict[str, Any], where: str) -> None:
    machine = only({"Type": "Task", "Resource": "f", **fields}, jsonata=True)
    _, cause = run(machine, {}, {"f": lambda _: 1})
    assert f"specified for the field '{where}'" in cause
    result = run_workflow(machine, {}, {"f": lambda _: 1})
    failed = next(one for one in result.history if one["type"] == "EvaluationFailed")
    details = failed["evaluationFailedEventDetails"]
    assert (details["location"], details["state"]) == (where, "S")
    assert details["cause"] == result.cause


def test_text_around_an_expression_makes_it_plain_text() -> None:
    machine = only({"Type": "Pass", "Output": "a {% 1 %} "}, jsonata=True)
    assert run(machine) == "a {% 1 %} "


TYPED = [
    ({"Type": "Wait", "Seconds": "{% '3' %}"},
     "The JSONata expression ''3'' specified for the field 'Seconds' returned an unexpected result"
     " type. Expected 'number', but was 'string' for value: \"3\""),
    ({"Type": "Task", "Resource": "f", "TimeoutSeconds": "{% 1.6 %}"},
     "The TimeoutSeconds field cannot be parsed as an integer: 1.6"),
    ({"Type": "Task", "Resource": "f", "TimeoutSeconds": "{% -1 %}"},
     "TimeoutSeconds must be between 0 and 99999999 but was: -1"),
    ({"Type": "Map", "Items": "{% 5 %}", "ItemProcessor": {
        "StartAt": "I", "States": {"I": {"Type": "Pass", "End": True}}}},
     "The JSONata expression '5' specified for the field 'Items' returned an unexpected result"
     " type. Expected 'array', but was 'number' for value: 5"),
    ({"Type": "Choice", "Choices": [{"Condition": "{% 1 %}", "Next": "S"}]},
     "The JSONata expression '1' specified for the field 'Choices[0]/Condition' returned an"
     " unexpected result type. Expected 'boolean', but was 'number' for value: 1"),
]  # fmt: skip


@pytest.mark.parametrize(("state", "cause"), TYPED)
def test_a_value_of_another_type_is_refused(state: dict[str, Any], cause: str) -> None:
    machine = only(state, jsonata=True)
    machine["States"]["Z"] = {"Type": "Succeed"}
    if state["Type"] == "Choice":
        state["Default"] = "Z"
    else:
        del machine["States"]["Z"]
    assert run(machine, {}, {"f": lambda _: 1}) == ("States.QueryEvaluationError", in_state(cause))


# --- states --------------------------------------------------------------------------------------


def test_a_task_s_fields_see_input_and_result() -> None:
    task = {
        "Type": "Task", "Resource": "f",
        "Arguments": {"n": "{% $states.input.n * 2 %}"},
        "Output": {"was": "{% $states.input.n %}", "is": "{% $states.result %}"},
        "Assign": {"kept": "{% $states.result + 1 %}"},
    }  # fmt: skip
    machine = chain(task, {"Type": "Pass", "Output": "{% [$states.input, $kept] %}"}, jsonata=True)
    output = run(machine, {"n": 4}, {"f": lambda payload: payload["n"] + 1})
    assert output == [{"was": 4, "is": 9}, 10]


def test_a_catch_sees_the_error() -> None:
    def broken(payload: Any) -> None:
        raise TaskFailed("E", "why")

    task = {
        "Type": "Task", "Resource": "f",
        "Catch": [{
            "ErrorEquals": ["E"], "Next": "B",
            "Output": "{% $states.errorOutput.Cause & $states.input.n %}",
            "Assign": {"e": "{% $states.errorOutput.Error %}"},
        }],
    }  # fmt: skip
    machine = chain(task, {"Type": "Pass", "Output": "{% [$states.input, $e] %}"}, jsonata=True)
    assert run(machine, {"n": 4}, {"f": broken}) == ["why4", "E"]


def test_an_error_of_an_expression_can_be_caught() -> None:
    task = {
        "Type": "Task", "Resource": "f", "Arguments": "{% 1 + 'a' %}",
        "Catch": [{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "B"}],
    }  # fmt: skip
    output = run(chain(task, {"Type": "Pass"}, jsonata=True), {})
    assert output["Error"] == "States.QueryEvaluationError"


@pytest.mark.parametrize(("n", "output"), [(5, "many"), (1, "one"), (0, "none")])
def test_a_choice_gives_the_rule_s_output_or_the_state_s(n: int, output: str) -> None:
    choice = {
        "Type": "Choice",
        "Choices": [
            {"Condition": "{% $states.input.n > 1 %}", "Next": "B", "Output": "many"},
            {"Condition": "{% $states.input.n = 1 %}", "Next": "B", "Output": "{% 'one' %}"},
        ],
        "Default": "B",
        "Output": "none",
    }
    assert run(chain(choice, {"Type": "Succeed"}, jsonata=True), {"n": n}) == output


def test_a_map_selects_and_counts_with_expressions() -> None:
    inner = {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": True}}}
    state = {
        "Type": "Map", "Items": "{% $states.input.l %}", "ItemProcessor": inner,
        "ItemSelector": {
            "i": "{% $states.context.Map.Item.Index %}",
            "v": "{% $states.context.Map.Item.Value & $states.input.suffix %}",
        },
        "MaxConcurrency": "{% 1 + 1 %}",
        "Output": "{% $states.result.v %}",
    }  # fmt: skip
    machine = only(state, jsonata=True)
    assert run(machine, {"l": ["a", "b", "c"], "suffix": "!"}) == ["a!", "b!", "c!"]


def test_a_distributed_map_takes_an_object_that_is_written_out() -> None:
    inner = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "I",
        "States": {"I": {"Type": "Pass", "End": True}},
    }
    state = {"Type": "Map", "Items": {"a": "{% 1 + 1 %}"}, "ItemProcessor": inner}
    assert run(only(state, jsonata=True)) == [{"Key": "a", "Value": 2}]


def test_a_parallel_hands_arguments_to_every_branch() -> None:
    branches = [
        {
            "StartAt": n,
            "States": {n: {"Type": "Pass", "Output": "{% $states.input.v %}", "End": True}},
        }
        for n in "XY"
    ]
    state = {"Type": "Parallel", "Arguments": {"v": 7}, "Branches": branches}
    assert run(only(state, jsonata=True), {}) == [7, 7]


def test_wait_and_fail_take_expressions() -> None:
    machine = chain(
        {"Type": "Wait", "Timestamp": "{% $fromMillis($millis() + 5000) %}"},
        {"Type": "Fail", "Error": "{% 'E' & $states.input.n %}", "Cause": "{% $now() %}"},
        jsonata=True,
    )
    assert run(machine, {"n": 1}) == ("E1", "2026-01-01T00:00:05.000Z")


def test_each_state_may_have_its_own_language() -> None:
    machine = chain(
        {"Type": "Pass", "Result": {"n": 1}},
        {"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $states.input.n + 1 %}"},
        {"Type": "Pass", "Parameters": {"n.$": "$"}},
    )
    assert run(machine) == {"n": 2}
