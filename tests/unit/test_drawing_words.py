"""Conditions and states in words."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.drawing.graph import Link, read
from wherry.drawing.words import condition, details, span

CONDITIONS: list[tuple[dict[str, Any], str]] = [
    ({"Variable": "$.amount", "NumericGreaterThan": 100}, "amount > 100"),
    ({"Variable": "$.amount", "NumericLessThanEquals": 1.5}, "amount ≤ 1.5"),
    ({"Variable": "$.a.b", "NumericEquals": 3}, "a.b = 3"),
    ({"Variable": "$.a", "NumericGreaterThanEqualsPath": "$.b"}, "a ≥ b"),
    ({"Variable": "$.kind", "StringEquals": "new"}, 'kind is "new"'),
    ({"Variable": "$.kind", "StringEqualsPath": "$.other"}, "kind is other"),
    ({"Variable": "$.kind", "StringLessThan": "m"}, 'kind < "m"'),
    ({"Variable": "$.kind", "StringMatches": "sub-*"}, 'kind matches "sub-*"'),
    ({"Variable": "$.ok", "BooleanEquals": True}, "ok is true"),
    ({"Variable": "$.at", "TimestampLessThan": "2026-01-01T00:00:00Z"},
     "at is before 2026-01-01T00:00:00Z"),
    ({"Variable": "$.at", "TimestampGreaterThanEqualsPath": "$.due"}, "at is not before due"),
    ({"Variable": "$.x", "IsPresent": True}, "x is there"),
    ({"Variable": "$.x", "IsPresent": False}, "x is not there"),
    ({"Variable": "$.x", "IsNull": False}, "x is not null"),
    ({"Variable": "$.x", "IsTimestamp": True}, "x is a moment"),
    ({"Variable": "$", "IsString": True}, "the input is text"),
    ({"Variable": "$limit", "NumericEquals": 1}, "$limit = 1"),
    ({"Variable": "$$.Execution.Name", "StringEquals": "n"}, '$$.Execution.Name is "n"'),
    ({"Not": {"Variable": "$.x", "IsNull": True}}, "not (x is null)"),
    ({"And": [{"Variable": "$.a", "NumericEquals": 1},
              {"Or": [{"Variable": "$.b", "NumericEquals": 2},
                      {"Variable": "$.c", "NumericEquals": 3}]}]}, "a = 1 and (b = 2 or c = 3)"),
    ({"Not": {"Or": [{"Variable": "$.b", "IsNull": True}, {"Variable": "$.c", "IsNull": True}]}},
     "not (b is null or c is null)"),
    ({"Condition": "{% $states.input.amount > 100  and\n $x %}"}, "amount > 100 and $x"),
    ({"Condition": True}, "true"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "words"), CONDITIONS, ids=[words for _, words in CONDITIONS])
def test_a_condition_in_words_is_short_and_clear(rule: dict[str, Any], words: str) -> None:
    """Every operator of Choice has its words, in either query language."""
    assert condition({**rule, "Next": "There"}) == words


TASK = "arn:aws:states:::"
STATES: list[tuple[dict[str, Any], list[str]]] = [
    ({"Type": "Task", "Resource": "charge"}, ["charge"]),
    ({"Type": "Task", "Resource": "arn:aws:lambda:eu-central-1:123456789012:function:charge:7"},
     ["charge"]),
    ({"Type": "Task", "Resource": f"{TASK}lambda:invoke", "Parameters": {"FunctionName": "charge"}},
     ["charge"]),
    ({"Type": "Task", "Resource": f"{TASK}lambda:invoke",
      "Arguments": {"FunctionName": "arn:aws:lambda:eu-central-1:123456789012:function:charge"}},
     ["charge"]),
    ({"Type": "Task", "Resource": f"{TASK}lambda:invoke",
      "Arguments": {"FunctionName": "{% $f %}"}}, ["lambda invoke"]),
    ({"Type": "Task", "Resource": f"{TASK}sqs:sendMessage.waitForTaskToken"},
     ["sqs sendMessage, then waits for its token"]),
    ({"Type": "Task", "Resource": f"{TASK}states:startExecution.sync:2"},
     ["states startExecution, and waits for its end"]),
    ({"Type": "Task", "Resource": f"{TASK}aws-sdk:s3:getObject"}, ["aws-sdk s3 getObject"]),
    ({"Type": "Task", "Resource": "arn:aws:states:eu-central-1:123456789012:activity:look"},
     ["activity look"]),
    ({"Type": "Task", "Resource": "charge", "TimeoutSeconds": 90,
      "Retry": [{"ErrorEquals": ["A"]}, {"ErrorEquals": ["B"], "MaxAttempts": 1}]},
     ["charge", "up to 3 retries, at most 1 min 30 s"]),
    ({"Type": "Wait", "Seconds": 2_592_000}, ["for 30 days"]),
    ({"Type": "Wait", "SecondsPath": "$.pause"}, ["for pause"]),
    ({"Type": "Wait", "Seconds": "{% $pause %}"}, ["for $pause"]),
    ({"Type": "Wait", "Timestamp": "2026-01-01T00:00:00Z"}, ["until 2026-01-01T00:00:00Z"]),
    ({"Type": "Wait", "TimestampPath": "$.due"}, ["until due"]),
    ({"Type": "Fail", "Error": "Refused"}, ["Refused"]),
    ({"Type": "Fail"}, []),
    ({"Type": "Pass"}, []),
    ({"Type": "Map", "ItemsPath": "$.lines", "MaxConcurrency": 4}, ["of lines, 4 at a time"]),
    ({"Type": "Map", "Items": "{% $states.input.lines %}"}, ["of lines"]),
    ({"Type": "Map", "ItemReader": {},
      "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED"}}},
     ["items of a file, as child executions"]),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "told"), STATES)
def test_a_state_tells_what_matters_of_it(fields: dict[str, Any], told: list[str]) -> None:
    """A card says what is called, how patiently, how long is waited."""
    assert list(details(fields)) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0 s"), (59, "59 s"), (3_600, "1 h"), (86_400, "1 day"), (93_784, "1 day 2 h")],
)
def test_a_span_has_its_two_largest_units(seconds: int, told: str) -> None:
    assert span(seconds) == told


def test_ways_between_the_same_states_are_one() -> None:
    """Two choices that lead to one state are one line with both conditions; a Catch is its own."""
    rules = [
        {"Variable": "$.a", "IsNull": True, "Next": "B"},
        {"Variable": "$.a", "IsString": True, "Next": "B", "Comment": "a word"},
    ]
    states = {
        "A": {"Type": "Choice", "Choices": rules, "Default": "B"},
        "B": {"Type": "Task", "Resource": "b", "Next": "C",
              "Catch": [{"ErrorEquals": ["X", "States.ALL"], "Next": "C"}]},
        "C": {"Type": "Succeed"},
    }  # fmt: skip
    assert read({"StartAt": "A", "States": states}).links == (
        Link("A", "B", "choice", "a is null or a word or otherwise"),
        Link("B", "C"),
        Link("B", "C", "catch", "X or any error"),
    )
