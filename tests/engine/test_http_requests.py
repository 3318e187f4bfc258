"""What a good request becomes, in whatever pieces it comes."""

from __future__ import annotations

import pytest

from wherry.engine.http.server import Bounds, Request, Response
from wherry.errors import TooLarge

from .http_kit import GET, Bucket, Client, Memory, chunked, finish, post, read_answers, running


def as_tuple(request: Request) -> tuple[object, ...]:
    return tuple(getattr(request, name) for name in Request.__struct_fields__)


def only(client: Client) -> Request:
    [request] = client.memory.app.requests
    return request


WHOLE = {
    "get": b"GET /a%20b/c?d=%20 HTTP/1.1\r\nHost: a:80\r\nX-One: 1\r\nx-one:  2 \r\n"
    b"Cookie: a=1\r\nCookie: b=2\r\nX-Latin: \xe4\r\n\r\n",
    "post": post(b"hello\r\n\r\nworld", b"Content-Type: text/plain"),
    "chunked": chunked(b"5\r\nhello\r\nC;a=b\r\n\r\n0\r\n\r\nworld\r\n0\r\n\r\n"),
    "old": b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "empty lines before": b"\r\n\r\nHEAD /x HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_request_split_anywhere_is_the_same_request(name: str) -> None:
    data = WHOLE[name]
    whole = Memory().connect().feed(data + GET)
    expected = [as_tuple(request) for request in whole.memory.app.requests]
    assert len(expected) == 2
    for at in range(1, len(data)):
        split = Memory().connect().feed(data[:at], data[at:] + GET)
        assert [as_tuple(request) for request in split.memory.app.requests] == expected, at
        assert split.transport.output == whole.transport.output
    single = Memory().connect().feed(*(bytes([byte]) for byte in data + GET))
    assert [as_tuple(request) for request in single.memory.app.requests] == expected


def test_a_request_has_every_part() -> None:
    request = only(Memory().connect().feed(WHOLE["get"]))
    assert request.method == "GET"
    assert request.target == "/a%20b/c?d=%20"
    assert request.path == "/a b/c"
    assert request.segments == ("a b", "c")
    assert request.query == "d=%20"
    assert request.headers == {
        "host": "a:80",
        "x-one": "1, 2",
        "cookie": "a=1; b=2",
        "x-latin": "ä",
    }
    assert request.body == b""
    assert request.client == "192.0.2.7"
    assert request.http_version == "1.1"
    assert request.keep_alive is True


def test_chunks_are_one_body() -> None:
    client = Memory().connect().feed(WHOLE["chunked"])
    assert only(client).body == b"hello\r\n0\r\n\r\nworld"
    assert client.memory.app.admitted[0][1] is None


@pytest.mark.parametrize(
    ("target", "path", "segments"),
    [
        ("/", "/", ("",)),
        ("/?", "/", ("",)),
        ("/a/", "/a/", ("a", "")),
        ("/a/b", "/a/b", ("a", "b")),
        ("/.well-known/x", "/.well-known/x", (".well-known", "x")),
        ("/a..b/..c/d..", "/a..b/..c/d..", ("a..b", "..c", "d..")),
        ("/a%2Fb/c", "/a/b/c", ("a/b", "c")),
        ("/a%252e%252e", "/a%2e%2e", ("a%2e%2e",)),
        ("/%C3%A4", "/ä", ("ä",)),
        ("/a+b;c=d,e@f:g!$&'()*~", "/a+b;c=d,e@f:g!$&'()*~", ("a+b;c=d,e@f:g!$&'()*~",)),
        ("/%25", "/%", ("%",)),
        ("/a?b=/../c//d\\%zz?", "/a", ("a",)),
        ("http://a/b/c?d", "/b/c", ("b", "c")),
        ("HTTP://A/b", "/b", ("b",)),
        ("https://a", "/", ("",)),
        ("http://a?q", "/", ("",)),
    ],
)
def test_a_path_is_decoded_once_and_an_encoded_slash_stays_in_its_segment(
    target: str, path: str, segments: tuple[str, ...]
) -> None:
    request = only(Memory().connect().feed(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target.encode()))
    assert (request.target, request.path, request.segments) == (target, path, segments)
    assert request.query == target.partition("?")[2]


@pytest.mark.parametrize("host", ["a", "a.b:8080", "my_service:80", "127.0.0.1", "[::1]:80"])
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    client = Memory().connect().feed(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host.encode())
    assert only(client).headers["host"] == host


def test_options_for_the_server_is_answered_without_the_app() -> None:
    client = Memory().connect().feed(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
    answers = read_answers(client.transport.output)
    assert [status for status, _, _ in answers] == [204, 200]
    assert "PATCH" in answers[0][1]["allow"]
    assert "content-length" not in answers[0][1]
    assert len(client.memory.app.admitted) == 1


@pytest.mark.parametrize(
    ("version", "header", "kept", "said"),
    [
        ("1.1", b"", True, None),
        ("1.1", b"Connection: Close\r\n", False, "close"),
        ("1.1", b"Connection: x, close\r\n", False, "close"),
        ("1.0", b"", False, "close"),
        ("1.0", b"Connection: Keep-Alive\r\n", True, "keep-alive"),
        ("1.0", b"Connection: keep-alive, close\r\n", False, "close"),
    ],
)
def test_a_connection_is_kept_as_the_client_asks(
    version: str, header: bytes, kept: bool, said: str | None
) -> None:
    data = b"GET /x HTTP/%b\r\nHost: a\r\n%b\r\n" % (version.encode(), header)
    client = Memory().connect().feed(data)
    [(_, headers, _)] = read_answers(client.transport.output)
    assert (client.is_open(), headers.get("connection")) == (kept, said)
    assert only(client).keep_alive is kept


def test_what_follows_a_close_is_not_read() -> None:
    client = (
        Memory().connect().feed(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GET)
    )
    assert [request.path for request in client.memory.app.requests] == ["/x"]
    assert client.statuses == [200]


def test_pipelined_requests_are_answered_in_order_one_at_a_time() -> None:
    memory = Memory()
    memory.app.hold = True
    client = memory.connect()
    client.feed(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(5)))
    client.feed(b"GET /5 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert not client.transport.is_reading()
    for n in range(6):
        assert [request.path for request in memory.app.requests] == [f"/{m}" for m in range(n + 1)]
        assert memory.hub.in_flight == 1
        memory.app.responders[n].send(Response(200, [], b"%d" % n))
    assert [body for _, _, body in read_answers(client.transport.output)] == [
        b"%d" % n for n in range(6)
    ]
    assert client.transport.is_reading()
    assert memory.hub.in_flight == 0


def test_ten_thousand_pipelined_requests_neither_recurse_nor_hold_the_loop() -> None:
    memory = Memory()
    client = memory.connect()
    client.connection.data_received(GET * 10_000)
    assert len(memory.app.requests) < 100
    assert not client.transport.is_reading()
    memory.loop.run()
    assert len(memory.app.requests) == 10_000
    assert client.transport.is_reading()


def test_continue_is_said_once_the_app_has_admitted_the_body() -> None:
    head, _, body = post(b"hello", b"Expect: 100-continue").partition(b"\r\n\r\n")
    client = Memory().connect().feed(head + b"\r\n\r\n")
    assert client.statuses == [100]
    client.feed(body)
    assert client.statuses == [100, 200]
    assert only(client).body == b"hello"
    at_once = Memory().connect().feed(post(b"hello", b"Expect: 100-continue"))
    assert at_once.statuses == [200]


def test_a_refused_body_is_never_asked_for() -> None:
    memory = Memory()
    memory.app.verdict = lambda request, length: Response(404, [], b"no")
    client = memory.connect().feed(
        b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    )
    assert client.statuses == [404]
    assert not client.is_open()
    assert memory.app.requests == []


def test_a_refusal_without_a_body_keeps_the_connection() -> None:
    memory = Memory()
    memory.app.verdict = lambda request, length: Response(429, [("retry-after", "1")])
    client = memory.connect().feed(GET + GET)
    assert client.statuses == [429, 429]
    assert client.is_open()
    assert memory.hub.in_flight == 0


def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    bounds = Bounds(body_bytes=10)
    exact = Memory(bounds=bounds).connect().feed(post(b"x" * 10))
    assert exact.statuses == [200]
    announced = Memory(bounds=bounds).connect()
    announced.feed(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n")
    assert announced.statuses == [413]
    in_chunks = Memory(bounds=bounds).connect().feed(chunked(b"8\r\naaaaaaaa\r\n"), b"3\r\n")
    assert in_chunks.statuses == [413]
    for client in (announced, in_chunks):
        assert not client.is_open()
        assert client.memory.app.requests == []
        assert client.memory.hub.held == 0


def test_all_bodies_together_have_a_bound() -> None:
    memory = Memory(bounds=Bounds(body_bytes=10, bodies_bytes=25))
    clients = [memory.connect().feed(post(b"x" * 10)[:-1]) for _ in range(3)]
    assert [client.statuses for client in clients] == [[], [], [503]]
    assert read_answers(clients[2].transport.output)[0][1]["retry-after"] == "1"
    clients[0].feed(b"x")
    assert clients[0].statuses == [200]
    clients[1].leave()
    assert memory.hub.held == 0


def test_a_body_streams_into_a_sink() -> None:
    memory = Memory(bounds=Bounds(body_bytes=1))
    bucket = Bucket()
    memory.app.verdict = lambda request, length: bucket
    client = memory.connect().feed(post(b"hello")[:-3], b"l", b"lo")
    assert b"".join(bucket.pieces) == b"hello"
    assert bucket.ends == [True]
    assert memory.app.admitted[0][1] == 5
    assert only(client).body == b""
    client.feed(chunked(b"5\r\nhello\r\n0\r\n\r\n"), post(b""))
    assert b"".join(bucket.pieces) == b"hellohello"
    assert bucket.ends == [True, True, True]
    assert client.statuses == [200, 200, 200]


def test_a_sink_learns_that_its_body_will_never_be_whole() -> None:
    memory = Memory()
    buckets = [Bucket() for _ in range(3)]
    turn = iter(buckets)
    memory.app.verdict = lambda request, length: next(turn)
    left = memory.connect().feed(post(b"hello")[:-1])
    left.leave()
    memory.connect().feed(chunked(b"5\r\nhello\r\nX"), b"\r\n")
    memory.connect().feed(post(b"hello")[:-1])
    memory.pass_time(10)
    assert [bucket.ends for bucket in buckets] == [[False]] * 3
    assert memory.app.requests == []


def test_a_full_sink_stops_the_reading() -> None:
    memory = Memory()
    bucket = Bucket()
    memory.app.verdict = lambda request, length: bucket
    client = memory.connect()
    bucket.full = True
    client.feed(post(b"x" * 30)[:-20])
    assert not client.transport.is_reading()
    client.connection.data_received(b"x" * 10)
    assert len(b"".join(bucket.pieces)) == 10
    memory.pass_time(3_600)
    assert client.is_open(), "its own slowness is not the client's"
    bucket.full = False
    bucket.callbacks.pop()()
    assert client.transport.is_reading()
    assert len(b"".join(bucket.pieces)) == 20
    client.feed(b"x" * 10)
    assert bucket.ends == [True]
    assert client.statuses == [200]


def test_a_sink_that_raises_answers() -> None:
    memory = Memory()

    class Small(Bucket):
        def write(self, piece: bytes) -> None:
            raise TooLarge("too much") if piece == b"much" else OSError("secret")

    buckets: list[Small] = []

    def verdict(request: Request, length: int | None) -> Small:
        buckets.append(Small())
        return buckets[-1]

    memory.app.verdict = verdict
    much = memory.connect().feed(post(b"much"))
    other = memory.connect().feed(post(b"other"))
    assert much.statuses == [413]
    assert other.statuses == [500]
    assert b"secret" not in other.transport.output
    assert [bucket.ends for bucket in buckets] == [[False], [False]]
    assert [str(fault) for fault in memory.loop.faults] == ["secret"]
    assert memory.app.requests == []


def test_real_sockets_carry_a_large_body_both_ways() -> None:
    async def main() -> None:
        async with running() as run:
            body = bytes(range(256)) * 4096 * 6
            run.app.reply = lambda request: Response(200, [], request.body)
            answer = await run.exchange(post(body, b"Connection: close"))
            [(status, _, echoed)] = read_answers(answer)
            assert status == 200
            assert echoed == body
            assert run.app.requests[0].client == "127.0.0.1"

    finish(main())
