"""Starting, the bound on connections, stopping."""

from __future__ import annotations

import asyncio

from wherry.engine.http.server import Bounds, Response
from wherry.limits import FIRST_REQUEST_S

from .http_kit import GET, finish, post, read_answers, running, until


def test_connections_above_the_bound_are_told_and_closed() -> None:
    async def main() -> None:
        async with running(Bounds(connections=2)) as run:
            kept = []
            for _ in range(2):
                reader, writer = await run.connect()
                writer.write(GET)
                await reader.readuntil(b"/ok")
                kept.append(writer)
            reader, writer = await run.connect()
            [(status, headers, _)] = read_answers(await reader.read())
            assert (status, headers["connection"]) == (503, "close")
            writer.close()
            assert run.server.connections == 2
            kept[0].close()
            await until(lambda: run.server.connections == 1)
            last = await run.exchange(b"GET / HTTP/1.0\r\n\r\n")
            assert [status for status, _, _ in read_answers(last)] == [200]
            kept[1].close()

    finish(main())


def test_stopping_finishes_what_is_under_way_and_closes_what_is_idle() -> None:
    async def main() -> None:
        async with running() as run:
            idle, idle_writer = await run.connect()
            idle_writer.write(GET)
            await idle.readuntil(b"/ok")
            run.app.hold = True
            busy, busy_writer = await run.connect()
            busy_writer.write(GET)
            sending, sending_writer = await run.connect()
            sending_writer.write(post(b"hello")[:-1])
            await until(lambda: run.server.in_flight == 1 and len(run.app.admitted) == 3)
            stopping = asyncio.create_task(run.server.stop(10))
            assert await idle.read() == b""
            assert not stopping.done()
            sending_writer.write(b"o")
            await until(lambda: run.server.in_flight == 2)
            for responder in run.app.responders[1:]:
                responder.send(Response(200, [], b"done"))
            for reader in (busy, sending):
                [(status, headers, body)] = read_answers(await reader.read())
                assert (status, headers["connection"], body) == (200, "close", b"done")
            for writer in (idle_writer, busy_writer, sending_writer):
                writer.close()
            assert await stopping == 0
            assert run.server.connections == 0

    finish(main())


def test_who_leaves_serves_on_and_keeps_no_connection() -> None:
    async def main() -> None:
        async with running() as run:
            idle, idle_writer = await run.connect()
            idle_writer.write(GET)
            await idle.readuntil(b"/ok")
            left = asyncio.Event()
            leaving = asyncio.create_task(run.server.leave(60, left))
            await asyncio.sleep(0)
            idle_writer.write(GET)
            for answered in (idle.read(), run.exchange(GET)):
                [(status, headers, _)] = read_answers(await answered)
                assert (status, headers["connection"]) == (200, "close")
            idle_writer.close()
            left.set()
            await leaving

    finish(main())


def test_at_a_stop_a_new_connection_has_its_first_request_answered() -> None:
    """It is on its way: who has connected just now has sent one, or does so at once."""

    async def main() -> None:
        async with running() as run:
            first, first_writer = await run.connect()
            silent, silent_writer = await run.connect()
            await until(lambda: run.server.connections == 2)
            stopping = asyncio.create_task(run.server.stop(10))
            await asyncio.sleep(0)
            first_writer.write(GET)
            [(status, headers, _)] = read_answers(await first.read())
            assert (status, headers["connection"]) == (200, "close")
            assert not stopping.done()
            run.pass_time(FIRST_REQUEST_S)
            assert await silent.read() == b""
            for writer in (first_writer, silent_writer):
                writer.close()
            assert await stopping == 0

    finish(main())


def test_stopping_cuts_off_what_takes_too_long() -> None:
    async def main() -> None:
        async with running() as run:
            run.app.hold = True
            reader, writer = await run.connect()
            writer.write(GET)
            await until(lambda: run.server.in_flight)
            gone: list[bool] = []
            run.app.responders[0].on_gone(lambda: gone.append(True))
            stopping = asyncio.create_task(run.server.stop(10))
            await asyncio.sleep(0)
            run.pass_time(9)
            assert run.server.connections == 1
            run.pass_time(1)
            assert await stopping == 1
            assert gone == [True]
            assert await reader.read() == b""
            writer.close()

    finish(main())


def test_a_stopped_server_takes_no_connection() -> None:
    async def main() -> None:
        async with running() as run:
            await run.server.stop(1)
            refused = False
            try:
                await run.connect()
            except ConnectionRefusedError:
                refused = True
            assert refused

    finish(main())


def test_the_sweep_runs_by_itself() -> None:
    async def main() -> None:
        async with running() as run:
            reader, writer = await run.connect()
            await until(lambda: run.server.connections == 1)
            run.clock.advance(5)
            async with asyncio.timeout(10):
                assert await reader.read() == b""
            writer.close()

    finish(main())
