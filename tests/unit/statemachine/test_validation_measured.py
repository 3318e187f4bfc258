"""What ValidateStateMachineDefinition was measured to say of definitions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.statemachine.machines import only
from wherry.statemachine import validate

SCHEMA = "SCHEMA_VALIDATION_FAILED"
TASK: dict[str, Any] = {
    "Type": "Task",
    "Resource": "arn:aws:lambda:eu-central-1:123456789012:function:f",
}
PASS: dict[str, Any] = {"Type": "Pass"}
INNER = {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": True}}}
MAP: dict[str, Any] = {"Type": "Map", "ItemProcessor": INNER}


def said(definition: Any) -> list[str]:
    return [str(finding) for finding in validate(definition)]


def state(fields: dict[str, Any]) -> list[str]:
    """What is said of a machine with one state S."""
    return said(only(fields))


def choice(rule: dict[str, Any]) -> list[str]:
    machine = only({"Type": "Choice", "Choices": [rule]})
    machine["States"]["Z"] = {"Type": "Succeed"}
    return said(machine)


DISTRIBUTED: dict[str, Any] = {"Type": "Map", "ItemProcessor": {
    **INNER, "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}}  # fmt: skip
READER: dict[str, Any] = {"Resource": "arn:aws:states:::s3:getObject", "Parameters": {}}


def reader(**config: Any) -> dict[str, Any]:
    """A distributed Map that reads its items."""
    return {**DISTRIBUTED, "ItemReader": {**READER, "ReaderConfig": config}}


def task(resource: str, **more: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", **more}


MEASURED: list[tuple[dict[str, Any], str]] = [
    ({**TASK, "Retry": [{"ErrorEquals": ["E"], "IntervalSeconds": 0}]}, ""),
    ({**TASK, "Retry": [], "Catch": []}, ""),
    (task("sqs:sendMessage"), "Parameters field is required for resource ARN: arn:aws:states:::sqs"
     ":sendMessage at /States/S"),
    (task("aws-sdk:s3:listBuckets"), "Parameters field is required for resource ARN: arn:aws:states"
     ":::aws-sdk:s3:listBuckets at /States/S"),
    (task("lambda:invoke", Parameters={"Payload.$": "$"}),
     "The field 'FunctionName' is required but was missing at /States/S/Parameters"),
    (task("lambda:invoke", Parameters={"FunctionName.$": "$.f", "TaskToken": 1}), ""),
    (task("dynamodb:query", Parameters={}), "is not recognized."),
    (task("nothing:doIt", Parameters={}), "is not recognized."),
    (task("bedrockagentcore:invokeHarness", Parameters={}), ""),
    (task("lambda:invoke.sync", Parameters={"FunctionName": "f"}), "is not recognized."),
    (task("batch:submitJob.waitForTaskToken", Parameters={}), "is not recognized."),
    (task("batch:submitJob.sync:2", Parameters={}), "is not recognized."),
    (task("aws-sdk:sqs:sendMessage.sync", Parameters={}), "is not recognized."),
    (task("aws-sdk:sqs:sendMessage.waitForTaskToken", Parameters={}), ""),
    (task("states:startExecution.sync:2", Parameters={"StateMachineArn.$": "$.a"}), ""),
    ({**TASK, "Credentials": {"Role": "r"}},
     "The field 'RoleArn' is required but was missing at /States/S/Credentials"),
    ({"Type": "Task", "Resource": "arn:aws:states:eu-central-1:123456789012:activity:a",
      "Credentials": {"RoleArn": "r"}},
     "The field 'Credentials' is not supported for activities at /States/S"),
    ({**MAP, "ItemsPath": "$$.Execution.Input.l", "MaxConcurrencyPath": "$v.n"}, ""),
    ({**MAP, "ItemsPath": "$.l[*]"}, "Value is not a Reference Path: "),
    ({**MAP, "MaxConcurrencyPath": "$$.Execution.Input.n"}, "Value is not a Reference Path: "),
    ({"Type": "Fail", "ErrorPath": "$$.Execution.Name"}, ""),
    ({"Type": "Fail", "CausePath": "States.UUID()"}, ""),
    ({"Type": "Fail", "CausePath": "States.Array($.a)"}, "Value should be a call of one of: ["),
    ({**DISTRIBUTED, "ItemBatcher": {"MaxItemsPerBatch": 1, "BatchInput": "b"}}, ""),
    (reader(InputType="CSV", CSVHeaderLocation="LAST_ROW"), "following: [FIRST_ROW, GIVEN]"),
    (reader(InputType="CSV", CSVHeaderLocation="FIRST_ROW", CSVDelimiter=","), ": [COMMA, "),
    ({**DISTRIBUTED, "ResultWriter": {"WriterConfig": {"OutputType": "CSV"}}}, ": [JSON, JSONL]"),
    ({**PASS, "ResultPath": "$v"}, "Value is not a Reference Path: "),
    ({**PASS, "InputPath": "a"}, "Value must be a valid JSONPath. at /States/S/InputPath"),
    ({"Type": "Map"}, "This object should have only one of the following fields: [ItemProcessor,"
     " Iterator] at /States/S"),
    ({**DISTRIBUTED, "ItemBatcher": {"MaxItemsPerBatch": 0, "MaxInputBytesPerBatch": 0}}, ""),
    ({**DISTRIBUTED, "ItemBatcher": {"MaxItemsPerBatch": 1, "MaxItemsPerBatchPath": "$.n"}},
     "only be one of the following fields: [MaxItemsPerBatch, MaxItemsPerBatchPath]"),
    (reader(InputType="JSON", MaxItems=1, MaxItemsPath="$.n"),
     "There should only be one of the following fields: [MaxItems, MaxItemsPath]"),
    (reader(InputType="JSONL"), ""),
    (reader(InputType="XML"), "Value should be one of the following: [CSV, "),
    (reader(InputType="CSV", CSVHeaderLocation="FIRST_ROW"), ""),
    (reader(InputType="CSV"), "The field 'CSVHeaderLocation' is required"),
    (reader(InputType="CSV", CSVHeaderLocation="GIVEN"), "are required: [CSVHeaders]"),
    (reader(InputType="JSON", CSVHeaderLocation="GIVEN", CSVHeaders=[]),
     "Field 'CSVHeaderLocation' is not supported at /States/S/ItemReader/ReaderConfig"),
    ({**DISTRIBUTED, "ItemReader": {**READER, "Resource": "arn:aws:states:::s3:putObject"}},
     "The field 'Resource' does not match any of the allowed values"),
    ({**DISTRIBUTED, "Label": "l" * 41}, "INVALID_LABEL_NAME: "),
    ({**PASS, "Assign": {"états": 1, "a_1": 2}}, ""),
    ({**PASS, "Assign": {"states": 1}},
     "RESERVED_VARIABLE_NAME: Cannot assign to reserved variable '$states'."),
    ({**PASS, "Assign": {"a-b": 1}}, "INVALID_VARIABLE_NAME: Invalid variable name 'a-b': "),
    ({**PASS, "Assign": {"_a": 1}}, "INVALID_VARIABLE_NAME: Invalid variable name '_a': "),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "message"), MEASURED)
def test_a_state_is_judged_as_it_was_measured(fields: dict[str, Any], message: str) -> None:
    findings = state(fields)
    if message:
        assert len(findings) == 1
        assert message in findings[0]
    else:
        assert findings == []


VARIABLES = [
    *(("$.a[0].b", True), ("$$.State.Name", True), ("$v.a", True), ("$", True)),
    *(("a", False), ("$.a[*]", False), ("$..a", False), ("$.a[?(@.b == 1)]", False)),
]


@pytest.mark.parametrize(("path", "is_taken"), VARIABLES)
def test_a_rule_compares_what_a_reference_path_names(path: str, is_taken: bool) -> None:
    findings = choice({"Variable": path, "StringEqualsPath": path, "Next": "Z"})
    assert (findings == []) is is_taken
    assert is_taken or all("Value is not a Reference Path" in one for one in findings)


HEADS: list[tuple[dict[str, Any], str]] = [
    ({"Version": "1.0", "TimeoutSeconds": 0}, ""),
    ({"Version": "2.0"}, "Value should be one of the following: [1.0] at /Version"),
    ({"Comments": "c"}, "Field 'Comments' is not supported at /"),
    ({"QueryLanguage": "jsonata"}, "be one of the following: [JSONPath, JSONata] at /QueryLang"),
]


@pytest.mark.parametrize(("head", "message"), HEADS)
def test_the_head_of_a_machine_is_judged_as_it_was_measured(head: Any, message: str) -> None:
    findings = said({**only({"Type": "Succeed"}), **head})
    assert findings == [] if not message else message in findings[0]


def test_the_name_of_a_state_has_eighty_characters() -> None:
    for length, count in ((80, 0), (81, 1)):
        name = "n" * length
        findings = said({"StartAt": name, "States": {name: {"Type": "Succeed"}}})
        assert len(findings) == count
        assert all("exceeds the 80-character limit allowed" in one for one in findings)


def test_what_iterates_says_no_language() -> None:
    findings = state({"Type": "Map", "ItemProcessor": {**INNER, "QueryLanguage": "JSONata"}})
    assert findings == [
        f"{SCHEMA}: Field 'QueryLanguage' is not supported at /States/S/ItemProcessor"
    ]


@pytest.mark.parametrize(
    ("given", "is_taken"), [({}, True), ("{% $v %}", True), ([1], False), ("a", False), (1, False)]
)
def test_arguments_are_an_object_or_an_expression(given: Any, is_taken: bool) -> None:
    assert (said(only({**TASK, "Arguments": given}, jsonata=True)) == []) is is_taken


QUERIES = [
    *(("$states.input.a[$ > 1]", True), ("$states.input.a.($ * 2)", True), ("$undefined", True)),
    *(("$", False), ("$.a", False), ("function($v) { $ }", False), ("{a: 1}", False)),
]


@pytest.mark.parametrize(("query", "is_taken"), QUERIES)
def test_no_expression_reads_what_is_around_it(query: str, is_taken: bool) -> None:
    fields = {**PASS, "Output": "{% " + query + " %}"}
    findings = said(only(fields, jsonata=True))
    assert (findings == []) is is_taken
    assert is_taken or "at the top level is not supported." in findings[0]


def test_states_that_only_lead_to_each_other_are_taken() -> None:
    circle = {"B": {**PASS, "Next": "C"}, "C": {**PASS, "Next": "B"}}
    assert said({"StartAt": "A", "States": {"A": {**PASS, "End": True}, **circle}}) == []
