"""Requests through the whole stack: good ones, bad ones, and what the edge answers itself."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from wherry import limits
from wherry.cli.backend import RunningEngine
from wherry.cli.commands.timeline import find_timeline
from wherry.engine.datafolder import DataFolder
from wherry.errors import Refused

from .server_kit import Engine, serving, until

GOOD = {"lines": [{"sku": "oar", "count": 2}]}


# -- bodies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"lines": [}', 400),
        (b"\xff\xfe", 400),
        (b'{"lines": [{"sku": "\xc3\x28", "count": 1}]}', 400),
        (b'{"lines": [{"sku": "oar", "count": 1}], "price": NaN}', 400),
        (b'{"lines": [{"sku": "oar", "count": 1}], "price": 1e400}', 400),
        (b'{"lines": [{"sku": "oar", "count": 1}], "note": "\\ud800"}', 400),
        (b'{"lines": [{"sku": "oar", "count": 1}], "lines": []}', 400),
        (b"[" * 100_000 + b"]" * 100_000, 400),
        (b'{"lines": [{"sku": "oar", "count": 1}]} {}', 400),
        (b"null", 422),
        (b'{"lines": []}', 422),
        (b'{"lines": [{"sku": "oar", "count": "2"}]}', 422),
        (b'{"lines": [{"sku": "oar", "count": 1e3}]}', 422),
        (b'{"lines": [{"sku": "oar", "count": 1}], "total": 1}', 422),
        (b'{"lines": [{"sku": "oar", "count": 1, "free": true}]}', 422),
    ],
    ids=[
        "empty", "cut", "malformed", "no UTF-8", "bad UTF-8", "NaN", "infinite", "surrogate",
        "duplicate", "deep", "two values", "null", "too few", "wrong type", "no integer", "unknown",
        "unknown below",
    ],
)  # fmt: skip
def test_a_bad_body_is_refused_with_the_reason_and_nothing_is_stored(
    desk: Engine, body: bytes, status: int
) -> None:
    """400 for what cannot be read, 422 for what breaks the contract; the function goes on."""
    token = desk.token("bad")
    reply = desk.client("POST", "/orders", body, token=token)
    assert (reply.status, reply.headers["content-type"]) == (status, "application/problem+json")
    problem = reply.json()
    assert problem["status"] == status
    assert problem["correlation_id"] == reply.headers["x-correlation-id"]
    assert problem.get("faults") or problem["detail"]
    assert desk.client("GET", "/totals/bad").json()["orders"] == 0


def test_every_fault_of_a_body_is_listed(desk: Engine) -> None:
    """All that is wrong is told at once, each with its place."""
    body = {"lines": [{"sku": 1, "count": 0}, {"sku": "oar", "count": 101}]}
    reply = desk.client("POST", "/orders", body, token=desk.token())
    places = [fault["at"] for fault in reply.json()["faults"]]
    assert places == ["$.lines[0].sku", "$.lines[0].count", "$.lines[1].count"]


@pytest.mark.parametrize("value", ['ä€𝄞\x00"\\', -1, 1.5, 2**63, [None, [True]], {"": {"a": []}}])
def test_any_json_comes_back_as_it_went(desk: Engine, value: Any) -> None:
    """What is valid passes through gateway, environment and back unchanged."""
    assert desk.client("POST", "/echo", value).json() == value


def test_bodies_up_to_the_limit_pass_and_beyond_are_refused_early(desk: Engine) -> None:
    """6 MiB are taken; one byte more is 413, before it is sent, chunked or not."""
    full = json.dumps("x" * (limits.REQUEST_BODY_BYTES - 2)).encode()
    assert desk.client("POST", "/echo", full).body == full
    with socket.create_connection(("127.0.0.1", desk.port), 10) as sock:
        length = limits.REQUEST_BODY_BYTES + 1
        sock.sendall(f"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n".encode())
        assert sock.recv(4096).startswith(b"HTTP/1.1 413 ")
    with socket.create_connection(("127.0.0.1", desk.port), 10) as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"%x\r\n%b\r\n" % (1 << 20, b"x" * (1 << 20))
        answered = b""
        try:
            for _ in range(8):
                sock.sendall(chunk)
            answered = sock.recv(4096)
        except (ConnectionResetError, BrokenPipeError):
            pass
        assert not answered or answered.startswith(b"HTTP/1.1 413 ")


def test_a_wrong_media_type_is_415(desk: Engine) -> None:
    """A JSON body says that it is one."""
    headers = {"content-type": "text/plain"}
    reply = desk.client("POST", "/orders", b"{}", headers, desk.token())
    assert (reply.status, reply.code) == (415, "unsupported_media_type")


# -- routes ----------------------------------------------------------------------------------------


def test_unknown_paths_and_methods_are_told_apart(desk: Engine) -> None:
    """404 where there is nothing, 405 with what is allowed, HEAD and OPTIONS for free."""
    assert desk.client("GET", "/nowhere").status == 404
    assert desk.client("GET", "/orders/x/y").status == 404
    refused = desk.client("DELETE", "/orders")
    assert refused.status == 405
    assert "POST" in refused.headers["allow"]
    got = desk.client("GET", "/totals/nobody")
    head = desk.client("HEAD", "/totals/nobody")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(got.body))
    options = desk.client("OPTIONS", "/totals/nobody")
    assert options.status == 204
    assert {"GET", "HEAD", "OPTIONS"} <= set(options.headers["allow"].split(", "))


def test_only_what_the_engine_answers_itself_is_kept_from_an_apps_routes(desk: Engine) -> None:
    """A path that begins with an underscore is a route's, unless the engine answers there."""
    assert desk.client("GET", "/_words/oar").json() == "oar"
    assert desk.client("DELETE", "/_words/oar").status == 405
    assert desk.client("POST", "/_nowhere").status == 404


@pytest.mark.parametrize(
    "path", ["/../etc/passwd", "/a/%2e%2e/orders", "/orders/%00", "/%2e%2e%2f"]
)
def test_paths_that_climb_are_refused(desk: Engine, path: str) -> None:
    """No function ever sees a path that leads upwards or ends early."""
    assert desk.client("GET", path, token=desk.token()).status in (400, 404)


def test_a_preflight_is_answered_for_the_known_origin_only(desk: Engine) -> None:
    """A browser's page of the declared origin may call; of another it may not."""
    asked = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    reply = desk.client("OPTIONS", "/orders", headers=asked)
    assert reply.status == 204
    assert reply.headers["access-control-allow-origin"] == "https://shop.example"
    assert reply.headers["access-control-allow-credentials"] == "true"
    other = desk.client("OPTIONS", "/orders", headers=asked | {"origin": "https://evil.example"})
    assert not [name for name in other.headers if name.startswith("access-control-")]
    for path in ("/totals/x", "/orders/x", "/nowhere"):  # answers and refusals alike
        seen = desk.client("GET", path, headers=asked)
        assert seen.headers["access-control-allow-origin"] == "https://shop.example"
        assert seen.headers["vary"] == "Origin"


PAGE = {"origin": "https://shop.example"}


def test_a_page_of_the_known_origin_uses_presigned_urls(desk: Engine) -> None:
    """Preflight, upload and download; answers and refusals are readable, an upload's ETag too."""
    asked = {"key": "page", "size_bytes": 5}
    ticket = desk.client("POST", "/uploads", asked).json()
    url = urlsplit(ticket["url"])
    target = f"{url.path}?{url.query}"
    names = ",".join(sorted(ticket["headers"]))
    before = PAGE | {
        "access-control-request-method": "PUT",
        "access-control-request-headers": names,
    }
    allowed = desk.client("OPTIONS", target, headers=before)
    assert allowed.status == 204
    assert allowed.headers["access-control-allow-origin"] == PAGE["origin"]
    assert "PUT" in allowed.headers["access-control-allow-methods"].split(", ")
    assert allowed.headers["access-control-allow-headers"] == names
    other = desk.client("OPTIONS", target, headers=before | {"origin": "https://evil.example"})
    assert (other.status, "access-control-allow-origin" in other.headers) == (403, False)
    stored = desk.client("PUT", target, b"hello", headers=PAGE | ticket["headers"])
    gone = desk.client("PUT", target, b"hello", headers=PAGE | ticket["headers"])
    changed = desk.client("PUT", target + "0", b"hello", headers=PAGE | ticket["headers"])
    url = urlsplit(desk.client("POST", "/downloads", {"key": "page"}).json())
    read = desk.client("GET", f"{url.path}?{url.query}", headers=PAGE)
    answers = [stored, gone, changed, read]
    assert [answer.status for answer in answers] == [200, 412, 403, 200]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == PAGE["origin"]
        assert "etag" in answer.headers["access-control-expose-headers"].split(", ")


def test_a_page_of_the_known_origin_logs_people_in(desk: Engine) -> None:
    """The development issuer is open to the pages that the app's routes are open to."""
    before = PAGE | {
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    for verb in ("sign-up", "log-in"):
        path = f"/_issuer/customers/{verb}"
        allowed = desk.client("OPTIONS", path, headers=before)
        assert (allowed.status, allowed.headers["access-control-allow-headers"]) == (
            204,
            "content-type",
        )
        assert "POST" in allowed.headers["access-control-allow-methods"].split(", ")
        person = {"username": "page", "password": "correct horse battery"}
        for account in (person, person | {"password": ""}):
            answer = desk.client("POST", path, account, headers=PAGE)
            assert answer.headers["access-control-allow-origin"] == PAGE["origin"], answer


def test_a_page_learns_that_a_body_is_too_large(desk: Engine) -> None:
    """By its length or as it comes, 413 can be read by the page that sent it."""
    lines = ["POST /echo HTTP/1.1", "Host: a", f"Origin: {PAGE['origin']}"]
    size = limits.REQUEST_BODY_BYTES + 1
    for framing, body in (
        (f"Content-Length: {size}", b""),
        ("Transfer-Encoding: chunked", b"%x\r\n" % size + b"x" * size + b"\r\n"),
    ):
        with socket.create_connection(("127.0.0.1", desk.port), 10) as sock:
            sock.sendall("\r\n".join([*lines, framing, "", ""]).encode() + body)
            answer = sock.recv(4096)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert f"access-control-allow-origin: {PAGE['origin']}\r\n".encode() in answer


def test_the_engine_says_how_it_is(desk: Engine) -> None:
    """Alive, ready, and described, without any function being run."""
    assert desk.client("GET", "/healthz").json() == {"status": "ok"}
    assert desk.client("GET", "/readyz").json() == {"status": "ready"}
    assert desk.client("GET", "/openapi.json").json()["openapi"].startswith("3.1")
    assert desk.client("GET", "/docs").headers["content-type"].startswith("text/html")
    assert desk.client("POST", "/healthz", b"").status == 405


# -- tracing ---------------------------------------------------------------------------------------


def test_the_correlation_id_is_the_callers_or_a_new_one(desk: Engine) -> None:
    """In, through the handler, and out; what could break a log line is not taken over."""
    asked = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    for headers in ({}, asked):
        options = desk.client("OPTIONS", "/context", headers=headers | {"x-correlation-id": "o-1"})
        assert (options.status, options.headers["x-correlation-id"]) == (204, "o-1")
    reply = desk.client("GET", "/context", headers={"x-correlation-id": "order-7.a"})
    assert reply.headers["x-correlation-id"] == "order-7.a" == reply.json()["correlation_id"]
    made = set()
    for bad in ("a b", 'x","level":"ERROR', "x" * 129, ""):
        found = desk.client("GET", "/context", headers={"x-correlation-id": bad})
        assert found.headers["x-correlation-id"] == found.json()["correlation_id"] != bad
        made.add(found.json()["correlation_id"])
    assert len(made) == 4


def test_a_trace_goes_on_through_the_engine(desk: Engine) -> None:
    """A W3C traceparent keeps its trace and gets a new span; a broken one begins a new trace."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    given = f"00-{trace}-00f067aa0ba902b7-01"
    reply = desk.client("GET", "/context", headers={"traceparent": given})
    inside = reply.json()["traceparent"]
    assert reply.headers["traceparent"] == inside
    assert inside.split("-")[1] == trace
    assert inside != given
    for bad in (
        "00-0-0-00",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"ff-{trace}-00f067aa0ba902b7-01",
    ):
        fresh = desk.client("GET", "/context", headers={"traceparent": bad}).json()["traceparent"]
        assert fresh.split("-")[1] not in (trace, "0" * 32)
        assert len(fresh) == 55


# -- throttles -------------------------------------------------------------------------------------


def test_a_route_beyond_its_rate_answers_429_and_when_to_return(desk: Engine) -> None:
    """The burst passes, the next is refused with Retry-After, other routes are not concerned."""
    replies = [desk.client("POST", "/rare", b"") for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert 1 <= int(replies[2].headers["retry-after"]) <= 10
    assert replies[2].code == "too_many_requests"
    assert desk.client("POST", "/echo", 1).status == 200


def test_a_refused_request_is_found_by_its_correlation_id(desk: Engine) -> None:
    """The edge refuses it and no function runs: the log has its line, without the query."""
    expired = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.e30.AA"
    asked = [
        ("GET", "/nothing?key=hush", {}, "", 404),
        ("DELETE", "/echo", {}, "", 405),
        ("GET", "/orders/x", {}, expired, 401),
        ("GET", "/_objects/assets/a?hush=1", {}, "", 403),
        ("POST", "/echo", {"idempotency-key": "k" * 500}, "", 400),
    ]
    for method, target, headers, token, status in asked:
        reply = desk.client(method, target, headers=headers, token=token)
        assert reply.status == status, target
        correlation = reply.headers["x-correlation-id"]
        (line,) = until(partial(desk.lines, correlation_id=correlation), "its line")
        assert (line["ending"], line["status"], line["code"]) == ("refused", status, reply.code)
        assert line["level"] == "INFO"
        assert "hush" not in line["message"]
        if status != 403:
            assert line["message"] == f"{method} {target.partition('?')[0]}"
    with pytest.raises(Refused, match="Nothing is known") as nowhere:
        find_timeline(RunningEngine(DataFolder.at(str(desk.root))), correlation)
    assert f"wherry logs --correlation {correlation}" in nowhere.value.advice


def test_clients_are_told_apart_by_what_a_trusted_proxy_says(tmp_path: Path) -> None:
    """Behind a trusted proxy each address has its own rate; a forged chain does not help."""
    with serving("gate", tmp_path / "data", arguments=["--trusted-proxies", "127.0.0.0/8"]) as gate:

        def status(forwarded: str) -> int:
            return gate.client("GET", "/", headers={"x-forwarded-for": forwarded}).status

        assert [status("203.0.113.1") for _ in range(3)] == [200, 200, 429]
        assert status("203.0.113.2") == 200
        assert status("198.51.100.7, 203.0.113.1") == 429  # only the last hop is the proxy's word
        assert status("203.0.113.2, 127.0.0.9") == 200  # a second trusted proxy is looked through
        assert status("203.0.113.2") == 429


def test_x_forwarded_for_of_strangers_means_nothing(tmp_path: Path) -> None:
    """Without trusted proxies a client cannot choose its address."""
    with serving("gate", tmp_path / "data") as gate:
        found = [
            gate.client("GET", "/", headers={"x-forwarded-for": f"203.0.113.{number}"}).status
            for number in range(3)
        ]
        assert found == [200, 200, 429]


# -- Idempotency-Key -------------------------------------------------------------------------------


def test_a_repeat_with_the_same_key_gets_the_stored_answer(desk: Engine) -> None:
    """One order, the same bytes again, marked as replayed; another caller is not concerned."""
    headers = {"idempotency-key": "once-1"}
    first = desk.client("POST", "/orders", GOOD, headers, desk.token("ida"))
    again = desk.client("POST", "/orders", GOOD, headers, desk.token("ida"))
    assert first.status == again.status == 201
    assert again.body == first.body
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert desk.client("GET", "/totals/ida").json()["orders"] == 1
    other = desk.client("POST", "/orders", GOOD, headers, desk.token("ilse"))
    assert other.json()["subject"] == "ilse"


def test_a_key_with_another_body_is_422(desk: Engine) -> None:
    """A key names one request; nothing is stored for another under it."""
    headers = {"idempotency-key": '"once-2"'}
    token = desk.token("iris")
    assert desk.client("POST", "/orders", GOOD, headers, token).status == 201
    changed = {"lines": [{"sku": "oar", "count": 3}]}
    assert desk.client("POST", "/orders", changed, headers, token).status == 422
    assert desk.client("GET", "/totals/iris").json()["orders"] == 1


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "a\tb"])
def test_an_unusable_key_is_refused(desk: Engine, key: str) -> None:
    """A key that cannot be kept is 400 instead of being ignored."""
    reply = desk.client("POST", "/orders", GOOD, {"idempotency-key": key}, desk.token())
    assert reply.status == 400


def test_a_refused_request_may_be_repeated_under_its_key(desk: Engine) -> None:
    """Only what was committed is stored: after a 422 the key is free."""
    headers = {"idempotency-key": "once-3"}
    token = desk.token("ines")
    assert desk.client("POST", "/orders", {"lines": []}, headers, token).status == 422
    assert desk.client("POST", "/orders", GOOD, headers, token).status == 201


def test_duplicates_at_the_same_time_join_the_first(desk: Engine) -> None:
    """Ten requests with one key at once are one order and ten equal answers."""
    token = desk.token("ivy")
    body = GOOD | {"wait_s": 0.2}

    def send(number: int) -> tuple[int, bytes]:
        reply = desk.once("POST", "/orders", body, {"idempotency-key": "once-4"}, token)
        return reply.status, reply.body

    with ThreadPoolExecutor(10) as threads:
        found = list(threads.map(send, range(10)))
    assert len(set(found)) == 1
    assert found[0][0] == 201
    assert desk.client("GET", "/totals/ivy").json()["orders"] == 1


def test_a_different_body_does_not_join(desk: Engine) -> None:
    """While the first runs, another request under its key is refused at once."""
    token = desk.token("ian")
    headers = {"idempotency-key": "once-5"}
    with ThreadPoolExecutor(2) as threads:
        bodies = [GOOD | {"wait_s": 0.2}, GOOD | {"wait_s": 0.3}]
        sent = threads.map(lambda body: desk.once("POST", "/orders", body, headers, token), bodies)
        assert sorted(reply.status for reply in sent) == [201, 422]
    assert desk.client("GET", "/totals/ian").json()["orders"] == 1
