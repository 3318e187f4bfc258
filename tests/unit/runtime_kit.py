"""Runs of one function against a store, as the engine would hand them over, without the engine."""

from __future__ import annotations

from typing import Any

import msgspec

from wherry import App
from wherry.codec import to_msgpack
from wherry.effects import Effect
from wherry.invocation import (
    BatchEvent,
    BatchMessage,
    Event,
    Invocation,
    ItemOutcome,
    MessageEvent,
    Outcome,
)
from wherry.ports import Committed, ReplyAck
from wherry.runtime.invoke import Runner
from wherry.runtime.keys import message_key
from wherry.testing import Backend
from wherry.testing.acting import ActingLink

STARTED_MS = 1_795_255_438_000
_effects = msgspec.msgpack.Decoder(list[Effect])


class Runs:
    """Runs messages through a function of an app that a test kit's backend serves."""

    def __init__(self, app: App, backend: Backend, function: str) -> None:
        self._composed = backend._composed
        self._runner = Runner.prepare(app, function)
        (endpoint,) = app.endpoints[function].values()
        self.function, self.endpoint = function, endpoint
        self.queue = getattr(endpoint.trigger, "queue", "")
        self._number = 1000

    def one(self, body: Any, id: str = "m1", attempt: int = 1) -> Outcome:
        """Run a message by itself."""
        event = MessageEvent(self.endpoint.name, self.queue, id, as_bytes(body), STARTED_MS)
        return self._run(message_key(self.function, id), event, attempt)

    def batch(self, *bodies: Any, attempt: int = 1) -> Outcome:
        """Run messages m1, m2 ... at once."""
        messages = [
            BatchMessage(
                self._next(),
                f"m{at}",
                as_bytes(body),
                STARTED_MS,
                attempt,
                STARTED_MS + at,
                f"c{at}",
                f"t{at}",
            )
            for at, body in enumerate(bodies, 1)
        ]
        event = BatchEvent(self.endpoint.name, self.queue, messages)
        return self._run("batch/x", event, attempt)

    def commit(self, outcome: Outcome | ItemOutcome) -> None:
        """Commit what a run wants, and the key under which it was done."""
        assert outcome.failure is None
        acks: list[Any] = []
        if outcome.once is not None:
            acks = [ReplyAck(outcome.once.key, "", b"", outcome.once.keep_s)]
        link = ActingLink(self._composed, self.function, self._next())
        done = link.commit(_effects.decode(outcome.effects), outcome.guards, [], acks)
        assert isinstance(done, Committed), done

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _run(self, key: str, event: Event, attempt: int) -> Outcome:
        number = self._next()
        run = Invocation(
            number, self.function, key, f"r{number}", "corr", "trace", attempt, STARTED_MS,
            STARTED_MS + 30_000, event,
        )  # fmt: skip
        link = ActingLink(self._composed, self.function, number)
        outcome = self._runner.run(run, link, self._composed.clock)
        again: Outcome = msgspec.msgpack.decode(to_msgpack(outcome), type=Outcome)
        return again  # as the engine gets it


def as_bytes(body: Any) -> bytes:
    """Return a message's body: bytes as they are, anything else as JSON."""
    return body if isinstance(body, bytes) else msgspec.json.encode(body)


def effects(outcome: Outcome | ItemOutcome) -> list[Effect]:
    """Return what a run wants to change."""
    return _effects.decode(outcome.effects)
