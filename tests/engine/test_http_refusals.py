"""Raw bytes on a socket: what cannot be read in one way only is refused and the socket closed."""

from __future__ import annotations

import json

import pytest

from wherry.engine.http.bounds import Bounds
from wherry.engine.http.messages import Request, Responder

from .http_kit import GET, SMUGGLED, Memory, Recorder, chunked, finish, post, read_answers, running

H = b"Host: a\r\n"


def get(*headers: bytes, line: bytes = b"GET /x HTTP/1.1") -> bytes:
    return b"\r\n".join([line, *headers]) + b"\r\n\r\n"


FRAMING = {
    "content-length and transfer-encoding": (
        post(b"0\r\n\r\n", b"Transfer-Encoding: chunked"),
        400,
    ),
    "transfer-encoding before content-length": (
        chunked(b"0\r\n\r\n", b"Content-Length: 5"),
        400,
    ),
    "transfer-encoding in HTTP/1.0": (
        get(b"Host: a", b"Transfer-Encoding: chunked", line=b"POST /x HTTP/1.0") + b"0\r\n\r\n",
        400,
    ),
    "transfer-encoding gzip": (get(b"Host: a", b"Transfer-Encoding: gzip") + b"0\r\n\r\n", 400),
    "transfer-encoding gzip, chunked": (
        get(b"Host: a", b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
        400,
    ),
    "transfer-encoding chunked twice": (chunked(b"0\r\n\r\n", b"Transfer-Encoding: chunked"), 400),
    "transfer-encoding xchunked": (
        get(b"Host: a", b"Transfer-Encoding: xchunked") + b"0\r\n\r\n",
        400,
    ),
    "transfer-encoding with vertical tab": (
        get(b"Host: a", b"Transfer-Encoding: \x0bchunked"),
        400,
    ),
    "transfer-encoding identity": (
        get(b"Host: a", b"Transfer-Encoding: identity") + b"0\r\n\r\n",
        400,
    ),
    "two different content-lengths": (post(b"hello", b"Content-Length: 4"), 400),
    "two equal content-lengths": (post(b"hello", b"Content-Length: 5"), 400),
    "content-length list": (get(b"Host: a", b"Content-Length: 5, 5") + b"hello", 400),
    "content-length with sign": (get(b"Host: a", b"Content-Length: +5") + b"hello", 400),
    "content-length negative": (get(b"Host: a", b"Content-Length: -5"), 400),
    "content-length hexadecimal": (get(b"Host: a", b"Content-Length: 0x5") + b"hello", 400),
    "content-length empty": (get(b"Host: a", b"Content-Length:"), 400),
    "content-length beyond 64 bits": (get(b"Host: a", b"Content-Length: " + b"9" * 30), 400),
    "content-length of 16 digits": (get(b"Host: a", b"Content-Length: " + b"1" * 16), 400),
    "content-length with underscore": (get(b"Host: a", b"Content-Length: 1_0"), 400),
    "obs-fold": (get(b"Host: a", b"X: a\r\n b"), 400),
    "obs-fold with tab": (get(b"Host: a", b"X: a\r\n\tb"), 400),
    "fold behind the request line": (b"GET /x HTTP/1.1\r\n X: a\r\nHost: a\r\n\r\n", 400),
    "space before colon": (get(b"Host: a", b"X : a"), 400),
    "tab before colon": (get(b"Host: a", b"Content-Length\t: 5"), 400),
    "header without colon": (get(b"Host: a", b"X"), 400),
    "header without name": (get(b"Host: a", b": a"), 400),
    "space in header name": (get(b"Host: a", b"X Y: a"), 400),
    "non-ASCII header name": (get(b"Host: a", b"X\xff: a"), 400),
    "NUL in header value": (get(b"Host: a", b"X: a\x00b"), 400),
    "NUL in header name": (get(b"Host: a", b"X\x00: a"), 400),
    "CR in header value": (get(b"Host: a", b"X: a\rb"), 400),
    "control character in header value": (get(b"Host: a", b"X: a\x01b"), 400),
    "DEL in header value": (get(b"Host: a", b"X: a\x7fb"), 400),
    "bare LF everywhere": (b"GET /x HTTP/1.1\nHost: a\n\n" + b"\r\n\r\n", 400),
    "bare LF in one line": (b"GET /x HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400),
    "LF CR LF": (b"GET /x HTTP/1.1\r\nHost: a\n\r\n\r\n", 400),
    "CR CR LF": (b"GET /x HTTP/1.1\r\nHost: a\r\r\n\r\n", 400),
    "no Host": (get(), 400),
    "two Hosts": (get(b"Host: a", b"Host: b"), 400),
    "two equal Hosts": (get(b"Host: a", b"host: a"), 400),
    "empty Host": (get(b"Host:"), 400),
    "Host with path": (get(b"Host: a/b"), 400),
    "Host with user": (get(b"Host: u@a"), 400),
    "Host with wrong port": (get(b"Host: a:b"), 400),
    "Host with space": (get(b"Host: a b"), 400),
    "Host with comma": (get(b"Host: a,b"), 400),
    "wrong Host in HTTP/1.0": (get(b"Host: a b", line=b"GET /x HTTP/1.0"), 400),
    "no version": (b"GET /x\r\nHost: a\r\n\r\n", 400),
    "lower-case version": (get(b"Host: a", line=b"GET /x http/1.1"), 400),
    "HTTP/1.10": (get(b"Host: a", line=b"GET /x HTTP/1.10"), 400),
    "HTTP/1.2": (get(b"Host: a", line=b"GET /x HTTP/1.2"), 505),
    "HTTP/0.9": (get(b"Host: a", line=b"GET /x HTTP/0.9"), 505),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "two spaces": (get(b"Host: a", line=b"GET  /x HTTP/1.1"), 400),
    "tab in request line": (get(b"Host: a", line=b"GET\t/x HTTP/1.1"), 400),
    "tab in target": (get(b"Host: a", line=b"GET /x\ty HTTP/1.1"), 400),
    "space in target": (get(b"Host: a", line=b"GET /x y HTTP/1.1"), 400),
    "space behind version": (get(b"Host: a", line=b"GET /x HTTP/1.1 "), 400),
    "space before method": (get(b"Host: a", line=b" GET /x HTTP/1.1"), 400),
    "empty target": (get(b"Host: a", line=b"GET  HTTP/1.1"), 400),
    "non-ASCII target": (get(b"Host: a", line=b"GET /\xc3\xa4 HTTP/1.1"), 400),
    "unknown method": (get(b"Host: a", line=b"BREW /x HTTP/1.1"), 501),
    "lower-case method": (get(b"Host: a", line=b"get /x HTTP/1.1"), 501),
    "known to llhttp only": (get(b"Host: a", line=b"PROPFIND /x HTTP/1.1"), 501),
    "method no token": (get(b"Host: a", line=b"G{T /x HTTP/1.1"), 400),
    "TRACE": (get(b"Host: a", line=b"TRACE /x HTTP/1.1"), 501),
    "CONNECT": (get(b"Host: a", line=b"CONNECT a:443 HTTP/1.1"), 501),
    "upgrade to websocket": (
        get(b"Host: a", b"Connection: Upgrade", b"Upgrade: websocket"),
        501,
    ),
    "upgrade to h2c": (
        get(b"Host: a", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c"),
        501,
    ),
    "upgrade with body": (post(b"hello", b"Connection: upgrade", b"Upgrade: h2c"), 501),
    "upgrade without connection": (get(b"Host: a", b"Upgrade: h2c"), 501),
    "other expectation": (post(b"", b"Expect: 200-maybe"), 417),
    "101 headers": (get(b"Host: a", *[b"X: a"] * 100), 431),
    "headers too large": (get(b"Host: a", b"X: " + b"a" * 10_240), 431),
    "headers without end": (b"GET /x HTTP/1.1\r\n" + b"X: a\r\n" * 2_000, 431),
    "request line too long": (get(b"Host: a", line=b"GET /" + b"a" * 10_240 + b" HTTP/1.1"), 414),
    "request line without end": (b"GET /" + b"a" * 20_000, 414),
    "TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "NUL before the end of the headers": (b"GET /x HTTP/1.1\r\nHost: a\r\nX: \x00", 400),
}

CHUNKS = {
    "no hexadecimal": b"g\r\nhello\r\n0\r\n\r\n",
    "signed size": b"+5\r\nhello\r\n0\r\n\r\n",
    "0x size": b"0x5\r\nhello\r\n0\r\n\r\n",
    "underscore in size": b"1_0\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n",
    "empty size": b"\r\nhello\r\n0\r\n\r\n",
    "size beyond 60 bits": b"f" * 16 + b"\r\nhello\r\n0\r\n\r\n",
    "space before size": b" 5\r\nhello\r\n0\r\n\r\n",
    "space behind size": b"5 \r\nhello\r\n0\r\n\r\n",
    "LF behind size": b"5\nhello\r\n0\r\n\r\n",
    "CR in size line": b"5\rX\r\nhello\r\n0\r\n\r\n",
    "LF in extension": b"5;a\nhello\r\n0\r\n\r\n",
    "LF in extension, then CR LF": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "NUL in extension": b"5;a\x00b\r\nhello\r\n0\r\n\r\n",
    "extension too long": b"5;" + b"a" * 300 + b"\r\nhello\r\n0\r\n\r\n",
    "extension without end": b"5;" + b"a" * 300,
    "chunk too long": b"5\r\nhelloworld\r\n0\r\n\r\n",
    "chunk too short": b"5\r\nhell\r\n0\r\n\r\n0\r\n\r\n",
    "chunk without CR": b"5\r\nhello\n0\r\n\r\n",
    "chunk with other end": b"5\r\nhelloXX0\r\n\r\n",
    "last chunk with LF": b"5\r\nhello\r\n0\n\n",
    "trailer": b"5\r\nhello\r\n0\r\nX: a\r\n\r\n",
    "smuggling trailer": b"0\r\nContent-Length: 5\r\n\r\n",
    "crowd of tiny chunks": b"1\r\na\r\n" * 1_100 + b"0\r\n\r\n",
}

TARGETS = [
    b"x",
    b"*",
    b"http:/x",
    b"http://b/x",
    b"http://a@b/x",
    b"ftp://a/x",
    b"//x",
    b"//",
    b"/a//b",
    b"/a//",
    b"/..",
    b"/../etc/passwd",
    b"/a/../b",
    b"/a/..",
    b"/.",
    b"/a/./b",
    b"/a/.",
    b"/%2e%2e/b",
    b"/%2E./b",
    b"/.%2e/b",
    b"/%2e/b",
    b"/%2e%2e%2fetc",
    b"/a%2f..%2fb",
    b"/a%2F%2Fb",
    b"/a%2f/b",
    b"/%2fa",
    b"/a/%2fb",
    b"/a%00b",
    b"/a%0ab",
    b"/a%0db",
    b"/a%7fb",
    b"/a%1bb",
    b"/a\\b",
    b"/a%5cb",
    b"/..%5c..",
    b"/a%",
    b"/a%2",
    b"/a%zz",
    b"/a%%20",
    b"/a%+1",
    b"/a%u0041",
    b"/a%ff",
    b"/a%c0%ae",
    b"/a%c3",
    b"/a%ed%a0%80",
    b"/a%f4%90%80%80",
    b"/a#b",
    b"/a?b#c",
    b"#",
    b"?a",
]

CASES = (
    {f"framing: {name}": case for name, case in FRAMING.items()}
    | {f"chunks: {name}": (chunked(body), 400) for name, body in CHUNKS.items()}
    | {
        f"target: {t.decode()}": (get(b"Host: a", line=b"GET %b HTTP/1.1" % t), 400)
        for t in TARGETS
    }
)


@pytest.mark.parametrize("name", CASES)
def test_a_request_with_two_readings_is_refused_and_its_connection_closed(name: str) -> None:
    data, expected = CASES[name]

    async def main() -> None:
        async with running() as run:
            answer = await run.exchange(data + SMUGGLED)
            [(status, headers, body)] = read_answers(answer)
            assert status == expected
            assert headers["connection"] == "close"
            assert headers["content-type"] == "application/problem+json"
            document = json.loads(body)
            assert document["status"] == expected
            assert document["title"]
            assert document["code"]
            assert document["detail"]
            assert run.app.requests == []
            await until_alive(run.exchange)

    finish(main())


async def until_alive(exchange: object) -> None:
    answer = await exchange(b"GET /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")  # type: ignore[operator]
    [(status, _, body)] = read_answers(answer)
    assert (status, body) == (200, b"/ok")


def test_what_can_never_be_a_request_is_refused_before_its_headers_end() -> None:
    for junk in (b"\x16\x03\x01", b"GET / HTTP/1.1\r\nX: \x00"):
        assert Memory().connect().feed(junk).statuses == [400]
        client = Memory().connect().feed(GET, junk[:1], junk[1:])
        assert client.statuses == [200, 400]
        assert not client.is_open()


def test_a_refusal_behind_a_head_request_has_a_body() -> None:
    client = (
        Memory().connect().feed(b"HEAD /x HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
    )
    before = len(client.transport.output)
    client.feed(b"x" * 11_000)
    [(status, headers, body)] = read_answers(client.transport.output[before:])
    assert (status, headers["connection"]) == (414, "close")
    assert body


def test_a_refusal_behind_a_good_request_comes_behind_its_answer() -> None:
    async def main() -> None:
        async with running() as run:
            answer = await run.exchange(GET + get(b"Host: a", b"Host: b") + SMUGGLED)
            assert [status for status, _, _ in read_answers(answer)] == [200, 400]
            assert [request.path for request in run.app.requests] == ["/ok"]

    finish(main())


def test_a_refusal_reaches_a_client_that_goes_on_sending() -> None:
    async def main() -> None:
        async with running() as run:
            length = 7 * 1024 * 1024
            head = b"POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length
            reader, writer = await run.connect()
            for piece in [head] + [b"x" * 65_536] * (length // 65_536):
                writer.write(piece)
                await writer.drain()
            [(status, _, _)] = read_answers(await reader.read())
            assert status == 413
            writer.close()

    finish(main())


class Named(Recorder):
    """An app that gives correlation IDs, and lets pages read what the server refuses."""

    def correlation_of(self, headers: dict[str, str]) -> str:
        return headers.get("x-correlation-id", "made-here")

    def cors_of(self, request: Request) -> list[tuple[str, str]]:
        return [("access-control-allow-origin", request.headers.get("origin", ""))]


@pytest.mark.parametrize(
    ("sent", "status", "correlation"),
    [
        (get(b"Host: a", line=b"GET /%2e%2e/x HTTP/1.1"), 400, "made-here"),
        (get(b"Host: a", b"X: " + b"a" * 10_240), 431, "made-here"),
        (get(b"Host: a", b"X-Correlation-Id: mine", b"Content-Length: 7000000"), 413, "mine"),
    ],
)
def test_what_the_server_refuses_by_itself_has_a_correlation_id(
    sent: bytes, status: int, correlation: str
) -> None:
    """In the header and in the body, as every answer of the app: the caller's where it is known."""
    client = Memory(Named()).connect()
    client.feed(sent)
    [(found, headers, body)] = read_answers(client.transport.output)
    assert (found, headers["x-correlation-id"]) == (status, correlation)
    assert json.loads(body)["correlation_id"] == correlation


def test_who_finds_no_place_or_comes_too_slowly_is_told_an_id_too() -> None:
    memory = Memory(Named(), Bounds(connections=1))
    first, second = memory.connect(), memory.connect()
    first.feed(b"GET /x HTTP/1.1\r\n")
    memory.pass_time(60)
    answers = [read_answers(one.transport.output)[0] for one in (first, second)]
    assert [status for status, _, _ in answers] == [408, 503]
    assert [headers["x-correlation-id"] for _, headers, _ in answers] == ["made-here"] * 2
    assert "retry-after" in answers[1][1]


def test_what_the_server_refuses_by_itself_can_be_read_by_a_page_that_may_call() -> None:
    """The app says which origins may read it, also of a body that only the server has seen."""
    client = Memory(Named(), Bounds(body_bytes=4)).connect()
    client.feed(chunked(b"5\r\nhello\r\n0\r\n\r\n", b"Origin: https://a.example"))
    [(status, headers, _)] = read_answers(client.transport.output)
    assert (status, headers["access-control-allow-origin"]) == (413, "https://a.example")


def test_a_fault_of_the_app_is_told_with_the_id_of_its_request() -> None:
    """500 without details, and with all that every answer to this request has."""

    class Broken(Named):
        def handle(self, request: Request, responder: Responder) -> None:
            raise RuntimeError("a bug")

    client = Memory(Broken()).connect()
    client.feed(get(b"Host: a", b"X-Correlation-Id: mine", b"Origin: https://a.example"))
    [(status, headers, body)] = read_answers(client.transport.output)
    assert (status, headers["x-correlation-id"]) == (500, "mine")
    assert json.loads(body)["correlation_id"] == "mine"
    assert headers["access-control-allow-origin"] == "https://a.example"
