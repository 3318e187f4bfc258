"""Any bytes in any pieces: the server lives, and no framing yields two requests."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from .http_kit import GET, SMUGGLED, Client, Memory, chunked, post, read_answers

FRAGMENTS = [
    b"GET / HTTP/1.1\r\n",
    b"POST /a HTTP/1.1\r\n",
    b"HEAD /h HTTP/1.0\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n\r\n",
    b"Host: a\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: 40\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"Connection: upgrade\r\nUpgrade: h2c\r\n",
    b"Expect: 100-continue\r\n",
    b"X: y\r\n",
    b"X: y\n",
    b" folded\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"\x00",
    b"hello",
    b"5\r\nhello\r\n",
    b"5;a=b\r\nhello\r\n",
    b"5;\nhello\r\n",
    b"0\r\n\r\n",
    b"0\r\n",
    b"fffffffffffffff\r\n",
    b"%2e%2e/",
    GET,
    SMUGGLED,
    post(b"hello"),
    chunked(b"5\r\nhello\r\n0\r\n\r\n"),
]

streams = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=8), max_size=12).map(b"".join)
common = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)


def outcome(client: Client) -> tuple[object, ...]:
    app = client.memory.app
    seen = [(r.method, r.path, r.headers, r.body, r.keep_alive) for r in app.requests]
    return (
        seen,
        client.transport.output.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b""),
        client.is_open(),
    )


@common
@given(streams, st.lists(st.integers(0, 400), max_size=6))
@example(chunked(b"5\r\nhello\r\n0\r\n\r\n") + SMUGGLED, [70, 80])
def test_the_pieces_do_not_matter(data: bytes, cuts: list[int]) -> None:
    whole = Memory().connect().feed(data)
    marks = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    pieces = [data[a:b] for a, b in pairwise(marks) if a < b]
    split = Memory().connect().feed(*pieces)
    assert outcome(split)[0] == outcome(whole)[0]
    assert outcome(split)[2] == outcome(whole)[2]
    statuses = [status for status, _, _ in answers(split)]
    assert statuses == [status for status, _, _ in answers(whole)]
    for client in (whole, split):
        assert not client.memory.loop.faults
        client.leave()
        assert client.memory.hub.held == client.memory.hub.in_flight == 0
        assert client.memory.hub.open == set()


def answers(client: Client) -> list[tuple[int, dict[str, str], bytes]]:
    output = client.transport.output.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
    # An answer to HEAD announces a length and sends nothing: cut such answers out first.
    heads = sum(request.method == "HEAD" for request in client.memory.app.requests)
    return [] if heads else read_answers(output)


@common
@given(st.binary(max_size=300))
def test_random_bytes_never_reach_the_app(data: bytes) -> None:
    client = Memory().connect().feed(data, b"\r\n\r\n")
    assert client.memory.app.requests == []
    assert set(client.statuses) <= {400, 501, 505}


@common
@given(
    st.sampled_from([post(b"hello"), chunked(b"5\r\nhello\r\n0\r\n\r\n"), GET]),
    st.integers(0, 200),
    st.integers(0, 255),
    st.booleans(),
)
def test_a_changed_byte_never_makes_two_requests_of_one(
    data: bytes, at: int, byte: int, insert: bool
) -> None:
    at %= len(data)
    changed = data[:at] + bytes([byte]) + data[at + (not insert) :]
    client = Memory().connect().feed(changed)
    assert len(client.memory.app.requests) <= 1


# What a strict reader of RFC 9112 would find, written independently of the server.
_STRICT = re.compile(
    rb"(?:\r\n)*(?:GET|POST|HEAD|OPTIONS) [!-~]+ HTTP/1\.[01]\r\n"
    rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)*\r\n"
)


@common
@given(streams)
def test_every_request_begins_where_a_strict_reader_says(data: bytes) -> None:
    client = Memory().connect().feed(data)
    rest = data
    for request, _ in client.memory.app.admitted:
        while True:
            found = _STRICT.match(rest)
            assert found is not None
            rest = rest[found.end() :]
            if b"OPTIONS *" not in found[0]:
                break
        assert request.target.encode() == found[0].split(b" ")[1]
        if "transfer-encoding" in request.headers:
            rest = after_chunks(rest)
        else:
            rest = rest[int(request.headers.get("content-length", 0)) :]


def after_chunks(data: bytes) -> bytes:
    while found := re.match(rb"([0-9A-Fa-f]+)(?:;[^\r\n]*)?\r\n", data):
        size = int(found[1], 16)
        if size == 0:
            return data[found.end() + 2 :]
        data = data[found.end() + size + 2 :]
    return data
