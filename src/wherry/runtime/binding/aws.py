"""Plain handlers, `handler(event, context)`: AWS's own shapes, in and out.

HTTP API payload format 2.0, and SQS in batches of one and more; `awsfeeds` has the others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wherry import invocation
from wherry.app.endpoints import Endpoint
from wherry.blueprint.records import FunctionSpec, HttpTrigger
from wherry.codec import from_json
from wherry.errors import HandlerFailed
from wherry.invocation import (
    BatchEvent,
    BatchMessage,
    CallerClaims,
    HttpEvent,
    Invocation,
    MessageEvent,
    TaskEvent,
)
from wherry.names import ACCOUNT, REGION
from wherry.runtime.binding.awsfeeds import feed_event
from wherry.runtime.binding.replies import (
    OF_THE_ENGINE,
    CannotReply,
    encode_json,
    encode_text,
    header,
)
from wherry.runtime.binding.urlencoded import parse

if TYPE_CHECKING:
    from wherry.world import Clock

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TEXT = re.compile(
    r"text/.*|application/(.*\+)?(json|xml|javascript|x-www-form-urlencoded)", re.IGNORECASE
)


class AwsContext:
    """What AWS Lambda gives a handler as `context`."""

    def __init__(self, function: FunctionSpec, run: Invocation, clock: Clock) -> None:
        self.function_name = function.name
        self.function_version = "$LATEST"
        self.invoked_function_arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function.name}"
        self.memory_limit_in_mb = str(function.memory_mb)
        self.aws_request_id = run.request_id
        self.log_group_name = f"/aws/lambda/{function.name}"
        self.log_stream_name = "local"
        self.identity = None
        self.client_context = None
        self._deadline_ms = run.deadline_ms
        self._clock = clock

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the run is killed."""
        return max(0, int(self._deadline_ms - self._clock.now_ms()))


def aws_event(endpoint: Endpoint, run: Invocation) -> dict[str, Any]:
    """Return the event that AWS would hand to this handler."""
    if isinstance(run.event, MessageEvent):
        message = run.event
        if endpoint.feeds:
            return feed_event(endpoint.feeds, [(message.id, message.body)])
        record = _sqs_record(
            message.queue, message.id, message.body, message.sent_at_ms, run.attempt, run.started_ms
        )
        return {"Records": [record]}
    if isinstance(run.event, BatchEvent):
        raise TypeError("a batch is made by aws_batch")
    if isinstance(run.event, TaskEvent):
        task: dict[str, Any] = from_json(run.event.payload)
        return task
    trigger = endpoint.trigger
    route = trigger.path if isinstance(trigger, HttpTrigger) else run.event.path
    return _http_event(run, run.event, f"{run.event.method} {route}")


# --- HTTP ---------------------------------------------------------------------------------------


def _http_event(run: Invocation, event: HttpEvent, route_key: str) -> dict[str, Any]:
    headers = {name: value for name, value in event.headers.items() if name != "cookie"}
    host = headers.get("host", "localhost")
    context: dict[str, Any] = {
        "accountId": ACCOUNT,
        "apiId": "local",
        "domainName": host,
        "domainPrefix": host.partition(".")[0],
        "http": {
            "method": event.method,
            "path": event.path,
            "protocol": "HTTP/1.1",
            "sourceIp": event.client,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": run.request_id,
        "routeKey": route_key,
        "stage": "$default",
        "time": _clf(run.started_ms),
        "timeEpoch": run.started_ms,
    }
    if event.caller is not None:
        context["authorizer"] = {"jwt": _jwt(event.caller)}
    found: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": event.path,
        "rawQueryString": event.query,
        "headers": headers,
        "requestContext": context,
        "isBase64Encoded": False,
    }
    if "cookie" in event.headers:
        found["cookies"] = [part.strip() for part in event.headers["cookie"].split(";")]
    if event.query:
        found["queryStringParameters"] = _joined(parse(event.query, "query"))
    if event.path_parameters:
        found["pathParameters"] = event.path_parameters
    if event.body:
        found["body"], found["isBase64Encoded"] = _body(event)
    return found


def _joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _body(event: HttpEvent) -> tuple[str, bool]:
    media_type = event.headers.get("content-type", "").partition(";")[0].strip()
    if _TEXT.fullmatch(media_type) or not media_type:
        try:
            return event.body.decode(), False
        except UnicodeDecodeError:
            pass
    from base64 import b64encode

    return b64encode(event.body).decode(), True


def _jwt(caller: CallerClaims) -> dict[str, Any]:
    claims = {name: _claim(value) for name, value in caller.claims.items()}
    return {"claims": claims, "scopes": list(caller.scopes) or None}


def _claim(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + " ".join(map(str, value)) + "]"
    return value if isinstance(value, str) else str(value)


def _clf(moment_ms: int) -> str:
    """The moment as access logs write it, whatever the locale."""
    from datetime import UTC, datetime

    moment = datetime.fromtimestamp(moment_ms / 1000, UTC)
    return f"{moment:%d}/{_MONTHS[moment.month - 1]}/{moment:%Y:%H:%M:%S} +0000"


def reply_from_aws(result: Any) -> invocation.Reply:
    """Encode what a plain handler returned.

    A mapping with `statusCode` is an answer; anything else is the body of a 200, as JSON (text as
    it is).

    Raises:
        HandlerFailed: It cannot be sent; the cause says why, for the team.
    """
    try:
        if not isinstance(result, Mapping) or "statusCode" not in result:
            body = encode_text(result) if isinstance(result, str) else encode_json(result)
            return invocation.Reply(200, [("content-type", "application/json")], body)
        return _answer(result)
    except CannotReply as error:
        raise HandlerFailed(
            "The function returned what cannot be sent; nothing of it was applied."
        ) from error


def _answer(result: Mapping[str, Any]) -> invocation.Reply:
    given = result["statusCode"]
    text = str(given)
    if isinstance(given, bool) or not re.fullmatch(r"[2-5][0-9][0-9]", text):
        raise CannotReply(f"statusCode is {given!r}; AWS takes a whole number, 200 to 599.")
    headers = []
    for name, value in (result.get("headers") or {}).items():
        if name.lower() in ("content-length", "transfer-encoding", "connection"):
            continue  # as AWS does: the gateway frames the message
        if name.lower() not in OF_THE_ENGINE:
            headers.append(header(name, _header_text(value)))
    if all(name != "content-type" for name, _ in headers):
        headers.append(("content-type", "text/plain; charset=utf-8"))
    headers.extend(header("set-cookie", cookie) for cookie in result.get("cookies") or ())
    return invocation.Reply(int(text), headers, _answer_body(result))


def _header_text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _answer_body(result: Mapping[str, Any]) -> bytes:
    body = result.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise CannotReply(f"body is a {type(body).__name__}; AWS takes text: json.dumps(body).")
    if not result.get("isBase64Encoded"):
        return encode_text(body)
    from base64 import b64decode

    try:
        return b64decode(body, validate=True)
    except ValueError as error:
        raise CannotReply(f"body is not base64 though isBase64Encoded is set: {error}.") from error


# --- SQS ----------------------------------------------------------------------------------------


def _sqs_record(
    queue: str, message_id: str, body: bytes, sent_at_ms: int, attempt: int, started_ms: int
) -> dict[str, Any]:
    import hashlib

    wherry_id = {
        "stringValue": message_id,
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": "String",
    }
    return {
        "messageId": message_id,
        "receiptHandle": f"{message_id}/{attempt}",
        "body": body.decode(),
        "attributes": {
            "ApproximateReceiveCount": str(attempt),
            "SentTimestamp": str(sent_at_ms),
            "SenderId": "wherry",
            "ApproximateFirstReceiveTimestamp": str(started_ms),
        },
        "messageAttributes": {"wherry-id": wherry_id},
        "md5OfBody": hashlib.md5(body, usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}",
        "awsRegion": REGION,
    }


def aws_batch(
    endpoint: Endpoint, event: BatchEvent, messages: list[tuple[BatchMessage, bytes]]
) -> dict[str, Any]:
    """Return the event that AWS would hand over for a batch: messages with their payloads."""
    if endpoint.feeds:
        return feed_event(endpoint.feeds, [(one.id, body) for one, body in messages])
    records = [
        _sqs_record(event.queue, one.id, body, one.sent_at_ms, one.attempt, one.started_ms)
        for one, body in messages
    ]
    return {"Records": records}


def failed_items(result: Any, message_ids: list[str]) -> set[str]:
    """Read a plain consumer's partial batch response: the messages that it reports as failed.

    Raises:
        HandlerFailed: It names none of these messages; as on AWS the whole batch has failed then.
    """
    failures = result.get("batchItemFailures") if isinstance(result, Mapping) else None
    found = set()
    for one in failures or ():
        name = one.get("itemIdentifier") if isinstance(one, Mapping) else None
        if name not in message_ids:
            raise HandlerFailed(f"batchItemFailures names {name!r}, which is no message of these.")
        found.add(name)
    return found


def accept_sqs_result(result: Any, message_id: str) -> None:
    """Read a plain consumer's partial batch response.

    Raises:
        HandlerFailed: It reports its one message as failed.
    """
    failures = result.get("batchItemFailures") if isinstance(result, Mapping) else None
    if failures:
        raise HandlerFailed(f"The handler reported the message {message_id} as failed.")
