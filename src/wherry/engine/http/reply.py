"""The answer to one request, in the hands of the app."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .hub import Hub
from .messages import Response


class Answering(Protocol):
    """Whoever writes the answer to the client."""

    def answer(self, response: Response) -> None: ...


class Reply:
    """The `Responder` of one request."""

    __slots__ = ("_callbacks", "_connection", "gone")

    def __init__(self, connection: Answering) -> None:
        self.gone = False
        self._connection: Answering | None = connection
        self._callbacks: list[Callable[[], None]] | None = None

    def send(self, response: Response) -> None:
        """Send the answer. The first one counts; harmless once the client is gone."""
        connection = self._connection
        if connection is not None:
            self._connection = None
            self._callbacks = None  # else they and what they hold were a cycle
            connection.answer(response)

    def on_gone(self, callback: Callable[[], None]) -> None:
        """Call `callback` if the client leaves before the answer (at once if it has left)."""
        if self.gone:
            callback()
        elif self._connection is not None:
            self._callbacks = [*(self._callbacks or ()), callback]

    def leave(self, hub: Hub) -> None:
        """The client left."""
        self.gone = True
        self._connection = None
        for callback in self._callbacks or ():
            try:
                callback()
            except Exception as fault:
                hub.report(fault)
