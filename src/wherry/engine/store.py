"""The engine's way to the store: requests out, answers back, all of one turn in one batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from wherry.codec import to_msgpack
from wherry.ports import Answer, Platform, Request
from wherry.world import Loop

Then: TypeAlias = Callable[[Any], None]
When: TypeAlias = Literal["now", "soon"]

decode_answer: Callable[[bytes | msgspec.Raw], Answer] = msgspec.msgpack.Decoder(Answer).decode
_request = msgspec.msgpack.Decoder(Request)


class Store(Protocol):
    """Where the engine sends requests. `then` is called with the answer; reads overtake.

    Attributes:
        gathers: What is sent in one turn of the loop has one sync, so that it is worth a wait.
    """

    gathers: bool

    def send(self, function: str, request: Request, then: Then, when: When = "soon") -> None:
        """Send a request on behalf of a function ('' is the engine itself).

        Args:
            when: `soon`: with what else is sent in this turn of the loop. `now`: nothing else is
                to come.
        """
        ...

    def forward(self, function: str, payload: bytes, then: Callable[[bytes], None]) -> None:
        """Send an encoded read as it is; `then` gets the encoded answer."""
        ...


class DirectStore:
    """A platform in this process: for tests and for `--inline`.

    What is sent in one turn of the loop is one batch, as it is with the store process. There is no
    sync that would be worth a wait.
    """

    gathers = False

    def __init__(self, platform: Platform, loop: Loop) -> None:
        self._platform = platform
        self._loop = loop
        self._batch: list[tuple[str, Request, Then]] = []

    def send(self, function: str, request: Request, then: Then, when: When = "soon") -> None:
        if not self._batch:
            self._loop.call_soon(self._flush)
        self._batch.append((function, request, then))

    def forward(self, function: str, payload: bytes, then: Callable[[bytes], None]) -> None:
        request = _request.decode(payload)
        self.send(function, request, lambda answer: then(to_msgpack(answer)))

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        answers = self._platform.run([(function, request) for function, request, _ in batch])
        for (_, _, then), answer in zip(batch, answers, strict=True):
            then(answer)
