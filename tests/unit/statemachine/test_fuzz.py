"""No definition, no data and no answer brings the interpreter down."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wherry.statemachine import validate
from wherry.testing import NEVER, TaskCall, TaskFailed, run_workflow

NAMES = ["a", "b", "l", "n", "t"]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-5, 50)
    | st.floats(allow_nan=False, allow_infinity=False, width=16)
    | st.sampled_from(["", "x", "2026-01-01T00:00:05Z", "5", "{}", "*"])
)
DATA = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=12,
)
PATHS = st.sampled_from(
    ["$", "$.a", "$.a.b", "$.l", "$.l[0]", "$.l[*]", "$..a", "$.l[?(@.n > 1)]", "$.l[0:2]", "$$",
     "$$.Execution.Input.a", "$$.Map.Item.Value", "$$.State", "$v", "$v.a", "$.n", "$.t",
     "$.l.length()", "$['a','b']", "$.l[-1]", "$.l[?(@.a == 'x' || !@.b)].n"]
)  # fmt: skip
CALLS = st.sampled_from(
    ["States.Format('{}{}', $.a, $.n)", "States.Array($.a, $.l)", "States.ArrayLength($.l)",
     "States.ArrayPartition($.l, $.n)", "States.ArrayRange(0, $.n, 2)", "States.MathAdd($.n, 1)",
     "States.StringToJson($.t)", "States.JsonToString($)", "States.JsonMerge($, $.a, false)",
     "States.Base64Encode($.t)", "States.Base64Decode($.t)", "States.Hash($.t, 'MD5')",
     "States.UUID()", "States.MathRandom(0, $.n)", "States.ArrayGetItem($.l, $.n)",
     "States.ArrayUnique($.l)", "States.StringSplit($.t, '-')", "States.ArrayContains($.l, $.a)"]
)  # fmt: skip
EXPRESSIONS = st.sampled_from(
    ["$states.input", "$states.input.a", "$states.input.n + 1", "$states.input.l[0]", "$v",
     "$states.context.Map.Item.Value", "$count($states.input.l)", "$string($states.input)",
     "$states.input.l.a", "$sum($states.input.l)", "$parse($states.input.t)", "$now()", "[1..5]",
     "$states.input.n / $states.input.a", "$partition($states.input.l, $states.input.n)",
     "$range(0, $states.input.n, 2)", "$states.input.l^(n)", "$states.input ~> |l|{'a': 1}|",
     "$map($states.input.l, function($x) {$x.a})", "$states.input.a & $states.input.t",
     "$states.input.a > $states.input.n", "$not($states.input.a)", "$states.input.**.a",
     "$states.input.l{a: n}", "$hash($states.input.t, 'SHA-1')", "$toMillis($states.input.t)",
     "$fromMillis($states.input.n, $states.input.t)", "$match($states.input.t, /(x)|5/)",
     "$formatNumber($states.input.n, $states.input.t)", "$round($states.input.n, -1)"]
).map(lambda text: "{% " + text + " %}")  # fmt: skip

TEMPLATES = st.dictionaries(st.sampled_from(["a", "b.$", "l.$"]), PATHS | CALLS, max_size=3).map(
    lambda one: {k: v for k, v in one.items() if k.endswith(".$")} | {"k": 1}
)
OPERATORS = st.sampled_from(
    [("IsPresent", True), ("IsNull", False), ("NumericGreaterThan", 1), ("StringMatches", "*x*"),
     ("TimestampLessThan", "2026-01-01T00:00:05Z"), ("NumericEqualsPath", "$.n"),
     ("StringEqualsPath", "$.t"), ("BooleanEquals", True), ("IsTimestamp", True)]
)  # fmt: skip


def optional(**fields: Any) -> Any:
    return st.fixed_dictionaries({}, optional=fields)


FLOW = optional(InputPath=PATHS | st.none(), OutputPath=PATHS | st.none())
RESULT = optional(
    Parameters=TEMPLATES, ResultSelector=TEMPLATES, Assign=TEMPLATES,
    ResultPath=st.sampled_from([None, "$", "$.a", "$.a.b", "$.l[0]"]),
)  # fmt: skip
TROUBLE = optional(
    Retry=st.just([{"ErrorEquals": ["E", "States.Timeout"], "MaxAttempts": 2}]),
    Catch=st.sampled_from([None, "$.a", "$"]).map(
        lambda path: [{"ErrorEquals": ["States.ALL"], "Next": "Z", "ResultPath": path}]
    ),
)


def merged(*parts: Any) -> Any:
    return st.tuples(*parts).map(lambda dicts: {k: v for one in dicts for k, v in one.items()})


def state(depth: int) -> Any:
    kinds = [
        merged(st.just({"Type": "Pass"}), FLOW, RESULT.map(_without_selector)),
        merged(st.just({"Type": "Task", "Resource": "f", "TimeoutSeconds": 9}), FLOW, RESULT,
               TROUBLE),
        merged(st.just({"Type": "Wait"}), FLOW, st.sampled_from(
            [{"Seconds": 1}, {"SecondsPath": "$.n"}, {"TimestampPath": "$.t"}])),
        merged(st.just({"Type": "Choice", "Default": "Z"}), FLOW, st.tuples(PATHS, OPERATORS).map(
            lambda one: {"Choices": [{"Variable": one[0], one[1][0]: one[1][1], "Next": "Z"}]})),
        merged(st.just({"Type": "Pass", "QueryLanguage": "JSONata"}),
               optional(Output=EXPRESSIONS, Assign=EXPRESSIONS.map(lambda one: {"v": one}))),
        merged(st.just({"Type": "Task", "QueryLanguage": "JSONata", "Resource": "f"}),
               optional(Arguments=EXPRESSIONS, Output=EXPRESSIONS, TimeoutSeconds=EXPRESSIONS)),
        merged(st.just({"Type": "Fail"}),
               optional(ErrorPath=st.sampled_from(["$.a", "$v", "$$.State.Name"]))),
    ]  # fmt: skip
    if depth:
        inner = block(depth - 1)
        kinds += [
            merged(st.just({"Type": "Parallel"}), FLOW, RESULT, TROUBLE,
                   st.lists(inner, min_size=1, max_size=2).map(lambda one: {"Branches": one})),
            merged(st.just({"Type": "Map"}), FLOW, RESULT.map(_without_parameters), TROUBLE,
                   inner.map(lambda one: {"ItemProcessor": one}),
                   optional(ItemsPath=PATHS, ItemSelector=TEMPLATES,
                            MaxConcurrencyPath=st.just("$.n"))),
            merged(st.just({"Type": "Map", "QueryLanguage": "JSONata"}),
                   inner.map(lambda one: {"ItemProcessor": one}),
                   optional(Items=EXPRESSIONS, ItemSelector=EXPRESSIONS, Output=EXPRESSIONS)),
        ]  # fmt: skip
    return st.one_of(kinds)


def _without_selector(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in fields.items() if name != "ResultSelector"}


def _without_parameters(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in fields.items() if name != "Parameters"}


def block(depth: int) -> Any:
    return st.lists(state(depth), min_size=1, max_size=3).map(_linked)


def _linked(states: list[dict[str, Any]]) -> dict[str, Any]:
    names = [f"S{number}" for number in range(len(states))]
    found = {}
    for number, fields in enumerate(states):
        if fields["Type"] not in ("Choice", "Fail"):
            fields = {**fields, "Next": [*names, "Z"][number + 1]}
        found[names[number]] = fields
    return {"StartAt": "S0", "States": {**found, "Z": {"Type": "Succeed"}}}


def renamed(definition: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Make every state's name its own, as AWS demands."""
    states = {}
    for name, fields in definition["States"].items():
        fields = {**fields}
        for link in ("Next", "Default"):
            if link in fields:
                fields[link] = prefix + fields[link]
        for clauses in ("Catch", "Choices"):
            if clauses in fields:
                fields[clauses] = [{**one, "Next": prefix + one["Next"]} for one in fields[clauses]]
        if "Branches" in fields:
            fields["Branches"] = [
                renamed(one, f"{prefix}{name}{number}")
                for number, one in enumerate(fields["Branches"])
            ]
        if "ItemProcessor" in fields:
            fields["ItemProcessor"] = renamed(fields["ItemProcessor"], f"{prefix}{name}m")
        states[prefix + name] = fields
    return {**definition, "StartAt": prefix + definition["StartAt"], "States": states}


QUIET = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@QUIET
@given(block(2).map(renamed), DATA, st.lists(DATA | st.just(NEVER) | st.just("fail"), max_size=6))
def test_every_run_ends_with_a_status_and_a_sound_history(
    definition: dict[str, Any], data: Any, answers: list[Any]
) -> None:
    left = list(answers)

    def answer(call: TaskCall) -> Any:
        found = left.pop() if left else call.arguments
        if found == "fail":
            raise TaskFailed("E", "c")
        return found

    if validate(definition, functions=None):
        return
    result = run_workflow(definition, data, answer)
    assert [one["id"] for one in result.history] == list(range(1, len(result.history) + 1))
    assert all(one["previousEventId"] < one["id"] for one in result.history)
    if result.status == "FAILED":
        assert result.error is None or isinstance(result.error, str)


JUNK = DATA | PATHS | EXPRESSIONS | st.just({"$": 1}) | st.just("{% 1 + %}") | st.just("States.X(")


def spots(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the place of everything inside a value."""
    found = [path]
    if isinstance(value, dict):
        for name, one in value.items():
            found += spots(one, (*path, name))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            found += spots(one, (*path, number))
    return found


def replaced(value: Any, path: tuple[Any, ...], junk: Any) -> Any:
    """Return a value with something else at a place."""
    if not path:
        return junk
    first, *rest = path
    if isinstance(value, dict):
        return {k: replaced(v, tuple(rest), junk) if k == first else v for k, v in value.items()}
    return [replaced(v, tuple(rest), junk) if n == first else v for n, v in enumerate(value)]


@QUIET
@given(block(1).map(renamed), st.data())
def test_a_definition_with_junk_in_it_is_judged_and_what_is_taken_runs(
    definition: dict[str, Any], data: st.DataObject
) -> None:
    place = data.draw(st.sampled_from(spots(definition)))
    broken = replaced(definition, place, data.draw(JUNK))
    if not validate(broken, functions=None):
        run_workflow(broken, data.draw(DATA), lambda call: call.arguments)


PIECES = ["$", "$$", ".", "..", "[", "]", "(", ")", "'", '"', "*", "?", "@", "a", "0", "-1", ":",
          ",", "==", ">", "=~", "/x/", "&&", "||", "!", "length()", "States.Format", "States.Array",
          "{}", "\\", " ", "in", "true", "null", "1.5"]  # fmt: skip


@QUIET
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), DATA)
def test_text_is_a_path_or_a_call_or_refused(text: str, data: Any) -> None:
    machine = {
        "StartAt": "S",
        "States": {"S": {"Type": "Pass", "Parameters": {"v.$": "$" + text}, "End": True}},
    }
    called = {
        "StartAt": "S",
        "States": {"S": {"Type": "Pass", "Parameters": {"v.$": text}, "End": True}},
    }
    for definition in (machine, called):
        if not validate(definition):
            assert run_workflow(definition, data).status in ("SUCCEEDED", "FAILED")


JSONATA = ["$states", ".input", ".a", "[", "]", "(", ")", "{", "}", "'x'", "1", "+", "-", "/", "*",
           "%", "&", "$v", ":=", ";", ",", ":", "?", "~>", "|", "^", "<", ">", "=", "!=", "..",
           "function($x)", "$map", "$string", "$sum", "$split", "$reduce", "$replace", "$pad",
           "$match", "/a*/", "$now()", "null", "true", "@$i", "#$i", "**", "$sort", "$each",
           "$formatNumber", "$substring", "$number", " and ", " or ", "$range", "$zip"]  # fmt: skip


@QUIET
@given(st.lists(st.sampled_from(JSONATA), max_size=12).map("".join), DATA)
def test_text_is_an_expression_or_refused(text: str, data: Any) -> None:
    definition = {
        "QueryLanguage": "JSONata",
        "StartAt": "S",
        "States": {"S": {"Type": "Pass", "Output": "{% " + text + " %}", "End": True}},
    }
    if not validate(definition):
        assert run_workflow(definition, {"a": data}).status in ("SUCCEEDED", "FAILED")
