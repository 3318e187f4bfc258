"""What leaves the server: framing that is always right, files, faults, clients that left."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from wherry import limits
from wherry.engine.http.server import FileSlice, Request, Responder, Response
from wherry.errors import Conflict

from .http_kit import GET, Memory, finish, post, read_answers, running, until


def answer(response: Response, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    memory = Memory()
    memory.app.reply = lambda request: response
    client = memory.connect().feed(b"%b /x HTTP/1.1\r\nHost: a\r\n\r\n" % method.encode())
    assert client.is_open()
    assert client.transport.writes == 1
    head, _, body = client.transport.output.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return int(first.split(" ")[1]), dict(line.split(": ", 1) for line in lines), body


def test_an_answer_has_a_date_and_its_length() -> None:
    status, headers, body = answer(Response(201, [("X-Name", "ä")], b"hello"))
    assert (status, body) == (201, b"hello")
    assert headers == {
        "date": "Thu, 01 Jan 2026 00:00:00 GMT",
        "x-name": "ä",
        "content-length": "5",
    }


def test_the_date_moves_with_the_clock() -> None:
    memory = Memory()
    client = memory.connect().feed(GET)
    memory.pass_time(59)
    client.feed(GET)
    dates = [headers["date"] for _, headers, _ in read_answers(client.transport.output)]
    assert dates == ["Thu, 01 Jan 2026 00:00:00 GMT", "Thu, 01 Jan 2026 00:00:59 GMT"]


def test_head_is_answered_with_the_length_and_without_the_body(tmp_path: Path) -> None:
    status, headers, body = answer(Response(200, [], b"hello"), "HEAD")
    assert (status, headers["content-length"], body) == (200, "5", b"")
    part = FileSlice(str(tmp_path / "file"), 0, 77)
    status, headers, body = answer(Response(200, [], part), "HEAD")
    assert (status, headers["content-length"], body) == (200, "77", b"")


@pytest.mark.parametrize("status", [204, 304])
def test_some_statuses_have_no_body(status: int) -> None:
    found, headers, body = answer(Response(status, [("etag", '"1"')], b"hello"))
    assert (found, body, "content-length" in headers) == (status, b"", False)


def test_the_app_cannot_write_the_framing() -> None:
    theirs = [
        ("Content-Length", "1"),
        ("transfer-encoding", "chunked"),
        ("Connection", "close"),
        ("date", "never"),
        ("upgrade", "h2c"),
    ]
    _, headers, body = answer(Response(200, theirs, b"hello"))
    assert set(headers) == {"date", "content-length"}
    assert (headers["content-length"], body) == ("5", b"hello")


@pytest.mark.parametrize(
    "response",
    [
        Response(200, [("x", "a\r\nset-cookie: b")]),
        Response(200, [("x", "a\nb")]),
        Response(200, [("x", "a\rb")]),
        Response(200, [("x", "a\0b")]),
        Response(200, [("x\r\ny", "a")]),
        Response(200, [("x: y", "a")]),
        Response(200, [("", "a")]),
        Response(200, [("x", "\u20ac")]),
        Response(200, [("x", 5)]),  # type: ignore[list-item]
        Response(99, []),
        Response(100, []),
        Response(600, []),
        Response(200, [], FileSlice("/no/such/file", 0, 5)),
        Response(200, [], None),  # type: ignore[arg-type]
    ],
)
def test_an_answer_that_would_break_the_message_is_a_500(response: Response) -> None:
    memory = Memory()
    memory.app.reply = lambda request: response
    client = memory.connect().feed(GET)
    [(status, headers, body)] = read_answers(client.transport.output)
    assert status == 500
    assert "set-cookie" not in headers
    assert json.loads(body) == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "code": "internal_error",
    }
    assert len(memory.loop.faults) == 1


def test_a_fault_of_the_app_is_a_500_without_detail_and_is_reported() -> None:
    memory = Memory()

    def fail(request: Request) -> Response:
        raise RuntimeError("secret")

    memory.app.reply = fail
    client = memory.connect().feed(GET + GET)
    assert client.statuses == [500, 500]
    assert b"secret" not in client.transport.output
    assert [str(fault) for fault in memory.loop.faults] == ["secret"] * 2
    assert memory.hub.in_flight == 0


def test_a_fault_on_admission_closes_if_a_body_follows() -> None:
    memory = Memory()

    def fail(request: Request, length: int | None) -> None:
        raise RuntimeError("secret")

    memory.app.verdict = fail
    assert memory.connect().feed(post(b"hello")).statuses == [500]
    kept = memory.connect().feed(GET)
    assert kept.statuses == [500]
    assert kept.is_open()


def test_a_problem_that_is_raised_is_the_answer() -> None:
    memory = Memory()

    def fail(request: Request) -> Response:
        raise Conflict("The order is closed.", headers={"retry-after": "1"})

    memory.app.reply = fail
    client = memory.connect().feed(GET)
    [(status, headers, body)] = read_answers(client.transport.output)
    assert (status, headers["retry-after"]) == (409, "1")
    assert json.loads(body)["detail"] == "The order is closed."
    assert memory.loop.faults == []


def test_only_the_first_answer_counts() -> None:
    memory = Memory()
    memory.app.hold = True
    client = memory.connect().feed(GET)
    for status in (200, 201):
        memory.app.responders[0].send(Response(status))
    client.feed(GET)
    memory.app.responders[0].send(Response(202))
    assert client.statuses == [200]
    assert memory.hub.in_flight == 1


def test_an_answer_to_a_client_that_left_goes_nowhere() -> None:
    memory = Memory()
    memory.app.hold = True
    client = memory.connect().feed(GET)
    responder: Responder = memory.app.responders[0]
    told: list[str] = []

    def fail() -> None:
        raise RuntimeError("in a callback")

    responder.on_gone(fail)
    responder.on_gone(lambda: told.append("gone"))
    client.leave()
    assert responder.gone
    responder.on_gone(lambda: told.append("at once"))
    responder.send(Response(200))
    assert told == ["gone", "at once"]
    assert client.transport.output == b""
    assert memory.hub.in_flight == 0
    assert memory.hub.open == set()
    assert [str(fault) for fault in memory.loop.faults] == ["in a callback"]


def test_a_client_that_leaves_after_its_answer_is_not_missed() -> None:
    memory = Memory()
    memory.app.hold = True
    client = memory.connect().feed(GET)
    told: list[str] = []
    memory.app.responders[0].on_gone(lambda: told.append("gone"))
    memory.app.responders[0].send(Response(200))
    client.leave()
    assert told == []
    assert not memory.app.responders[0].gone


def test_a_socket_that_is_closed_calls_on_gone() -> None:
    async def main() -> None:
        async with running() as run:
            run.app.hold = True
            _, writer = await run.connect()
            writer.write(GET)
            await until(lambda: run.app.responders)
            told: list[str] = []
            run.app.responders[0].on_gone(lambda: told.append("gone"))
            writer.close()
            await until(lambda: told)
            run.app.responders[0].send(Response(200))
            assert run.server.connections == run.server.in_flight == 0

    finish(main())


def test_a_slice_of_a_file_is_sent_between_other_answers(tmp_path: Path) -> None:
    path = tmp_path / "file"
    content = bytes(range(256)) * 40_000
    path.write_bytes(content)
    part = FileSlice(str(path), 3, 9_000_000)
    replies = {
        "/file": Response(200, [], part),
        "/none": Response(200, [], FileSlice(str(path), 0, 0)),
    }

    async def main() -> None:
        async with running() as run:
            run.app.reply = lambda request: replies.get(request.path, Response(200, [], b"ok"))
            paths = [b"/a", b"/file", b"/none", b"/file", b"/b"]
            asked = b"".join(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path for path in paths)
            answers = read_answers(
                await run.exchange(
                    asked + b"GET /c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                )
            )
            sent = content[3:9_000_003]
            assert [body for _, _, body in answers] == [b"ok", sent, b"", sent, b"ok", b"ok"]
            assert run.faults == []

    finish(main())


def test_a_client_that_does_not_read_its_file_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 30_000_000)

    async def main() -> None:
        async with running() as run:
            run.app.reply = lambda request: Response(200, [], FileSlice(str(path), 0, 30_000_000))
            _, writer = await run.connect()
            writer.write(GET)
            await until(lambda: run.app.requests)
            for _ in range(20):  # until the buffers of the kernel are full
                await asyncio.sleep(0)
            while run.server.connections:
                run.pass_time(limits.RATE_WINDOW_S)
                await asyncio.sleep(0)
            writer.close()

    finish(main())


def test_a_file_that_shrinks_while_it_is_sent_cuts_the_connection(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 30_000_000)

    async def main() -> None:
        async with running() as run:
            run.app.reply = lambda request: Response(200, [], FileSlice(str(path), 0, 30_000_000))
            reader, writer = await run.connect()
            writer.write(GET)
            await reader.readexactly(1_000)
            path.write_bytes(b"")
            got = 0
            try:
                while piece := await reader.read(65_536):
                    got += len(piece)
            except ConnectionError:
                pass
            assert got < 30_000_000
            await until(lambda: not run.server.connections)
            writer.close()

    finish(main())
