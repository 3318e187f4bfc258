"""The fields of each kind of state, and of what lies inside states."""

from __future__ import annotations

from wherry import limits
from wherry.statemachine import validation_values as values
from wherry.statemachine.validation_values import Check

TYPES = ("Task", "Wait", "Pass", "Succeed", "Fail", "Choice", "Parallel", "Map")

JSONPATH_ONLY = frozenset({
    "InputPath", "OutputPath", "ResultPath", "ResultSelector", "Parameters", "Result", "ItemsPath",
    "SecondsPath", "TimestampPath", "TimeoutSecondsPath", "HeartbeatSecondsPath", "ErrorPath",
    "CausePath", "MaxConcurrencyPath", "ToleratedFailureCountPath",
    "ToleratedFailurePercentagePath", "MaxItemsPath", "MaxItemsPerBatchPath",
    "MaxInputBytesPerBatchPath",
})  # fmt: skip
JSONATA_ONLY = frozenset({"Arguments", "Output", "Items", "Condition"})

_COMMON: dict[str, Check] = {
    "Type": values.string,
    "Comment": values.string,
    "QueryLanguage": values.string,
}
_FLOW: dict[str, Check] = {"Next": values.string, "End": values.boolean}
_DATA: dict[str, Check] = {
    "InputPath": values.path_or_null,
    "OutputPath": values.path_or_null,
    "Output": values.anything,
}
_ASSIGN: dict[str, Check] = {"Assign": values.object_template}
_RESULT: dict[str, Check] = {
    "ResultSelector": values.object_template,
    "ResultPath": values.result_path,
    "Retry": values.clauses,
    "Catch": values.clauses,
}

STATES: dict[str, dict[str, Check]] = {
    "Pass": {
        **_COMMON, **_FLOW, **_DATA, **_ASSIGN,
        "Result": values.anything,
        "ResultPath": values.result_path,
        "Parameters": values.template,
    },
    "Task": {
        **_COMMON, **_FLOW, **_DATA, **_ASSIGN, **_RESULT,
        "Resource": values.string,
        "Parameters": values.template,
        "Arguments": values.anything,
        "Credentials": values.expression_or(values.object_template),
        "TimeoutSeconds": values.integer(1),
        "TimeoutSecondsPath": values.reference,
        "HeartbeatSeconds": values.integer(1),
        "HeartbeatSecondsPath": values.reference,
    },
    "Choice": {
        **_COMMON, **_DATA, **_ASSIGN,
        "Choices": values.clauses,
        "Default": values.string,
    },
    "Wait": {
        **_COMMON, **_FLOW, **_DATA, **_ASSIGN,
        "Seconds": values.integer(0),
        "SecondsPath": values.reference,
        "Timestamp": values.moment,
        "TimestampPath": values.reference,
    },
    "Succeed": {**_COMMON, **_DATA},
    "Fail": {
        **_COMMON,
        "Error": values.string,
        "ErrorPath": values.reference_or_call,
        "Cause": values.string,
        "CausePath": values.reference_or_call,
    },
    "Parallel": {
        **_COMMON, **_FLOW, **_DATA, **_ASSIGN, **_RESULT,
        "Branches": values.clauses,
        "Parameters": values.template,
        "Arguments": values.anything,
    },
    "Map": {
        **_COMMON, **_FLOW, **_DATA, **_ASSIGN, **_RESULT,
        "ItemProcessor": values.mapping,
        "Iterator": values.mapping,
        "Items": values.items,
        "ItemsPath": values.path,
        "ItemSelector": values.template,
        "Parameters": values.template,
        "ItemBatcher": values.mapping,
        "ItemReader": values.mapping,
        "ResultWriter": values.mapping,
        "MaxConcurrency": values.integer(0),
        "MaxConcurrencyPath": values.reference,
        "ToleratedFailureCount": values.integer(0),
        "ToleratedFailureCountPath": values.reference,
        "ToleratedFailurePercentage": values.number(0, 100),
        "ToleratedFailurePercentagePath": values.reference,
        "Label": values.string,
    },
}  # fmt: skip

REQUIRED: dict[str, tuple[str, ...]] = {
    "Task": ("Resource",),
    "Choice": ("Choices",),
    "Parallel": ("Branches",),
}

EITHER: dict[str, tuple[tuple[str, str], ...]] = {
    "Task": (
        ("TimeoutSeconds", "TimeoutSecondsPath"),
        ("HeartbeatSeconds", "HeartbeatSecondsPath"),
    ),
    "Fail": (("Error", "ErrorPath"), ("Cause", "CausePath")),
    "Map": (
        ("MaxConcurrency", "MaxConcurrencyPath"),
        ("ToleratedFailureCount", "ToleratedFailureCountPath"),
        ("ToleratedFailurePercentage", "ToleratedFailurePercentagePath"),
        ("Parameters", "ItemSelector"),
        ("ItemProcessor", "Iterator"),
    ),
}

RETRIER: dict[str, Check] = {
    "ErrorEquals": values.clauses,
    "IntervalSeconds": values.integer(0),
    "MaxAttempts": values.integer(0, limits.STATE_RETRIES_MAX),
    "BackoffRate": values.number(1.0),
    "MaxDelaySeconds": values.integer(1, limits.STATE_DELAY_MAX_S),
    "JitterStrategy": values.string,
    "Comment": values.string,
}
CATCHER: dict[str, Check] = {
    "ErrorEquals": values.clauses,
    "Next": values.string,
    "ResultPath": values.result_path,
    "Output": values.anything,
    "Assign": values.object_template,
    "Comment": values.string,
}
BATCHER: dict[str, Check] = {
    "MaxItemsPerBatch": values.integer(1),
    "MaxItemsPerBatchPath": values.reference,
    "MaxInputBytesPerBatch": values.integer(1, limits.STATE_DATA_BYTES),
    "MaxInputBytesPerBatchPath": values.reference,
    "BatchInput": values.expression_or(values.object_template),
}
OUTSIDE: dict[str, dict[str, Check]] = {
    "ItemReader": {
        "Resource": values.string,
        "Parameters": values.object_template,
        "Arguments": values.expression_or(values.mapping),
        "ReaderConfig": values.mapping,
    },
    "ResultWriter": {
        "Resource": values.string,
        "Parameters": values.object_template,
        "Arguments": values.expression_or(values.mapping),
        "WriterConfig": values.mapping,
    },
}
CONFIGS: dict[str, dict[str, Check]] = {
    "ReaderConfig": {
        "InputType": values.string,
        "Transformation": values.string,
        "ManifestType": values.string,
        "CSVDelimiter": values.string,
        "CSVHeaderLocation": values.string,
        "CSVHeaders": values.clauses,
        "MaxItems": values.integer(0, limits.STATE_ITEMS),
        "MaxItemsPath": values.reference,
        "ItemsPointer": values.string,
    },
    "WriterConfig": {"OutputType": values.string, "Transformation": values.string},
}

BLOCK = ("Comment", "StartAt", "States")
MACHINE = (*BLOCK, "Version", "TimeoutSeconds", "QueryLanguage")
PROCESSOR = (*BLOCK, "ProcessorConfig")
