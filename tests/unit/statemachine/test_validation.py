"""What CreateStateMachine says of a definition, with its codes, messages and places."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.statemachine.machines import only
from wherry.statemachine import validate

SCHEMA = "SCHEMA_VALIDATION_FAILED"
TARGET = "MISSING_TRANSITION_TARGET"
UNSUPPORTED = "UNSUPPORTED_JSONATA_EXPRESSION"
LAMBDA = "arn:aws:lambda:eu-central-1:123456789012:function:f"
TASK: dict[str, Any] = {"Type": "Task", "Resource": LAMBDA}
SEND: dict[str, Any] = {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage",
                        "Parameters": {"QueueUrl": "q", "MessageBody.$": "$"}}  # fmt: skip
PASS: dict[str, Any] = {"Type": "Pass"}
INNER = {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": True}}}
MAP: dict[str, Any] = {"Type": "Map", "ItemProcessor": INNER}
RULE: dict[str, Any] = {"Variable": "$.a", "IsPresent": True, "Next": "Z"}


def said(definition: Any, **more: Any) -> list[str]:
    return [str(finding) for finding in validate(definition, **more)]


def state(fields: dict[str, Any], *, jsonata: bool = False, **more: Any) -> list[str]:
    """What is said of a machine with one state S."""
    return said(only(fields, jsonata=jsonata), **more)


def choice(rule: dict[str, Any]) -> list[str]:
    machine = only({"Type": "Choice", "Choices": [rule]})
    machine["States"]["Z"] = {"Type": "Succeed"}
    return said(machine)


TAKEN: list[dict[str, Any]] = [
    PASS,
    {**PASS, "Comment": "c", "Result": [1], "ResultPath": "$.a.b[0]"},
    {**PASS, "InputPath": None, "OutputPath": "$.a[*]", "Parameters": {"a.$": "$$.Execution.Id"}},
    {**PASS, "Parameters": {"a.$": "States.Format('{}', $.b)", "b.$": "$v.c"}},
    {**PASS, "Assign": {"v.$": "$.a", "w": 1}},
    TASK,
    {**TASK, "TimeoutSeconds": 60, "HeartbeatSeconds": 10, "ResultSelector": {"a.$": "$.b"}},
    {**TASK, "TimeoutSecondsPath": "$.t", "HeartbeatSecondsPath": "$.h"},
    {**TASK, "Retry": [{"ErrorEquals": ["A"], "IntervalSeconds": 1, "BackoffRate": 1.0,
                        "MaxAttempts": 0, "MaxDelaySeconds": 5, "JitterStrategy": "FULL"},
                       {"ErrorEquals": ["States.ALL"]}]},
    {**SEND, "Resource": f"{SEND['Resource']}.waitForTaskToken"},
    {**TASK, "Resource": "arn:aws:states:::aws-sdk:s3:listBuckets", "Parameters": {}},
    {**TASK, "Resource": "arn:aws:states:eu-central-1:123456789012:activity:a b"},
    {**TASK, "Credentials": {"RoleArn.$": "$.r"}},
    {"Type": "Wait", "Seconds": 0},
    {"Type": "Wait", "TimestampPath": "$.t"},
    {"Type": "Wait", "Timestamp": "2024-03-14T01:59:00Z"},
    {"Type": "Succeed", "InputPath": "$.a"},
    {"Type": "Fail"},
    {"Type": "Fail", "ErrorPath": "$.e", "CausePath": "States.Format('{}', $.c)"},
    {"Type": "Parallel", "Branches": [INNER]},
    MAP,
    {"Type": "Map", "Iterator": INNER, "Parameters": {"v.$": "$$.Map.Item.Value"}},
    {**MAP, "MaxConcurrency": 0, "ItemSelector": {"v": 1}, "ItemsPath": "$.l"},
    {"Type": "Map", "ItemProcessor": {
        **INNER, "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}},
     "ItemBatcher": {"MaxItemsPerBatch": 5, "BatchInput": {"a.$": "$.a"}},
     "ToleratedFailurePercentage": 5, "Label": "L",
     "ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "Parameters": {"Bucket": "b"}}},
]  # fmt: skip


@pytest.mark.parametrize("fields", TAKEN, ids=lambda one: json.dumps(one)[:60])
def test_a_good_state_is_taken(fields: dict[str, Any]) -> None:
    assert state(fields) == []


TAKEN_JSONATA: list[dict[str, Any]] = [
    {**PASS, "Output": "{% $states.input.a %}", "Assign": {"v": "{% $states.context.State %}"}},
    {**TASK, "Arguments": {"a": "{% $v %}"}, "Output": "{% $states.result.a[b > 1] %}"},
    {**TASK, "TimeoutSeconds": "{% $states.input.t %}", "Assign": {"r": "{% $states.result %}"}},
    {**MAP, "Items": "{% $states.input %}", "MaxConcurrency": "{% 1 %}"},
    {**MAP, "Items": [1, "{% 2 %}"], "ItemSelector": {"v": "{% $states.context.Map.Item %}"}},
    {"Type": "Wait", "Seconds": "{% 1 %}"},
    {"Type": "Fail", "Error": "{% 'E' %}"},
    {**PASS, "Output": "{% $map([1], function($v) { $v.name }) %}"},
    {**PASS, "Output": "{% $states.input.a.{'b': c}.(d & e) %}"},
]


@pytest.mark.parametrize("fields", TAKEN_JSONATA, ids=lambda one: json.dumps(one)[:60])
def test_a_good_state_in_jsonata_is_taken(fields: dict[str, Any]) -> None:
    assert state(fields, jsonata=True) == []


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({}, "The field 'Type' is required", "/States/S"),
    ({"Type": "Nap"}, "The field 'Type' should have one of these values: [Task, Wait, Pass,"
     " Succeed, Fail, Choice, Parallel, Map]", "/States/S/Type"),
    ({**PASS, "Nope": 1}, "Field 'Nope' is not supported", "/States/S"),
    ({**PASS, "TimeoutSeconds": 1}, "Field 'TimeoutSeconds' is not supported", "/States/S"),
    ({**PASS, "Retry": []}, "Field 'Retry' is not supported", "/States/S"),
    ({**PASS, "ResultPath": "a"},
     "Value is not a Reference Path: Reference path didn't start with '$'", "/States/S/ResultPath"),
    ({**PASS, "Comment": 1}, "Expected value of type [STRING]", "/States/S/Comment"),
    ({**PASS, "Parameters": {"a.$": "b"}},
     "The value for the field 'a.$' must be a valid JSONPath or a valid intrinsic function call",
     "/States/S/Parameters"),
    ({**PASS, "Parameters": {"a.$": "States.Nope()"}},
     "The value for the field 'a.$' must be a valid JSONPath or a valid intrinsic function call",
     "/States/S/Parameters"),
    ({**PASS, "Output": 1}, "The QueryLanguage is set to 'JSONPath', but field 'Output' is only"
     " supported for the 'JSONata' QueryLanguage", "/States/S"),
    ({"Type": "Task"}, "These fields are required: [Resource]", "/States/S"),
    ({"Type": "Task", "Resource": "nonsense"}, "Value is not a valid resource ARN",
     "/States/S/Resource"),
    ({**TASK, "TimeoutSeconds": "1"}, "Expected value of type Integer",
     "/States/S/TimeoutSeconds"),
    ({**TASK, "Retry": [{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["E"]}]},
     "States.ALL must appear alone and at end of list", "/States/S/Retry[0]/ErrorEquals[0]"),
    ({**TASK, "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": -1}]}, "Minimum value is 0",
     "/States/S/Retry[0]/MaxAttempts"),
    ({"Type": "Wait"}, "This object should have only one of the following fields: [SecondsPath,"
     " Seconds, TimestampPath, Timestamp]", "/States/S"),
    ({"Type": "Wait", "Seconds": 1, "SecondsPath": "$.a"}, "There should only be one of the"
     " following fields: [SecondsPath, Seconds, TimestampPath, Timestamp]", "/States/S"),
    ({"Type": "Wait", "Seconds": -1}, "Minimum value is 0", "/States/S/Seconds"),
    ({"Type": "Wait", "Timestamp": "soon"}, "String does not match RFC3339 timestamp",
     "/States/S/Timestamp"),
    ({"Type": "Fail", "Error": "E", "ErrorPath": "$.e"},
     "A Fail state cannot include both field 'Error' and 'ErrorPath'", "/States/S"),
    ({**MAP, "ItemSelector": {}, "Parameters": {}},
     "A Map state cannot include both field 'Parameters' and 'ItemSelector'", "/States/S"),
    ({**MAP, "MaxConcurrency": 1, "MaxConcurrencyPath": "$.a"}, "There should only be one of the"
     " following fields: [MaxConcurrency, MaxConcurrencyPath]", "/States/S"),
    ({**MAP, "ItemBatcher": {"MaxItemsPerBatch": 0, "MaxItemsPerBatchPath": "$.a"}}, "There should"
     " only be one of the following fields: [MaxItemsPerBatch, MaxItemsPerBatchPath]",
     "/States/S/ItemBatcher"),
    ({**MAP, "ToleratedFailureCountPath": "$$.Execution.Input.n"},
     "Value is not a Reference Path: It cannot begin with '$$'",
     "/States/S/ToleratedFailureCountPath"),
    ({**MAP, "ItemBatcher": {"MaxInputBytesPerBatch": -1}}, "Minimum value is 0",
     "/States/S/ItemBatcher/MaxInputBytesPerBatch"),
    ({**MAP, "ToleratedFailurePercentage": 101}, "Maximum value is 100.0",
     "/States/S/ToleratedFailurePercentage"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "message", "location"), REFUSED)
def test_a_bad_state_is_refused(fields: dict[str, Any], message: str, location: str) -> None:
    machine = {"StartAt": "S", "States": {"S": {**fields}, "Z": {"Type": "Succeed"}}}
    if fields.get("Type") not in (None, "Nap", "Fail"):
        machine["States"]["S"]["Next"] = "Z"  # type: ignore[index]
    else:
        del machine["States"]["Z"]  # type: ignore[attr-defined]
    if fields.get("Type") in (None, "Nap"):
        assert f"{SCHEMA}: {message} at {location}" in said(machine)
    else:
        assert said(machine) == [f"{SCHEMA}: {message} at {location}"]


RULES: list[tuple[dict[str, Any], str, str]] = [
    (
        {"Variable": "States.ArrayLength($.l)", "NumericEquals": 0, "Next": "S"},
        "Value is not a Reference Path: Reference path didn't start with '$'",
        "/Variable",
    ),
    (
        {"Variable": "$.l[$$.Execution.Id]S", "IsNull": True, "Next": "S"},
        "Value is not a Reference Path: '[' must be followed by ' or '['",
        "/Variable",
    ),
    (
        {"Variable": "$.a", "StringEqualsPath": "$..b", "Next": "S"},
        "Value is not a Reference Path: The path can refer to more than one value",
        "/StringEqualsPath",
    ),
    ({"Variable": "$.a", "IsPresent": True}, "These fields are required: [Next]", ""),
    ({"IsPresent": True, "Next": "Z"}, "These fields are required: [Variable]", ""),
    ({**RULE, "IsPresent": 1}, "Expected value of type Boolean", "/IsPresent"),
    ({"And": [], "Next": "Z"}, "Value cannot be empty", "/And"),
    ({"Not": RULE, "Next": "Z"}, "Field 'Next' is not supported", "/Not"),
    ({"Variable": "$.a", "TimestampEquals": "x", "Next": "Z"},
     "String does not match RFC3339 timestamp", "/TimestampEquals"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "message", "location"), RULES)
def test_a_bad_rule_is_refused(rule: dict[str, Any], message: str, location: str) -> None:
    assert f"{SCHEMA}: {message} at /States/S/Choices[0]{location}" in choice(rule)


def test_a_rule_needs_exactly_one_operator() -> None:
    (none,) = choice({"Variable": "$.a", "Next": "Z"})
    assert none.startswith(
        f"{SCHEMA}: This object should have only one of the following fields: [StringEquals,"
        " IsBoolean, StringLessThan, IsNumeric,"
    )
    (two,) = choice({**RULE, "IsNull": True})
    assert two.startswith(f"{SCHEMA}: There should only be one of the following fields: [String")


QUERIES: list[tuple[dict[str, Any], str, str]] = [
    ({"Type": "Pass", "InputPath": "$.a"}, "The QueryLanguage is set to 'JSONata', but field"
     " 'InputPath' is only supported for the 'JSONPath' QueryLanguage", "/States/S"),
    ({"Type": "Pass", "QueryLanguage": "JSONPath"},
     "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine",
     "/States/S"),
    ({"Type": "Pass", "QueryLanguage": "SQL"},
     "Value should be one of the following: [JSONPath, JSONata]", "/States/S/QueryLanguage"),
]  # fmt: skip


EXPRESSIONS: list[tuple[dict[str, Any], str]] = [
    ({"Type": "Pass", "Output": "{% $states.result %}"},
     "UNSUPPORTED_JSONATA_EXPRESSION: Field '$states.result' does not exist. at /States/S/Output"),
    ({"Type": "Pass", "Output": "{% $states.errorOutput %}"},
     "UNSUPPORTED_JSONATA_EXPRESSION: Field '$states.errorOutput' does not exist. at"
     " /States/S/Output"),
    ({"Type": "Pass", "Output": {"a": "{% $$.b %}"}},
     "UNSUPPORTED_JSONATA_EXPRESSION: Reference to '$$' is not supported. at /States/S/Output/a"),
    ({"Type": "Pass", "Output": "{% phone %}"},
     "UNSUPPORTED_JSONATA_EXPRESSION: Reference to 'phone' at the top level is not supported. at"
     " /States/S/Output"),
    ({**TASK, "Arguments": "{% $states.result %}"},
     "UNSUPPORTED_JSONATA_EXPRESSION: Field '$states.result' does not exist. at"
     " /States/S/Arguments"),
    ({"Type": "Pass", "Output": "{% 1 + %}"},
     "INVALID_JSONATA_EXPRESSION: Unexpected end of expression at /States/S/Output"),
    ({"Type": "Pass", "Output": {"a": ['{% {"a":} %}']}},
     'INVALID_JSONATA_EXPRESSION: The symbol "}" cannot be used as a unary operator at'
     " /States/S/Output/a[0]"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "finding"), EXPRESSIONS)
def test_an_expression_is_refused_with_a_code_of_its_own(fields: Any, finding: str) -> None:
    assert state(fields, jsonata=True) == [finding]


@pytest.mark.parametrize(("fields", "message", "location"), QUERIES)
def test_a_bad_expression_is_refused(fields: Any, message: str, location: str) -> None:
    code = SCHEMA if "QueryLanguage" in message or "should be" in message else UNSUPPORTED
    assert state(fields, jsonata=True) == [f"{code}: {message} at {location}"]


END = {"Type": "Pass", "End": True}
MACHINES: list[tuple[Any, list[str]]] = [
    ("", ["INVALID_JSON_DESCRIPTION: Definition must be a valid JSON object at /"]),
    ("[]", ["INVALID_JSON_DESCRIPTION: Definition must be a valid JSON object at /"]),
    ({}, [f"{SCHEMA}: These fields are required: [States, StartAt] at /"]),
    ({"StartAt": "A", "States": {}}, [f"{SCHEMA}: Value cannot be empty at /States"]),
    (
        {"StartAt": "X", "States": {"A": {**PASS, "Next": "B"}, "B": END}},
        [
            f"{TARGET}: Missing 'Next' target: X at /StartAt",
            f'{TARGET}: State "A" is not reachable. at /States/A',
        ],
    ),
    (
        {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "A"}}},
        ["MISSING_END_STATE: Workflow has no terminal state at /"],
    ),
    (
        {"StartAt": "A", "States": {"A": END, "B": END}},
        [f'{TARGET}: State "B" is not reachable. at /States/B'],
    ),
    (
        {"StartAt": "A", "States": {"A": {**PASS, "Next": "X"}, "B": END}},
        [
            f"{TARGET}: Missing 'Next' target: X at /States/A/Next",
            f'{TARGET}: State "B" is not reachable. at /States/B',
        ],
    ),
    (
        {"StartAt": "A", "States": {"A": PASS, "B": END}},
        [
            f"{SCHEMA}: This object should have only one of the following fields: [Next, End] at"
            " /States/A",
            f'{TARGET}: State "B" is not reachable. at /States/B',
        ],
    ),
    (
        {"StartAt": "I", "States": {"I": {**MAP, "End": True}}},
        ["DUPLICATE_STATE_NAME: Duplicate State name: I at /States/I/ItemProcessor/States/I"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("definition", "findings"), MACHINES)
def test_a_bad_machine_is_refused(definition: Any, findings: list[str]) -> None:
    assert said(definition) == findings
    if not isinstance(definition, str):
        assert said(json.dumps(definition)) == findings


EXPRESS = [
    ("arn:aws:states:::sqs:sendMessage.waitForTaskToken", ".waitForTaskToken"),
    ("arn:aws:states:::states:startExecution.sync", ".sync"),
]


@pytest.mark.parametrize(("resource", "pattern"), EXPRESS)
def test_an_express_workflow_cannot_wait_for_others(resource: str, pattern: str) -> None:
    task = {
        "Type": "Task",
        "Resource": resource,
        "Parameters": {"QueueUrl": "q", "MessageBody": "b", "StateMachineArn": "a"},
    }
    assert state(task) == []
    assert state(task, type="EXPRESS") == [
        f"{SCHEMA}: Express state machine does not support '{pattern}' service integration  at"
        " /States/S/Resource"
    ]


def test_express_children_of_a_map_cannot_wait_for_others() -> None:
    """Nor can a distributed Map be among them."""
    waiting = {**SEND, "Resource": f"{SEND['Resource']}.waitForTaskToken", "End": True}

    def children(kind: str, inner: dict[str, Any]) -> list[str]:
        processor = {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": kind},
            "StartAt": "I",
            "States": {"I": inner},
        }
        return state({"Type": "Map", "ItemProcessor": processor})

    assert children("STANDARD", waiting) == []
    assert children("EXPRESS", waiting) == [
        f"{SCHEMA}: Express state machine does not support '.waitForTaskToken' service"
        " integration  at /States/S/ItemProcessor/States/I/Resource"
    ]
    inner = {"StartAt": "J", "States": {"J": {"Type": "Pass", "End": True}}}
    config = {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}
    distributed = {**MAP, "ItemProcessor": {**inner, "ProcessorConfig": config}, "End": True}
    assert children("STANDARD", distributed) == []
    assert len(children("EXPRESS", distributed)) == 1


def test_a_definition_is_no_larger_than_aws_takes_it_and_names_nothing_twice() -> None:
    """However it is given."""
    large = only({**PASS, "Comment": "c" * 1_048_576})
    for one in (large, json.dumps(large)):
        assert said(one) == ["INVALID_JSON_DESCRIPTION: Maximum length is 1048576 at /"]
    (twice,) = said('{"StartAt": "A", "States": {"A": {"Type": "Fail"}, "A": {"Type": "Fail"}}}')
    assert "the key 'A' is there twice" in twice
    for broken in ({"StartAt": "A", "States": {True: END}}, {"States": {("A",): END}}):
        assert "must be a valid JSON object" in said(broken)[0]
    assert "nan, which JSON cannot say" in str(said(only({**PASS, "Result": float("nan")})))


def test_functions_may_be_named_where_they_are_known() -> None:
    task = {"Type": "Task", "Resource": "charge"}
    assert state(task) != []
    assert state(task, functions=["charge"]) == []
    assert state(task, functions=None) == []


@pytest.mark.parametrize(
    "text", ["{", "nul", "[" * 5_000, '{"StartAt": 1}', "\x00", '{"a":"\ud800"}']
)
def test_no_text_is_too_broken_to_be_judged(text: str) -> None:
    assert validate(text) != []


def fan(**more: Any) -> dict[str, Any]:
    """A Parallel whose branch assigns v."""
    branch = {"StartAt": "B", "States": {"B": {"Type": "Pass", "Assign": {"v": 2}, "End": True}}}
    return {"Type": "Parallel", "Branches": [branch], **more}


DONE = {"Type": "Succeed"}
SETS: dict[str, Any] = {"Type": "Pass", "Assign": {"v": 1}}
CATCH: dict[str, Any] = {"ErrorEquals": ["States.ALL"]}
SCOPES: list[tuple[dict[str, Any], bool]] = [
    ({"A": {**SETS, "Next": "P"}, "P": fan(End=True)}, False),
    ({"A": fan(Next="S"), "S": {**SETS, "End": True}}, True),
    ({"A": fan(Assign={"v": 1}, End=True)}, True),
    ({"A": {**TASK, "Assign": {"v": 1}, "Next": "Z", "Catch": [{**CATCH, "Next": "P"}]},
      "P": fan(End=True), "Z": DONE}, True),
    ({"A": {**TASK, "Next": "P", "Catch": [{**CATCH, "Assign": {"v": 1}, "Next": "Z"}]},
      "P": fan(End=True), "Z": DONE}, True),
    ({"A": {**TASK, "Next": "P", "Catch": [{**CATCH, "Assign": {"v": 1}, "Next": "P"}]},
      "P": fan(End=True)}, False),
    ({"A": {"Type": "Choice", "Choices": [{**RULE, "Assign": {"v": 1}, "Next": "Z"}],
            "Default": "P"}, "P": fan(End=True), "Z": DONE}, True),
    ({"A": {"Type": "Choice", "Choices": [{**RULE, "Next": "P"}], "Default": "Z",
            "Assign": {"v": 1}}, "P": fan(End=True), "Z": DONE}, True),
    ({"A": fan(Assign={"v": 1}, Next="C"),
      "C": {"Type": "Choice", "Choices": [{**RULE, "Next": "A"}], "Default": "Z"}, "Z": DONE},
     False),
]  # fmt: skip


@pytest.mark.parametrize(("states", "is_taken"), SCOPES)
def test_a_branch_may_not_assign_what_was_assigned_on_the_way(states: Any, is_taken: bool) -> None:
    findings = said({"StartAt": "A", "States": states})
    where = next(name for name, one in states.items() if one["Type"] == "Parallel")
    duplicate = (
        "DUPLICATE_VARIABLE_NAME: The variable name 'v' was already defined in a parent scope. at"
        f" /States/{where}/Branches[0]/States/B/Assign"
    )
    assert findings == ([] if is_taken else [duplicate])


@pytest.mark.parametrize("text", ["{% 1", "1 %}", "{% $a ?? 1 %}", "{% $a ?: 1 %}"])
def test_half_an_expression_or_a_newer_operator_is_refused(text: str) -> None:
    (finding,) = state({"Type": "Pass", "Output": text}, jsonata=True)
    half = "JSONata string must start with {% and end with %}"
    assert half in finding or finding.startswith("INVALID_JSONATA_EXPRESSION: ")


def test_labels_are_unique() -> None:
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    first = {"Type": "Map", "ItemProcessor": {**INNER, **processor}, "Label": "L", "Next": "B"}
    inner = {"StartAt": "J", "States": {"J": {"Type": "Pass", "End": True}}}
    second = {"Type": "Map", "ItemProcessor": {**inner, **processor}, "Label": "L", "End": True}
    findings = said({"StartAt": "A", "States": {"A": first, "B": second}})
    assert findings == ["DUPLICATE_LABEL_NAME: Duplicate Label name: L at /States/B/Label"]
