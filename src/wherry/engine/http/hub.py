"""What all connections of one server share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from wherry.errors import Problem
from wherry.world import Clock

from .bounds import Bounds
from .messages import App, Names, Request, Response
from .refusals import answer_to, is_nameless, named
from .wire import date_line

if TYPE_CHECKING:
    from .connection import Connection


class Hub:
    """The app, the clock, the bounds, and the counts.

    Attributes:
        open: Every connection that was let in and is not closed yet.
        in_flight: Requests that the app has and did not answer.
        held: Bytes of all bodies that are kept in memory.
        stopping: No connection is kept alive any more.
        date: The Date header of now, renewed by the sweep.
    """

    def __init__(
        self,
        app: App,
        clock: Clock,
        bounds: Bounds,
        loop: asyncio.AbstractEventLoop,
        on_error: Callable[[Exception], None] | None,
    ) -> None:
        self.app = app
        self.clock = clock
        self.bounds = bounds
        self.loop = loop
        self.open: set[Connection] = set()
        self.in_flight = 0
        self.held = 0
        self.stopping = False
        self.on_empty: Callable[[], None] | None = None
        self.date = date_line(clock.now_ms())
        self._on_error = on_error

    def report(self, fault: Exception) -> None:
        """Tell the owner of the server about a fault that no client may see."""
        if self._on_error is not None:
            self._on_error(fault)
        else:
            self.loop.call_exception_handler({"message": "fault in an app", "exception": fault})

    def answer_to(self, fault: Exception, request: Request | None) -> Response:
        """Return the answer to a fault of the app, and report it unless it is an answer."""
        if not isinstance(fault, Problem):
            self.report(fault)
        return self.named(answer_to(fault), request)

    def named(self, response: Response, request: Request | None) -> Response:
        """Return a refusal with what every answer has, as far as the request could be read."""
        if not (hasattr(self.app, "correlation_of") and is_nameless(response)):
            return response
        app = cast(Names, self.app)
        if request is None:
            return named(response, app.correlation_of({}))
        return named(response, app.correlation_of(request.headers), app.cors_of(request))

    def sweep(self) -> None:
        """Let every connection whose deadline has passed expire."""
        self.date = date_line(self.clock.now_ms())
        now_s = self.clock.steady_s()
        late = [connection for connection in self.open if connection.deadline_s <= now_s]
        for connection in late:
            connection.expire(now_s)
