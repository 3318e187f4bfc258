"""The control socket: how the command line speaks with a running engine.

A Unix socket of mode 0600 in the data folder. Functions run as the same user, and a path alone
does not keep them from connecting; so every request also carries a token from a file that they
may not read. One request a connection: a frame of 4 bytes length and a msgpack array
`[token, verb, payload]` is answered by one with `[ok, payload]`.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from wherry import limits
from wherry.engine.controlwire import (
    AccountAsked,
    ContentAsked,
    Fault,
    ReloadAsked,
    TokenAsked,
    framed,
    short_path,
)
from wherry.engine.datafolder import DataFolder, write_private
from wherry.engine.issuers import choose_issuer
from wherry.errors import Passing, Refused, WherryError
from wherry.platforms.files.payloads import content_of
from wherry.ports import (
    Commit,
    Discard,
    GetObject,
    Pause,
    Redrive,
    RedriveAll,
    Reindex,
    Request,
)
from wherry.world import Chance

if TYPE_CHECKING:
    from wherry.engine.core import Core
    from wherry.engine.offload import Offload
    from wherry.identity import DevelopmentIssuer

T = TypeVar("T")


_frame = msgspec.msgpack.Decoder(tuple[bytes, str, msgspec.Raw])


class Control:
    """Serves the control socket of one engine.

    Args:
        core: The engine.
        offload: Where what blocks is done.
        on_reload: Loads the app again; calls back with what is wrong, or None. Also if its types
            do not read what is recorded?
        on_stop: Begins a graceful stop.
        status: Describes the engine.
    """

    def __init__(
        self,
        core: Core,
        offload: Offload,
        on_reload: Callable[[Callable[[str | None], None], bool], None],
        on_stop: Callable[[], None],
        status: Callable[[], dict[str, Any]],
        chance: Chance | None = None,
    ) -> None:
        self._core = core
        self._offload = offload
        self._on_reload = on_reload
        self._on_stop = on_stop
        self._status = status
        self._token = (chance or Chance()).token(32)
        self._server: asyncio.Server | None = None
        self._data: DataFolder | None = None
        self._serving: set[asyncio.Task[Any]] = set()

    async def start(self, data: DataFolder) -> None:
        """Listen in the data folder, whose lock the caller holds."""
        self._data = data
        write_private(data.control_token, self._token)
        listener = _listen(data.control_socket)
        self._server = await asyncio.start_unix_server(self._connected, sock=listener)

    async def stop(self) -> None:
        """Stop listening, answer what was asked, and leave no file behind."""
        if self._server is None or self._data is None:
            return
        self._server.close()
        for path in (self._data.control_socket, self._data.control_token):
            with suppress(FileNotFoundError):
                os.unlink(path)
        if self._serving:
            _, late = await asyncio.wait(self._serving, timeout=limits.CONTROL_READ_S)
            for task in late:
                task.cancel()

    # -- one connection --------------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            if len(self._serving) < limits.CONTROL_CONNECTIONS:
                self._serving.add(task)
                await self._serve(reader, writer)
        except (OSError, EOFError, TimeoutError):
            pass  # whoever it was has gone, or is no client of ours
        finally:
            self._serving.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(limits.CONTROL_READ_S):
            size = int.from_bytes(await reader.readexactly(4), "big")
            if size > limits.CONTROL_REQUEST_BYTES:
                return
            frame = await reader.readexactly(size)
        try:
            token, verb, payload = _frame.decode(frame)
        except msgspec.MsgspecError:
            return
        if not hmac.compare_digest(token, self._token):
            fault = Fault("forbidden", "The control token is not that of this engine.")
            await _send(writer, False, fault)
            return
        try:
            async with asyncio.timeout(limits.CONTROL_ANSWER_S):
                answer = await self._answer(verb, payload)
        except TimeoutError:
            await _send(writer, False, Fault("timeout", "The engine did not answer in time."))
        except WherryError as error:
            await _send(writer, False, _fault(error))
        except msgspec.MsgspecError as error:
            await _send(writer, False, Fault("bad_request", f"{verb}: {error}"))
        else:
            await _send(writer, True, answer)
            if verb == "stop":
                self._on_stop()

    async def _answer(self, verb: str, payload: msgspec.Raw) -> Any:
        match verb:
            case "ask":
                return await self._ask(msgspec.msgpack.decode(payload, type=bytes))
            case "status":
                return self._status()
            case "public_url":
                return self._core.settings.public_url
            case "token":
                asked = msgspec.msgpack.decode(payload, type=TokenAsked)
                issuer = self._issuer(asked.auth)
                return await self._offloaded(
                    lambda: issuer.token_for(asked.subject, asked.roles, asked.lifetime_s)
                )
            case "account":
                new = msgspec.msgpack.decode(payload, type=AccountAsked)
                issuer = self._issuer(new.auth)
                return await self._offloaded(
                    lambda: issuer.create_account(new.username, new.password, new.roles)
                )
            case "reload":
                # Without a payload where the command line is of an earlier wherry.
                how = msgspec.msgpack.decode(payload, type=ReloadAsked | None) or ReloadAsked()
                return await self._reload(how.accept_schemas)
            case "content":
                which = msgspec.msgpack.decode(payload, type=ContentAsked)
                return await self._content_of(which)
            case "stop":
                return None
        raise Refused(f"This engine does not know {verb!r}.", advice="Is it of another version?")

    # -- verbs -----------------------------------------------------------------------------------

    async def _ask(self, payload: bytes) -> bytes:
        """Forward a request to the store as the engine's own; its answer comes back encoded."""
        request = msgspec.msgpack.decode(payload, type=Request)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._core.store.forward("", payload, lambda answer: _settle(future, answer))
        answer = await future
        match request:
            case Redrive() | Discard() | Commit():
                # What was discarded may have kept its group waiting; a commit is a person's order.
                self._core.feeds.poll()
            case RedriveAll():
                self._core.rounds.redrives.ask()
            case Pause():
                self._core.feeds.poll()
                self._core.rounds.schedules.ask()
            case Reindex():
                self._reindexed(request, answer)
        return answer

    def _reindexed(self, request: Reindex, answer: bytes) -> None:
        """An index that is ready is no longer among those that are not."""
        if msgspec.msgpack.decode(answer) == ["count", 0]:
            done = (request.table, request.index)
            self._core.unready = [one for one in self._core.unready if one[:2] != done]

    def _issuer(self, auth: str) -> DevelopmentIssuer:
        callers = self._core.gateway.callers
        if callers is None:
            raise Passing("No release is active yet.")
        return choose_issuer(callers.issuers, auth)

    async def _content_of(self, which: ContentAsked) -> bytes:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        request = GetObject(which.bucket, which.key)
        self._core.store.send("", request, lambda answer: _settle(future, answer))
        row = await future
        return await self._offloaded(lambda: content_of(self._core.blobs, row))

    async def _offloaded(self, work: Callable[[], T]) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._offload(work, lambda result: _settle(future, result))
        return await future

    async def _reload(self, accept_schemas: bool) -> None:
        future: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._on_reload(lambda fault: _settle(future, fault), accept_schemas)
        fault = await future
        if fault is not None:
            raise Refused(
                f"The new version is not taken over: {fault}", advice="The old one goes on."
            )


def _listen(path: str) -> socket.socket:
    with suppress(FileNotFoundError):
        os.unlink(path)  # of an engine that was killed: the folder's lock is ours
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with short_path(path) as near:
            listener.bind(near)
        os.chmod(path, 0o600)
        listener.listen(limits.CONTROL_CONNECTIONS)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _settle(future: asyncio.Future[Any], result: Any) -> None:
    if future.done():
        return  # nobody waits any more
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)


def _fault(error: WherryError) -> Fault:
    faults = "; ".join(f"{one['at']} {one['fault']}" for one in getattr(error, "faults", ()))
    message = f"{error.message} ({faults})" if faults else error.message
    return Fault(error.code, message, error.advice)


async def _send(writer: asyncio.StreamWriter, ok: bool, answer: Any) -> None:
    writer.write(framed([ok, answer]))
    async with asyncio.timeout(limits.CONTROL_READ_S):
        await writer.drain()
