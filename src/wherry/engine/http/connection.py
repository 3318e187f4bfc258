"""One connection: reads requests one at a time, hands them over, sends the answers in order.

Own code finds where a head and a body end; llhttp is fed exactly that and must agree, so that
no byte of one request is ever read as another's. Nothing here waits: no task, no timer; the
sweep of the server calls `expire` when `deadline_s` has passed.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import cast

import httptools

from wherry import limits

from .body import Intake
from .head import (
    METHODS,
    Collector,
    check_lines,
    has_forbidden_bytes,
    read_request,
    upgrade_refused,
)
from .hub import Hub
from .messages import FillingSink, Request, Response, Sink
from .refusals import Refusal, busy, malformed, problem
from .reply import Reply
from .wire import CONTINUE
from .writing import BODY, BUSY, CLOSED, DRAIN, FILE, HEAD, LINGER, NEVER, Writing

_TURN_REQUESTS = 32  # pipelined requests answered before other connections get their turn


class Connection(Writing):
    """The protocol of one client."""

    __slots__ = (
        "_at",
        "_buffer",
        "_client",
        "_collector",
        "_intake",
        "_looping",
        "_parser",
        "_scanned",
        "_sink_full",
    )

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self._buffer = b""
        self._at = 0  # what is before it was read
        self._scanned = 0  # no end of a head before it
        self._sink_full = self._looping = False
        self._intake: Intake | None = None
        self._collector = Collector()
        self._parser: httptools.HttpRequestParser | None = None

    # --- What the event loop calls ---------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if hasattr(transport, "max_size"):  # asyncio's own: it would map 256 KiB for each read
            transport.max_size = limits.RECEIVE_BYTES
        hub = self._hub
        peer = transport.get_extra_info("peername")
        self._client = peer[0] if isinstance(peer, tuple) else ""
        if len(hub.open) >= hub.bounds.connections:
            self._state = CLOSED
            full = busy("There are too many connections; try again.").response
            self._transport.write(self._encode(hub.named(full, None), False)[0])
            self._transport.close()
            return
        hub.open.add(self)
        self._transport.set_write_buffer_limits(high=hub.bounds.write_buffer_bytes)
        self.deadline_s = hub.clock.steady_s() + hub.bounds.headers_timeout_s

    def data_received(self, data: bytes) -> None:
        if self._state >= LINGER:
            return
        if self._at < len(self._buffer):
            data = self._buffer[self._at :] + data
            self._scanned = max(0, self._scanned - self._at)
        else:
            self._scanned = 0
        self._buffer, self._at = data, 0
        if self._state <= BODY:
            self._advance()
        elif not self._paused:
            self._pause()

    def eof_received(self) -> None:
        """A client that shuts its side is gone: the transport closes."""

    def connection_lost(self, exc: Exception | None) -> None:
        hub = self._hub
        self._state = CLOSED
        self._buffer = b""
        self._parser = None
        if self._pump is not None:
            self._pump.stop()
            self._pump = None
        self._drop_body()
        if self._reply is not None:
            reply, self._reply = self._reply, None
            hub.in_flight -= 1
            reply.leave(hub)
        if self in hub.open:
            hub.open.remove(self)
            if not hub.open and hub.on_empty is not None:
                hub.on_empty()

    # --- What the server calls -------------------------------------------------------------

    def expire(self, now_s: float) -> None:
        """The deadline has passed: give up, or, if a stream moves fast enough, go on."""
        window_s = self._hub.bounds.rate_window_s
        least = self._hub.bounds.rate_bytes_per_s * window_s
        state, intake = self._state, self._intake
        if state == BODY and intake is not None and intake.sink is not None:
            if intake.moved >= least:
                intake.moved = 0
                self.deadline_s = now_s + window_s
            else:
                self._refuse(problem(408, "request_timeout", "The body comes too slowly."))
        elif state == BODY:
            self._refuse(problem(408, "request_timeout", "The body did not come in time."))
        elif state == HEAD and self._at < len(self._buffer):
            self._refuse(problem(408, "request_timeout", "The headers did not come in time."))
        elif state in (DRAIN, FILE, CLOSED) and self._written() - self._mark >= least:
            self._watch_writing(now_s)
        else:
            self._transport.abort()

    def drain(self) -> None:
        """The server stops: close, unless a request is under way, or the first one is to come."""
        silent = self._state == HEAD and self._at == len(self._buffer)
        if self._state == LINGER or (silent and not self._started):
            self._close()
        elif silent:
            hub = self._hub
            self.deadline_s = min(self.deadline_s, hub.clock.steady_s() + limits.FIRST_REQUEST_S)

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    # --- Reading ---------------------------------------------------------------------------

    def _advance(self) -> None:
        if self._looping:
            return
        self._looping = True
        turns = 0
        try:
            while self._read_head() if self._state == HEAD else self._read_body():
                turns += self._state == HEAD
                if turns > _TURN_REQUESTS:
                    self._pause()
                    self._hub.loop.call_soon(self._advance)
                    return
        except Refusal as refusal:
            self._refuse(refusal.response)
        finally:
            self._looping = False
        if self._paused and self._state in (HEAD, BODY) and not self._sink_full:
            self._resume()

    def _read_head(self) -> bool:
        buffer, at = self._buffer, self._at
        while buffer.startswith(b"\r\n", at):  # RFC 9112 section 2.2: skip empty lines before
            at += 2
        self._at = at
        if at == len(buffer):
            return False
        bounds = self._hub.bounds
        scanned = self._scanned
        end = buffer.find(b"\r\n\r\n", scanned if scanned > at else at) + 4
        if (end if end > 3 else len(buffer)) - at > bounds.header_bytes:
            if buffer.find(b"\n", at, at + bounds.header_bytes) < 0:
                raise Refusal(414, "target_too_long", "The request line is too long.")
            detail = f"The headers are larger than {bounds.header_bytes} bytes."
            raise Refusal(431, "headers_too_large", detail)
        if end > 3:
            self._at = end
            self._begin(buffer if end - at == len(buffer) else buffer[at:end])
            return True
        if has_forbidden_bytes(buffer[max(at, scanned) :]):
            raise malformed("The headers hold a control character.")
        self._scanned = max(at, len(buffer) - 3)
        if not self._started:
            self._started = True
            self.deadline_s = self._hub.clock.steady_s() + bounds.headers_timeout_s
        return False

    def _begin(self, head: bytes) -> None:
        collector = self._collector
        collector.begin()
        self._request = None
        method, target, version = check_lines(head, self._hub.bounds.header_count)
        self._feed(head)
        if not collector.head_done:
            raise malformed("The headers do not end where they seem to.")
        request, length = read_request(method, target, version, collector.headers, self._client)
        if collector.complete != (length == 0):
            raise malformed("It is not clear where the body ends.")
        self._request = request
        admitted: Response | Sink | None
        if request.path == "*":
            admitted = Response(204, [("allow", ", ".join(sorted(METHODS)))])
        else:
            try:
                admitted = self._hub.app.admit(request, length)
            except Exception as fault:
                admitted = self._hub.answer_to(fault, self._request)
        if isinstance(admitted, Response):
            if length == 0:
                self._send(admitted)
            else:
                self._refuse(admitted)
        elif length == 0:
            self._hand_over(admitted)
        else:
            self._expect_body(request, length, admitted)

    def _expect_body(self, request: Request, length: int | None, sink: Sink | None) -> None:
        bounds = self._hub.bounds
        self._intake = intake = Intake(sink, length)
        self._check_size(intake)
        self._state = BODY
        if sink is None and length is not None and length <= len(self._buffer) - self._at:
            self._take_body(intake, length)
            return
        wait_s = bounds.body_timeout_s if sink is None else bounds.rate_window_s
        self.deadline_s = self._hub.clock.steady_s() + wait_s
        expects = request.http_version == "1.1" and "expect" in request.headers
        if expects and self._at == len(self._buffer):
            self._transport.write(CONTINUE)

    def _read_body(self) -> bool:
        intake = self._intake
        if self._state != BODY or intake is None or self._sink_full:
            return False
        buffer, at = self._buffer, self._at
        if at == len(buffer):
            return False
        end = intake.extent(buffer, at)
        self._at = end
        self._check_size(intake)
        self._feed(buffer if end - at == len(buffer) else buffer[at:end])
        if intake.done != self._collector.complete:
            raise malformed("It is not clear where the body ends.")
        if intake.sink is not None:
            self._pour(intake, intake.sink)
        else:
            self._hold(intake, end - at)
        if intake.done and self._state == BODY:
            self._hand_over(intake.sink)
        return True

    def _take_body(self, intake: Intake, length: int) -> None:
        """Take a body of known length that is all here, as most are: `_read_body` in one step."""
        at = self._at
        self._at = end = at + length
        self._feed(self._buffer[at:end])
        if not self._collector.complete:
            raise malformed("It is not clear where the body ends.")
        self._hold(intake, length)
        self._hand_over(None)

    def _hold(self, intake: Intake, size: int) -> None:
        """Count what is kept in memory."""
        hub = self._hub
        intake.held += size
        hub.held += size
        if hub.held > hub.bounds.bodies_bytes:
            raise busy("There is no memory for this body now; try again.")

    def _check_size(self, intake: Intake) -> None:
        limit = self._hub.bounds.body_bytes
        if intake.sink is None and intake.size > limit:
            raise Refusal(413, "too_large", f"The body is larger than {limit} bytes.")

    def _pour(self, intake: Intake, sink: Sink) -> None:
        pieces, self._collector.pieces = self._collector.pieces, []
        try:
            for piece in pieces:
                sink.write(piece)
            if getattr(sink, "full", False) and not intake.done:
                self._sink_full = True
                self.deadline_s = NEVER
                self._pause()
                cast(FillingSink, sink).on_room(partial(self._on_room, intake))
        except Exception as fault:
            self._refuse(self._hub.answer_to(fault, self._request))

    def _on_room(self, intake: Intake) -> None:
        if self._intake is intake and self._sink_full:
            self._sink_full = False
            intake.moved = 0
            now_s = self._hub.clock.steady_s()
            self.deadline_s = now_s + self._hub.bounds.rate_window_s
            self._advance()

    def _feed(self, data: bytes) -> None:
        if self._parser is None:
            self._parser = httptools.HttpRequestParser(self._collector)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise upgrade_refused() from None
        except httptools.HttpParserError as fault:
            raise malformed(f"The request is malformed: {fault}.") from None

    def _hand_over(self, sink: Sink | None) -> None:
        hub, request = self._hub, self._request
        assert request is not None
        if sink is not None:
            self._intake = None
            try:
                sink.close(True)
            except Exception as fault:
                self._send(hub.answer_to(fault, self._request))
                return
        elif self._intake is not None:
            pieces = self._collector.pieces
            request.body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            self._collector.pieces = []
        self._state = BUSY
        self.deadline_s = NEVER
        self._reply = reply = Reply(self)
        hub.in_flight += 1
        try:
            hub.app.handle(request, reply)
        except Exception as fault:
            reply.send(hub.answer_to(fault, self._request))

    def _drop_body(self) -> None:
        intake, self._intake = self._intake, None
        if intake is not None:
            self._hub.held -= intake.held
            self._collector.pieces = []
            self._sink_full = False
            if intake.sink is not None:
                try:
                    intake.sink.close(False)
                except Exception as fault:
                    self._hub.report(fault)

    def _has_more(self) -> bool:
        return self._at < len(self._buffer)

    def _linger(self) -> None:
        self._buffer, self._at = b"", 0
        super()._linger()
