"""Binding: a request or a message becomes arguments, a result becomes an answer."""

from wherry.runtime.binding.aws import (
    AwsContext,
    accept_sqs_result,
    aws_batch,
    aws_event,
    failed_items,
    reply_from_aws,
)
from wherry.runtime.binding.replies import CannotReply, encode_problem, encode_reply
from wherry.runtime.binding.requests import (
    bind,
    bind_message,
    caller_of,
    compile_endpoint,
    keyed_by,
    redeemed,
)
from wherry.runtime.binding.tasks import InvalidPayload, bind_task, encode_result

__all__ = [
    "bind",
    "bind_message",
    "caller_of",
    "compile_endpoint",
    "encode_problem",
    "encode_reply",
    "CannotReply",
    "AwsContext",
    "aws_event",
    "reply_from_aws",
    "aws_batch",
    "accept_sqs_result",
    "failed_items",
    "redeemed",
    "InvalidPayload",
    "bind_task",
    "encode_result",
    "keyed_by",
]
