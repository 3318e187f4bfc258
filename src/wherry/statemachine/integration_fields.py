"""The arguments of each service integration that wherry has, and what they may be."""

from __future__ import annotations

from typing import Any

import msgspec

DELAY_S = 900  # AWS SQS: of one message


class Field(msgspec.Struct, frozen=True):
    """One argument: `kind` is a JSON type, or "" for any; `one_of` the texts that it may be."""

    kind: str = "STRING"
    required: bool = False
    one_of: tuple[Any, ...] = ()
    most: int | None = None

    def refuses(self, value: Any) -> str:
        """Return what the value must be, or "" where it is that."""
        if self.kind and not isinstance(value, _PYTHON[self.kind]):
            return f"a {self.kind}"
        if self.kind == "INTEGER" and isinstance(value, bool):
            return "a INTEGER"
        if self.one_of and value not in self.one_of:
            return f"one of [{', '.join(map(str, self.one_of))}], of what wherry has"
        if self.most is not None and not 0 <= value <= self.most:
            return f"between 0 and {self.most}"
        if self.kind == "ENTRIES" and not (value and all(isinstance(e, dict) for e in value)):
            return "a list of entries"
        return ""


_PYTHON: dict[str, type] = {
    "STRING": str,
    "INTEGER": int,
    "BOOLEAN": bool,
    "MAP": dict,
    "LIST": list,
    "ENTRIES": list,
}

_TEXT, _WANTED, _MAP = Field(), Field(required=True), Field("MAP")
_IGNORED = {
    "ReturnConsumedCapacity": Field(one_of=("NONE",)),
    "ReturnItemCollectionMetrics": Field(one_of=("NONE",)),
}
_CONDITION = {
    "ConditionExpression": _TEXT,
    "ExpressionAttributeNames": _MAP,
    "ExpressionAttributeValues": _MAP,
    **_IGNORED,
}
_ONE_OR_OLD = Field(one_of=("NONE", "ALL_OLD"))

FIELDS: dict[str, dict[str, Field]] = {
    "sqs:sendMessage": {
        "QueueUrl": _WANTED,
        "MessageBody": Field("", required=True),
        "DelaySeconds": Field("INTEGER", most=DELAY_S),
        "MessageGroupId": _TEXT,
        "MessageDeduplicationId": _TEXT,
    },
    "events:putEvents": {"Entries": Field("ENTRIES", required=True)},
    "dynamodb:getItem": {
        "TableName": _WANTED,
        "Key": Field("MAP", required=True),
        "ConsistentRead": Field("BOOLEAN"),
        "ProjectionExpression": _TEXT,
        "ExpressionAttributeNames": _MAP,
        "ReturnConsumedCapacity": Field(one_of=("NONE",)),
    },
    "dynamodb:putItem": {
        "TableName": _WANTED,
        "Item": Field("MAP", required=True),
        "ReturnValues": _ONE_OR_OLD,
        **_CONDITION,
    },
    "dynamodb:updateItem": {
        "TableName": _WANTED,
        "Key": Field("MAP", required=True),
        "UpdateExpression": _TEXT,
        "ReturnValues": Field(one_of=("NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW")),
        **_CONDITION,
    },
    "dynamodb:deleteItem": {
        "TableName": _WANTED,
        "Key": Field("MAP", required=True),
        "ReturnValues": _ONE_OR_OLD,
        **_CONDITION,
    },
    "states:startExecution": {
        "StateMachineArn": _WANTED,
        "Name": _TEXT,
        "Input": Field(""),
        "TraceHeader": _TEXT,
    },
    "lambda:invoke": {
        "FunctionName": _WANTED,
        "Payload": Field(""),
        "Qualifier": _TEXT,
        "InvocationType": Field(one_of=("RequestResponse",)),
        "ClientContext": _TEXT,
        "LogType": Field(one_of=("None",)),
    },
}
"""By service and action. What is not here is refused: by the app's check, and where it runs."""

ENTRY: dict[str, Field] = {
    "Detail": Field(""),
    "DetailType": _WANTED,
    "EventBusName": _TEXT,
    "Source": _TEXT,
    "Resources": Field("LIST"),
    "Time": Field(""),
    "TraceHeader": _TEXT,
}
"""Of one event of events:putEvents."""
