"""Slow clients are closed by the sweep; the clock is moved by hand."""

from __future__ import annotations

from wherry import limits
from wherry.engine.http.server import Bounds, Response

from .http_kit import GET, Bucket, Memory, chunked, finish, post, read_answers, running


def test_two_thousand_slow_connections_are_closed_by_one_sweep() -> None:
    memory = Memory()
    silent = [memory.connect() for _ in range(1_000)]
    trickling = [memory.connect().feed(b"GET / HT") for _ in range(1_000)]
    for _ in range(4):
        memory.pass_time(1)
        for client in trickling:
            client.feed(b"X")
    assert all(client.is_open() for client in silent + trickling)
    memory.pass_time(1)
    assert all(client.transport.aborted for client in silent)
    assert all(client.statuses == [408] and not client.is_open() for client in trickling)
    for client in trickling:
        client.feed(b"TP/1.1\r\nHost: a\r\n\r\n")
    memory.pass_time(limits.LINGER_S)
    assert all(client.transport.aborted for client in trickling)
    assert memory.app.requests == []


def test_a_kept_connection_is_closed_when_idle() -> None:
    memory = Memory()
    client = memory.connect().feed(GET)
    memory.pass_time(limits.IDLE_CONNECTION_S - 1)
    client.feed(GET)
    memory.pass_time(limits.IDLE_CONNECTION_S - 1)
    assert client.is_open()
    memory.pass_time(1)
    assert client.transport.aborted
    assert client.statuses == [200, 200]


def test_the_headers_of_a_later_request_have_a_deadline_from_their_first_byte() -> None:
    memory = Memory()
    client = memory.connect().feed(GET)
    memory.pass_time(30)
    client.feed(b"G")
    memory.pass_time(limits.HEADERS_TIMEOUT_S - 1)
    client.feed(b"E")
    assert client.is_open()
    memory.pass_time(1)
    assert client.statuses == [200, 408]
    assert not client.is_open()


def test_empty_lines_are_no_sign_of_life() -> None:
    memory = Memory()
    client = memory.connect().feed(GET)
    for _ in range(int(limits.IDLE_CONNECTION_S)):
        client.feed(b"\r\n")
        memory.pass_time(1)
    assert client.transport.aborted


def test_a_collected_body_has_a_deadline() -> None:
    memory = Memory()
    client = memory.connect().feed(post(b"x" * 100)[:-90])
    for _ in range(int(limits.BODY_TIMEOUT_S) - 1):
        memory.pass_time(1)
        client.feed(b"x")
    assert client.is_open()
    memory.pass_time(1)
    assert client.statuses == [408]
    assert not client.is_open()
    assert memory.app.requests == []


def test_a_streamed_body_has_a_least_rate_and_no_deadline() -> None:
    memory = Memory()
    bucket = Bucket()
    memory.app.verdict = lambda request, length: bucket
    rate, window_s = limits.BODY_RATE_BYTES_PER_S, int(limits.RATE_WINDOW_S)
    client = memory.connect().feed(post(b"x" * rate * 1000)[: -rate * 1000])
    for _ in range(20 * window_s):
        client.feed(b"x" * rate)
        memory.pass_time(1)
    assert client.is_open()
    client.feed(b"x" * (rate * window_s - 1))
    memory.pass_time(window_s)
    assert client.statuses == [408]
    assert bucket.ends == [False]


def test_chunk_framing_is_not_progress_for_ever() -> None:
    memory = Memory()
    client = memory.connect().feed(chunked(b""))
    for _ in range(int(limits.BODY_TIMEOUT_S)):
        client.feed(b"20\r\n" + b"x" * 32 + b"\r\n")
        memory.pass_time(1)
    assert client.statuses == [408]


def test_an_app_may_take_its_time() -> None:
    memory = Memory()
    memory.app.hold = True
    client = memory.connect().feed(GET)
    memory.pass_time(3_600)
    assert client.is_open()
    memory.app.responders[0].send(Response(200, [], b"late"))
    assert client.statuses == [200]


def test_a_client_that_does_not_read_is_cut_off() -> None:
    memory = Memory()
    memory.app.reply = lambda request: Response(200, [], b"x" * 1_000_000)
    client = memory.connect()
    client.transport.stuck = True
    client.feed(GET, GET)
    assert len(memory.app.requests) == 1, "the next request waits until the client has read"
    assert not client.transport.is_reading()
    for _ in range(3):
        client.transport.read(limits.BODY_RATE_BYTES_PER_S * int(limits.RATE_WINDOW_S))
        memory.pass_time(limits.RATE_WINDOW_S)
        assert client.is_open()
    client.transport.read(limits.BODY_RATE_BYTES_PER_S)
    memory.pass_time(limits.RATE_WINDOW_S)
    assert client.transport.aborted


def test_a_client_that_reads_at_last_gets_its_next_answer() -> None:
    memory = Memory()
    memory.app.reply = lambda request: Response(200, [], b"x" * 1_000_000)
    client = memory.connect()
    client.transport.stuck = True
    client.feed(GET, GET)
    client.transport.stuck = False
    client.transport.read(client.transport.unread)
    assert client.statuses == [200, 200]
    assert client.transport.is_reading()


def test_unread_small_answers_do_not_keep_an_idle_connection() -> None:
    memory = Memory()
    client = memory.connect()
    client.transport.stuck = True
    client.feed(GET)
    memory.pass_time(limits.IDLE_CONNECTION_S)
    assert client.transport.aborted


def test_a_closing_connection_that_does_not_read_is_cut_off() -> None:
    memory = Memory()
    client = memory.connect()
    client.transport.stuck = True
    client.feed(b"GET /x HTTP/1.0\r\n\r\n")
    assert client.transport.closing
    assert not client.transport.aborted
    memory.pass_time(limits.RATE_WINDOW_S)
    assert client.transport.aborted


def test_sockets_that_are_silent_slow_or_idle_are_closed() -> None:
    async def main() -> None:
        async with running(Bounds(idle_s=30)) as run:
            silent, silent_writer = await run.connect()
            idle, idle_writer = await run.connect()
            idle_writer.write(GET)
            await idle.readuntil(b"/ok")
            slow, slow_writer = await run.connect()
            slow_writer.write(GET + b"GET /slow")
            await slow.readuntil(b"/ok")
            body, body_writer = await run.connect()
            body_writer.write(GET + post(b"hello")[:-1])
            await body.readuntil(b"/ok")
            run.pass_time(limits.HEADERS_TIMEOUT_S)
            assert await silent.read() == b""
            assert [status for status, _, _ in read_answers(await slow.read())] == [408]
            run.pass_time(limits.BODY_TIMEOUT_S - limits.HEADERS_TIMEOUT_S)
            assert [status for status, _, _ in read_answers(await body.read())] == [408]
            assert not idle.at_eof()
            run.pass_time(30)
            assert await idle.read() == b""
            for writer in (silent_writer, idle_writer, slow_writer, body_writer):
                writer.close()
            assert [request.path for request in run.app.requests] == ["/ok"] * 3

    finish(main())
