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
        "Arguments": values.expression_or(values.mapping),
        "Credentials": values.expression_or(values.object_template),
        "TimeoutSeconds": values.integer(1),
        "TimeoutSecondsPath": values.input_reference,
        "HeartbeatSeconds": values.integer(1),
        "HeartbeatSecondsPath": values.input_reference,
    },
    "Choice": {
        **_COMMON, **_DATA, **_ASSIGN,
        "Choices": values.clauses,
        "Default": values.string,
    },
    "Wait": {
        **_COMMON, **_FLOW, **_DATA, **_ASSIGN,
        "Seconds": values.integer(0),
        "SecondsPath": values.input_reference,
        "Timestamp": values.moment,
        "TimestampPath": values.input_reference,
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
        "Arguments": values.expression_or(values.mapping),
    },
    "Map": {
        **_COMMON, **_FLOW, **_DATA, **_ASSIGN, **_RESULT,
        "ItemProcessor": values.mapping,
        "Iterator": values.mapping,
        "Items": values.items,
        "ItemsPath": values.reference,
        "ItemSelector": values.template,
        "Parameters": values.template,
        "ItemBatcher": values.mapping,
        "ItemReader": values.mapping,
        "ResultWriter": values.mapping,
        "MaxConcurrency": values.integer(0),
        "MaxConcurrencyPath": values.input_reference,
        "ToleratedFailureCount": values.integer(0),
        "ToleratedFailureCountPath": values.input_reference,
        "ToleratedFailurePercentage": values.number(0.0, 100.0),
        "ToleratedFailurePercentagePath": values.input_reference,
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
    "Map": (("Parameters", "ItemSelector"),),
}

MAP_NUMBERS = (
    "MaxConcurrency", "ToleratedFailureCount", "ToleratedFailurePercentage", "MaxItems",
    "MaxItemsPerBatch", "MaxInputBytesPerBatch",
)  # fmt: skip
"""Of a Map and what is inside it: given as they are or by a path into the input, not by both."""

RETRIER: dict[str, Check] = {
    "ErrorEquals": values.clauses,
    "IntervalSeconds": values.integer(0),
    "MaxAttempts": values.integer(0, limits.STATE_RETRIES_MAX),
    "BackoffRate": values.number(1.0),
    "MaxDelaySeconds": values.integer(1, limits.STATE_DELAY_MAX_S),
    "JitterStrategy": values.one_of("FULL", "NONE"),
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
    "MaxItemsPerBatch": values.integer(0),
    "MaxItemsPerBatchPath": values.input_reference,
    "MaxInputBytesPerBatch": values.integer(0, limits.STATE_DATA_BYTES),
    "MaxInputBytesPerBatchPath": values.input_reference,
    "BatchInput": values.template,
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
        "InputType": values.one_of("CSV", "JSON", "JSONL", "MANIFEST", "PARQUET"),
        "Transformation": values.one_of("NONE", "LOAD_AND_FLATTEN"),
        "ManifestType": values.one_of("ATHENA_DATA", "S3_INVENTORY"),
        "CSVDelimiter": values.one_of("COMMA", "PIPE", "SEMICOLON", "SPACE", "TAB"),
        "CSVHeaderLocation": values.one_of("FIRST_ROW", "GIVEN"),
        "CSVHeaders": values.clauses,
        "MaxItems": values.integer(0, limits.STATE_ITEMS),
        "MaxItemsPath": values.input_reference,
        "ItemsPointer": values.string,
    },
    "WriterConfig": {
        "OutputType": values.one_of("JSON", "JSONL"),
        "Transformation": values.one_of("NONE", "COMPACT", "FLATTEN"),
    },
}

BLOCK = ("Comment", "StartAt", "States")
MACHINE = (*BLOCK, "Version", "TimeoutSeconds", "QueryLanguage")
PROCESSOR = (*BLOCK, "ProcessorConfig")
