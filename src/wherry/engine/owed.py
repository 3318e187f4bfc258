"""Requests to a store that have no answer yet, and what is asked anew when the store has died.

A commit that a store had applied before it died answers `Already` when it is asked again; so its
fate is looked up before anything is answered. Where the successor cannot tell (`Broken`), it is
asked again for a while, and then the fate is said to be unknown: never that nothing was applied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Generic, TypeVar

from wherry.codec import to_msgpack
from wherry.errors import FateUnknown
from wherry.ports import Broken

if TYPE_CHECKING:
    from msgspec import Raw

    from wherry.engine.store import Then
    from wherry.ports import Answer
    from wherry.world import Loop

P = TypeVar("P")
DOUBT_AGAIN_S = 0.5
DOUBT_TRIES = 20  # so that who waits is told within some seconds


class Owed(Generic[P]):
    """What is owed, by the number of the request.

    Args:
        ask: Sends a request (again): called with its number and what was put.
        read: Makes a record of an answer's bytes.
    """

    def __init__(
        self, loop: Loop, ask: Callable[[int, P], None], read: Callable[[Raw], Answer]
    ) -> None:
        self.entries: dict[int, tuple[P, Then, bool]] = {}
        self._loop = loop
        self._ask = ask
        self._read = read
        self._doubts: dict[int, int] = {}  # sent to a store that died: how often asked since
        self._later: set[int] = set()  # doubts that are about to be asked again

    def put(self, number: int, request: P, then: Then, decoded: bool = True) -> None:
        """Remember a request. `decoded`: who waits wants a record, not its bytes."""
        self.entries[number] = (request, then, decoded)

    def answered(self, number: int, raw: Raw) -> None:
        """Pass an answer on to who waits; if it leaves in doubt what was done, ask again."""
        found = self.entries.pop(number, None)
        if found is None:
            return
        _, then, decoded = found
        if not decoded:
            then(bytes(raw))
            return
        answer = self._read(raw)
        tries = self._doubts.pop(number, None) if self._doubts else None
        if tries is not None and isinstance(answer, Broken):
            if tries < DOUBT_TRIES:
                self.entries[number] = found
                self._doubts[number] = tries + 1
                self._later.add(number)
                self._loop.call_later(DOUBT_AGAIN_S, self._ask_again, number)
                return
            answer = Broken(FateUnknown.code, answer.message)
        then(answer)

    def _ask_again(self, number: int) -> None:
        self._later.discard(number)
        found = self.entries.get(number)
        if found is not None:
            self._ask(number, found[0])

    def forget(self, numbers: Iterable[int]) -> None:
        """Wait for these no more."""
        for number in numbers:
            self.entries.pop(number, None)
            self._doubts.pop(number, None)

    def give_up(self, why: str) -> None:
        """There is no store any more that could be asked: nobody knows what it has applied."""
        unknown = Broken(FateUnknown.code, why)
        entries, self.entries = self.entries, {}
        for _, then, decoded in entries.values():
            then(unknown if decoded else to_msgpack(unknown))

    def lost(self, last: int) -> None:
        """The store has died: ask everything up to this number again, in order."""
        for number, (request, _, decoded) in list(self.entries.items()):
            if number > last or number in self._later:  # asked twice, a claim leases for nobody
                continue
            if decoded:
                self._doubts.setdefault(number, 0)
            self._ask(number, request)
