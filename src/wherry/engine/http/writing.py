"""The writing half of a connection: answers, files, slow readers, closing."""

from __future__ import annotations

import asyncio

from .files import FilePump
from .hub import Hub
from .messages import FileSlice, Request, Response
from .reply import Reply
from .wire import BODYLESS, encode_head

NEVER = float("inf")

# What a connection does. HEAD: waits for or collects a head. BODY: takes a body. BUSY: the app
# has the request. DRAIN: waits until the client has read. FILE: a file is being sent.
# LINGER: refused, throws away what comes. CLOSED: closed, perhaps with unsent bytes.
HEAD, BODY, BUSY, DRAIN, FILE, LINGER, CLOSED = range(7)


class Writing(asyncio.Protocol):
    """What a connection does to its transport; `Connection` adds the reading.

    Attributes:
        deadline_s: On the steady clock, when `expire` is due.
    """

    __slots__ = (
        "_hub",
        "_keep",
        "_mark",
        "_paused",
        "_pump",
        "_reply",
        "_request",
        "_started",
        "_state",
        "_transport",
        "_write_paused",
        "deadline_s",
    )

    _transport: asyncio.Transport

    def __init__(self, hub: Hub) -> None:
        self.deadline_s = NEVER
        self._hub = hub
        self._state = HEAD
        self._started = True  # the headers' deadline is running
        self._paused = self._write_paused = False
        self._keep = True
        self._mark = 0
        self._request: Request | None = None
        self._reply: Reply | None = None
        self._pump: FilePump | None = None

    # --- What the reading half does --------------------------------------------------------

    def _advance(self) -> None:
        """Read on, if there is what to read and nothing else to do."""
        raise NotImplementedError

    def _drop_body(self) -> None:
        """Give back what a body holds."""
        raise NotImplementedError

    def _has_more(self) -> bool:
        """Say whether the client sent more than the present request."""
        raise NotImplementedError

    # --- Called from outside ---------------------------------------------------------------

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._state == DRAIN:
            self._ready()
            self._advance()
        elif self._state == FILE:
            self._start_file()

    def answer(self, response: Response) -> None:
        """Send the app's answer, and go on to the next request."""
        self._hub.in_flight -= 1
        self._reply = None
        self._send(response)
        if self._paused or self._has_more():
            self._advance()

    def _encode(self, response: Response, keep: bool) -> tuple[bytes, FilePump | None]:
        request = self._request
        body = response.body
        connection = "" if keep else "close"
        if keep and request is not None and request.http_version == "1.0":
            connection = "keep-alive"
        length = body.length if isinstance(body, FileSlice) else len(body)
        head = encode_head(response, length, connection, self._hub.date)
        if response.status in BODYLESS or (request is not None and request.method == "HEAD"):
            return head, None
        if isinstance(body, FileSlice):
            return head, FilePump(body)
        return head + body, None

    def _send(self, response: Response) -> None:
        """Answer the present request; what it held is given back."""
        self._drop_body()
        request = self._request
        keep = request is not None and request.keep_alive and not self._hub.stopping
        if self._transport.is_closing():
            self._state = CLOSED
            return
        try:
            data, pump = self._encode(response, keep)
        except (ValueError, TypeError, OSError) as fault:
            data, pump = self._encode(self._hub.answer_to(fault, self._request), keep)
        self._keep = keep
        if pump is None:
            self._transport.write(data)
            self._sent()
            return
        self._pump = pump
        self._state = FILE
        self._transport.set_write_buffer_limits(high=0)
        self._transport.write(data)
        self._watch_writing(self._hub.clock.steady_s())
        if not self._write_paused:
            self._start_file()

    def _start_file(self) -> None:
        assert self._pump is not None
        socket = self._transport.get_extra_info("socket").fileno()
        self._pump.start(self._hub.loop, socket, self._file_sent)

    def _file_sent(self, complete: bool) -> None:
        self._pump = None
        if not complete:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=self._hub.bounds.write_buffer_bytes)
        self._sent()
        self._advance()

    def _sent(self) -> None:
        if not self._keep:
            if self._paused or self._has_more():
                self._linger()
            else:
                self._close()
        elif self._write_paused:
            self._state = DRAIN
            self._watch_writing(self._hub.clock.steady_s())
        else:
            self._ready()

    def _ready(self) -> None:
        if self._hub.stopping:
            self._close()
            return
        self._state = HEAD
        self._request = None
        self._started = False
        self.deadline_s = self._hub.clock.steady_s() + self._hub.bounds.idle_s

    def _refuse(self, response: Response) -> None:
        """Answer and close. Where the next request would begin is not known."""
        self._drop_body()
        if self._transport.is_closing():
            self._state = CLOSED
            return
        response = self._hub.named(response, self._request)
        try:
            if isinstance(response.body, FileSlice):
                raise TypeError("a refusal before the body cannot be a file")
            data = self._encode(response, False)[0]
        except (ValueError, TypeError) as fault:
            data = self._encode(self._hub.answer_to(fault, self._request), False)[0]
        self._transport.write(data)
        self._linger()

    def _linger(self) -> None:
        # Closing with unread bytes would reset the connection, and the answer with it.
        self._state = LINGER
        self.deadline_s = self._hub.clock.steady_s() + self._hub.bounds.linger_s
        self._transport.write_eof()
        if self._paused:
            self._resume()

    def _close(self) -> None:
        self._state = CLOSED
        self._transport.close()
        self._watch_writing(self._hub.clock.steady_s())

    def _written(self) -> int:
        """Return a count that rises as the client reads."""
        if self._pump is not None:
            return self._pump.sent
        return -self._transport.get_write_buffer_size()

    def _watch_writing(self, now_s: float) -> None:
        self._mark = self._written()
        self.deadline_s = now_s + self._hub.bounds.rate_window_s

    def _pause(self) -> None:
        if not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        self._paused = False
        if not self._transport.is_closing():
            self._transport.resume_reading()
