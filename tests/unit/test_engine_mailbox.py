"""A mailbox: what waits in front of an environment is run by it or taken back, never both."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from wherry import limits
from wherry.engine.mailbox import Mailbox, SocketChannel


class Turns:
    """A loop whose turns the test takes."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def call_soon(self, call: Callable[[], None]) -> None:
        self.calls.append(call)

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()


class Boxed:
    """A mailbox, and an environment that takes from it when the test says so."""

    def __init__(self) -> None:
        self.loop = Turns()
        loop: Any = self.loop
        self._channel = SocketChannel()
        self.box = Mailbox(self._channel, loop)
        self._theirs = self._channel.theirs.dup()

    def add(self, *names: str, at_once: bool = True) -> None:
        for name in names:
            work: Any = SimpleNamespace(name=name)
            self.box.add(work, name.encode(), at_once)

    def take(self) -> str | None:
        """What the environment would run next."""
        try:
            return self._theirs.recv(limits.MAIL_BYTES, socket.MSG_DONTWAIT).decode()
        except BlockingIOError:
            return None

    def close(self) -> None:
        self._theirs.close()
        self._channel.close()


def names(works: Any) -> list[str]:
    return [work.name for work in works]


@pytest.fixture
def boxed() -> Iterator[Boxed]:
    found = Boxed()
    yield found
    found.close()


def test_an_environment_finds_what_waits_in_the_order_in_which_it_came(boxed: Boxed) -> None:
    boxed.box.begin(b"first", at_once=True)
    boxed.add("second", "third")
    assert [boxed.take(), boxed.take(), boxed.take(), boxed.take()] == [
        "first", "second", "third", None,
    ]  # fmt: skip
    assert names([boxed.box.next(), boxed.box.next()]) == ["second", "third"]


def test_what_may_be_followed_by_others_is_sent_with_them(boxed: Boxed) -> None:
    boxed.box.begin(b"first", at_once=False)
    boxed.add("second", at_once=False)
    boxed.add("third", at_once=True)  # not before those in front of it
    assert boxed.take() is None
    boxed.loop.turn()
    assert [boxed.take(), boxed.take(), boxed.take()] == ["first", "second", "third"]


def test_behind_a_run_that_goes_on_all_that_waits_is_taken_back(boxed: Boxed) -> None:
    boxed.box.begin(b"slow", at_once=True)
    assert boxed.take() == "slow"
    boxed.add("a", "b")
    boxed.add("c", at_once=False)
    assert names(boxed.box.take_back()) == ["a", "b", "c"]
    assert (boxed.take(), list(boxed.box.works)) == (None, [])


def test_nothing_is_taken_back_from_who_has_not_come_to_run_yet(boxed: Boxed) -> None:
    boxed.box.begin(b"first", at_once=True)
    boxed.add("a", "b")
    assert boxed.box.take_back() == []
    assert [boxed.take(), boxed.take(), boxed.take()] == ["first", "a", "b"]


def test_of_one_that_has_ended_what_it_had_taken_is_told_apart(boxed: Boxed) -> None:
    boxed.box.begin(b"first", at_once=True)
    boxed.add("a", "b", "c")
    assert [boxed.take(), boxed.take()] == ["first", "a"]
    assert names(boxed.box.take_rest()) == ["b", "c"]
    assert names(boxed.box.works) == ["a"]


def test_of_one_that_ended_before_its_first_run_all_comes_back(boxed: Boxed) -> None:
    boxed.box.begin(b"first", at_once=True)
    boxed.add("a", "b")
    assert names(boxed.box.take_rest()) == ["a", "b"]
    assert boxed.take() is None


def test_there_is_room_for_all_that_may_wait_however_large() -> None:
    boxed = Boxed()
    boxed.box.begin(b"first", at_once=True)
    sent = [str(number).ljust(limits.MAIL_BYTES, ".") for number in range(limits.MAILS)]
    boxed.add(*sent)
    assert [boxed.take() for _ in range(limits.MAILS + 2)] == ["first", *sent, None]
    boxed.close()


def test_each_is_taken_by_one_side_however_both_hurry() -> None:
    """The environment takes while we take back: what it has is what stays in `works`, in order."""
    sent = [str(number) for number in range(limits.MAILS)]

    def run(boxed: Boxed) -> list[str]:
        return [found for _ in sent if (found := boxed.take()) is not None]

    for patience in range(200):
        boxed = Boxed()
        boxed.box.begin(b"first", at_once=True)
        assert boxed.take() == "first"
        boxed.add(*sent)
        with ThreadPoolExecutor(1) as threads:
            running = threads.submit(run, boxed)
            for _ in range(patience):  # somewhere in the middle of it
                pass
            back = names(boxed.box.take_back())
            ran = running.result(30)
        assert sorted([*back, *ran], key=int) == sent
        assert names(boxed.box.works) == ran
        boxed.close()
