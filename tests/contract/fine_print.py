"""What the cases of the fine print share: the platforms they run on, and a few types.

A case is written against the test kit alone. A further platform joins by a `running` of its own
in `BACKENDS`; every case then holds there too.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.postgres_kit import running_on_postgres
from wherry import App, Struct
from wherry.testing import running

BACKENDS = [
    pytest.param(running, id="sqlite"),
    pytest.param(running_on_postgres, id="postgres"),
]

on_every_platform = pytest.mark.parametrize("run", BACKENDS)


class Thing(Struct):
    """An item."""

    name: str
    count: int = 0
    note: str = ""


class Job(Struct):
    """A message."""

    name: str
    size: int = 0


class Shelf:
    """An app with one table and one queue, to which a case adds its handlers."""

    def __init__(self, **queue: Any) -> None:
        self.app = App("shelf")
        self.people = self.app.auth("people", roles=["reader", "writer"])
        self.things = self.app.table(Thing, key="name")
        self.jobs = self.app.queue(Job, **queue)
        self.all = [self.things.read, self.things.write]

    def consume_nothing(self) -> None:
        """Give the queue a consumer, which it has to have."""

        @self.app.consume(self.jobs)
        def take(job: Job) -> None:
            pass
