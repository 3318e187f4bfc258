"""Plain handlers meet AWS's own shapes: HTTP API payload 2.0 and SQS."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from wherry.app import App
from wherry.app.endpoints import Endpoint
from wherry.blueprint import FunctionSpec
from wherry.errors import HandlerFailed
from wherry.invocation import CallerClaims, Event, HttpEvent, Invocation, MessageEvent
from wherry.invocation import Reply as Encoded
from wherry.runtime.binding import AwsContext, accept_sqs_result, aws_event, reply_from_aws
from wherry.world import ManualClock

STARTED_MS = 1_795_255_438_123  # 2026-11-21T10:03:58.123Z


def endpoint() -> Endpoint:
    app = App("a")

    @app.post("/orders/{order_id}")
    def handler(event, context):  # type: ignore[no-untyped-def]
        ...

    app.freeze()
    return app.endpoints["handler"]["handler"]


def run(event: Event) -> Invocation:
    return Invocation(
        1, "handler", "key", "request-1", "corr", "trace", 2, STARTED_MS, STARTED_MS + 5_000, event
    )


def request(**changes: Any) -> HttpEvent:
    given: dict[str, Any] = {
        "endpoint": "handler",
        "method": "POST",
        "path": "/orders/7",
        "path_parameters": {"order_id": "7"},
        "query": "a=1&a=2&b=x%20y",
        "headers": {
            "host": "shop.example.com",
            "content-type": "application/json",
            "user-agent": "curl/8",
            "cookie": "s=1; t=2",
        },
        "body": b'{"a":1}',
        "caller": CallerClaims(
            "alice",
            ("customer",),
            ("read", "write"),
            "https://id",
            {"sub": "alice", "exp": 1795255500, "groups": ["a", "b"], "email_verified": True},
        ),
        "client": "192.0.2.1",
    }
    return HttpEvent(**(given | changes))


def test_a_request_has_the_shape_of_payload_format_2() -> None:
    assert aws_event(endpoint(), run(request())) == {
        "version": "2.0",
        "routeKey": "POST /orders/{order_id}",
        "rawPath": "/orders/7",
        "rawQueryString": "a=1&a=2&b=x%20y",
        "cookies": ["s=1", "t=2"],
        "headers": {
            "host": "shop.example.com",
            "content-type": "application/json",
            "user-agent": "curl/8",
        },
        "queryStringParameters": {"a": "1,2", "b": "x y"},
        "pathParameters": {"order_id": "7"},
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "authorizer": {
                "jwt": {
                    "claims": {
                        "sub": "alice",
                        "exp": "1795255500",
                        "groups": "[a b]",
                        "email_verified": "true",
                    },
                    "scopes": ["read", "write"],
                }
            },
            "domainName": "shop.example.com",
            "domainPrefix": "shop",
            "http": {
                "method": "POST",
                "path": "/orders/7",
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "curl/8",
            },
            "requestId": "request-1",
            "routeKey": "POST /orders/{order_id}",
            "stage": "$default",
            "time": "21/Nov/2026:10:03:58 +0000",
            "timeEpoch": STARTED_MS,
        },
        "body": '{"a":1}',
        "isBase64Encoded": False,
    }


def test_what_a_request_lacks_is_left_out() -> None:
    bare = request(path_parameters={}, query="", headers={}, body=b"", caller=None)
    event = aws_event(endpoint(), run(bare))
    assert not {"cookies", "queryStringParameters", "pathParameters", "body"} & event.keys()
    assert "authorizer" not in event["requestContext"]


@pytest.mark.parametrize(
    ("content_type", "body", "coded"),
    [
        ("image/png", b"\x89PNG", True),
        ("image/png", b"plain", True),
        ("text/plain; charset=utf-8", "é".encode(), False),
        ("application/vnd.api+json", b"{}", False),
        ("application/json", b"\xff", True),
        ("application/x-www-form-urlencoded", b"a=1", False),
    ],
)
def test_content_that_is_no_text_is_base64(content_type: str, body: bytes, coded: bool) -> None:
    event = aws_event(endpoint(), run(request(headers={"content-type": content_type}, body=body)))
    assert event["isBase64Encoded"] is coded
    found = base64.b64decode(event["body"]) if coded else event["body"].encode()
    assert found == body


def test_a_message_is_an_sqs_batch_of_one() -> None:
    body = b'{"id":"a"}'
    event = aws_event(endpoint(), run(MessageEvent("handler", "jobs", "m-1", body, 1_000)))
    (record,) = event["Records"]
    assert record["messageId"] == "m-1"
    assert json.loads(record["body"]) == {"id": "a"}
    assert record["attributes"]["ApproximateReceiveCount"] == "2"
    assert record["attributes"]["SentTimestamp"] == "1000"
    assert record["messageAttributes"]["wherry-id"]["stringValue"] == "m-1"
    assert record["md5OfBody"] == hashlib.md5(body, usedforsecurity=False).hexdigest()
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"].endswith(":jobs")


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"a": 1}, Encoded(200, [("content-type", "application/json")], b'{"a":1}')),
        ("hello", Encoded(200, [("content-type", "application/json")], b"hello")),
        (None, Encoded(200, [("content-type", "application/json")], b"null")),
        ([1], Encoded(200, [("content-type", "application/json")], b"[1]")),
        (
            {"statusCode": 201, "body": "x", "headers": {"X-A": "1", "N": 2, "B": True}},
            Encoded(
                201,
                [
                    ("x-a", "1"),
                    ("n", "2"),
                    ("b", "true"),
                    ("content-type", "text/plain; charset=utf-8"),
                ],
                b"x",
            ),
        ),
        (
            {"statusCode": "204", "headers": None, "cookies": ["a=1", "b=2"]},
            Encoded(
                204,
                [
                    ("content-type", "text/plain; charset=utf-8"),
                    ("set-cookie", "a=1"),
                    ("set-cookie", "b=2"),
                ],
                b"",
            ),
        ),
        (
            {
                "statusCode": 200,
                "headers": {"Content-Type": "image/png", "Content-Length": "99"},
                "body": "/w==",
                "isBase64Encoded": True,
            },
            Encoded(200, [("content-type", "image/png")], b"\xff"),
        ),
    ],
)
def test_what_a_plain_handler_returns_is_read_as_aws_does(result: Any, expected: Encoded) -> None:
    assert reply_from_aws(result) == expected


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ({"statusCode": "ok"}, "statusCode"),
        ({"statusCode": True}, "statusCode"),
        ({"statusCode": 99}, "statusCode"),
        ({"statusCode": None}, "statusCode"),
        ({"statusCode": 200, "body": {"a": 1}}, "json.dumps"),
        ({"statusCode": 200, "body": "%", "isBase64Encoded": True}, "base64"),
        ({"statusCode": 200, "headers": {"x": "1\r\ny: 2"}}, "header"),
        ({"statusCode": 200, "cookies": ["a=1\r\n"]}, "header"),
        ({"statusCode": 200, "body": "\ud800"}, "UTF-8"),
        (object(), "no JSON form"),
    ],
)
def test_what_aws_would_not_send_fails_with_a_reason(result: Any, says: str) -> None:
    with pytest.raises(HandlerFailed) as failure:
        reply_from_aws(result)
    assert says in str(failure.value.__cause__)


@pytest.mark.parametrize("result", [None, {}, {"batchItemFailures": []}, "done"])
def test_a_message_is_done_unless_it_is_reported(result: Any) -> None:
    accept_sqs_result(result, "m-1")


def test_a_message_that_is_reported_has_failed() -> None:
    with pytest.raises(HandlerFailed, match="m-1"):
        accept_sqs_result({"batchItemFailures": [{"itemIdentifier": "m-1"}]}, "m-1")


def test_the_context_tells_the_time_that_is_left() -> None:
    spec = FunctionSpec(name="handler", module="m", triggers=(), memory_mb=512)
    invocation = run(MessageEvent("handler", "jobs", "m-1", b"{}", 0))
    context = AwsContext(spec, invocation, ManualClock(STARTED_MS + 1_000))
    assert context.get_remaining_time_in_millis() == 4_000
    assert context.aws_request_id == "request-1"
    assert context.memory_limit_in_mb == "512"
    late = AwsContext(spec, invocation, ManualClock(STARTED_MS + 9_000))
    assert late.get_remaining_time_in_millis() == 0
