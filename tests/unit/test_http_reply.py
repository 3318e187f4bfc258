"""The answer to one request: who is told that its client has left, and what it holds."""

from __future__ import annotations

import weakref

from wherry.engine.http.messages import Response
from wherry.engine.http.reply import Reply


class Connection:
    """Takes the answer."""

    def answer(self, response: Response) -> None:
        self.answered = response


class Work:
    """What somebody wants done for the request."""

    def left(self) -> None:
        raise AssertionError("its client has had its answer")


def test_an_answered_request_holds_nothing_of_who_wanted_to_know_that_its_client_left() -> None:
    """Work knows its reply: a reply that knew its work were garbage that must be searched for."""
    reply, work = Reply(Connection()), Work()
    reply.on_gone(work.left)
    gone = weakref.ref(work)
    del work
    assert gone() is not None
    reply.send(Response(204))
    assert gone() is None
