"""Tasks of workflows: the payload becomes the handler's argument, what it returns the result."""

from __future__ import annotations

from typing import Any

from wherry import limits
from wherry.app.endpoints import Endpoint
from wherry.errors import Refused
from wherry.invocation import Reply, TaskEvent
from wherry.runtime.binding.bodies import arguments_reader
from wherry.runtime.binding.replies import BYTES_KINDS, CannotReply, check_type, encode_json


class InvalidPayload(Refused):
    """A state called a function with what it does not take."""

    code = "invalid_payload"


def compile_task(endpoint: Endpoint) -> None:
    """Make, before the first call, what every call needs of a task's signature."""
    arguments = endpoint.signature.arguments
    endpoint.bound = arguments_reader(arguments, endpoint.upgrades) if arguments else _nothing


def _nothing(payload: bytes) -> dict[str, Any]:
    return {}


def bind_task(endpoint: Endpoint, event: TaskEvent) -> dict[str, Any]:
    """Return the arguments of a task. Unknown fields of the payload are passed over.

    Raises:
        InvalidPayload: It is not of the type that the handler takes.
    """
    if endpoint.bound is None:
        compile_task(endpoint)
    try:
        found: dict[str, Any] = endpoint.bound(event.payload)
        return found
    except (ValueError, RecursionError) as error:
        raise InvalidPayload(
            f"The state {event.state!r} of {event.workflow!r} calls {endpoint.name!r} with what it "
            f"does not take: {str(error).rstrip('.')}.",
            advice="Change what the state passes on, or the type.",
        ) from error


def encode_result(endpoint: Endpoint, result: Any) -> Reply:
    """Encode what a task returned, as JSON.

    Raises:
        CannotReply: It has no JSON form, or is not what the handler says that it returns.
    """
    if isinstance(result, BYTES_KINDS):
        raise CannotReply(f"{endpoint.name!r} returned bytes; a state's result is JSON.")
    if type(result) is not endpoint.signature.returns:
        check_type(endpoint, result)
    body = encode_json(result)
    if len(body) > limits.REPLY_BODY_BYTES:
        raise CannotReply(
            f"{endpoint.name!r} returned {len(body)} bytes; {limits.STATE_DATA_BYTES} are allowed. "
            "Write it into a bucket and return its key."
        )
    return Reply(0, [], body)  # no status: nobody asked over HTTP
