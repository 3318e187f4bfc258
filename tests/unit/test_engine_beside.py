"""When an engine asks for its release to be the active one, and when it does not."""

from __future__ import annotations

from typing import Any

from wherry.engine.beside import Beside
from wherry.engine.journal import Journal
from wherry.ports import Configure, Configured, Rejected
from wherry.world import ManualClock, ManualLoop

OLD, NEW = (Configure(digest, b"{}", True, engine="a") for digest in ("old", "new"))


class Asked:
    """A store that answers when the test says so."""

    gathers = False

    def __init__(self) -> None:
        self.requests: list[tuple[Configure, Any]] = []

    def send(self, function: str, request: Any, then: Any, when: Any = "soon") -> None:
        self.requests.append((request, then))

    def forward(self, function: str, payload: bytes, then: Any) -> None:
        raise AssertionError("nobody forwards here")


def beside(store: Asked) -> tuple[Beside, list[str]]:
    clock = ManualClock()
    journal = Journal(ManualLoop(clock), clock, store, "shop", lambda lines: None)
    served: list[str] = []
    made = Beside(store, journal, lambda: False)
    made.serves = served.append
    made.begin()
    made.told(OLD, Configured([], "newer"))
    return made, served


def test_what_is_due_is_asked_for_once_until_there_is_an_answer() -> None:
    store = Asked()
    engine, served = beside(store)
    assert (engine.other, served) == ("newer", ["old"])
    engine.look("newer", False)
    assert store.requests == []
    engine.look("newer", True)
    engine.look("newer", True)
    ((request, then),) = store.requests
    assert (request.digest, request.chosen) == ("old", False)
    then(Configured([], ""))
    assert engine.other == ""


def test_nothing_is_asked_for_the_version_before_while_another_is_taken_over() -> None:
    """And what was asked for it before changes nothing afterwards."""
    store = Asked()
    engine, served = beside(store)
    engine.look("newer", True)
    engine.begin()
    engine.look("newer", True)
    assert len(store.requests) == 1
    engine.told(NEW, Configured([], ""))
    store.requests[0][1](Configured([], "another"))
    assert (engine.other, served) == ("", ["old", "new"])
    engine.look("old", True)  # the late one was the last in the store: it is put right
    assert store.requests[-1][0].digest == "new"


def test_where_the_other_is_refused_the_version_before_is_asked_for_again() -> None:
    store = Asked()
    engine, _ = beside(store)
    engine.begin()
    engine.refused()
    engine.look("newer", True)
    assert [request.digest for request, _ in store.requests] == ["old"]


def test_an_answer_that_comes_while_another_is_taken_over_lets_nobody_ask() -> None:
    store = Asked()
    engine, _ = beside(store)
    engine.look("newer", True)
    engine.begin()
    store.requests[0][1](Configured([], ""))
    engine.look("newer", True)
    assert len(store.requests) == 1


def test_what_is_served_is_said_again_where_the_store_may_have_taken_another_one_over() -> None:
    store = Asked()
    engine, _ = beside(store)
    engine.begin()
    engine.refused(unsure=True)
    engine.look("new", False)
    ((request, then),) = store.requests
    assert (request.digest, request.chosen) == ("old", False)
    then(Configured([], ""))
    engine.look("old", False)
    assert len(store.requests) == 1


def test_what_the_store_refuses_is_told_once_and_asked_for_again_beside_another_one() -> None:
    store = Asked()
    engine, _ = beside(store)
    engine.look("newer", True)
    store.requests[0][1](Rejected("The table has another key."))
    engine.look("newer", True)
    assert len(store.requests) == 1
    engine.look("another", True)
    assert len(store.requests) == 2


def test_an_engine_knows_when_another_release_has_become_the_active_one() -> None:
    store = Asked()
    engine, _ = beside(store)
    engine.look("old", False)
    assert engine.other == ""
    engine.look("third", False)
    assert engine.other == "third"
