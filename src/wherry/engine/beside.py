"""Which release is the active one where engines share a store: what triggers functions follows it.

Of those that living engines serve it is the one that was chosen last (`ports.Configure`). An engine
whose release is not asks the store for its own when that is due: nobody serves the active one any
more, or it was chosen earlier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from wherry.ports import Configured, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.engine.journal import Journal
    from wherry.engine.store import Store
    from wherry.ports import Configure


class Beside:
    """What one engine knows of it.

    Args:
        stopping: Whether the engine ends.

    Attributes:
        other: The release that its own one serves beside; empty where that is the active one.
        serves: Told which release this engine serves from now on.
    """

    def __init__(self, store: Store, journal: Journal, stopping: Callable[[], bool]) -> None:
        self._store = store
        self._journal = journal
        self._stopping = stopping
        self._request: Configure | None = None  # of the release that it serves
        self._asking = False
        self._taking_over = False
        self._refused = ""  # the active release, beside which the store refused ours
        self._unsure = False  # whether the store takes another release for the one that it serves
        self.other = ""
        self.serves: Callable[[str], None] = _nobody_asks

    def begin(self) -> None:
        """A version is being taken over: nothing is asked for the one before."""
        self._taking_over = True

    def refused(self, unsure: bool = False) -> None:
        """The version was not taken over: the one before goes on.

        Args:
            unsure: The store may have taken it over all the same: its answer was lost.
        """
        self._taking_over = False
        self._unsure |= unsure

    def told(self, request: Configure, answer: Configured) -> None:
        """Note what the store has said of the release that is served from now on."""
        self._taking_over = self._unsure = False
        self._refused = ""
        self._request = msgspec.structs.replace(request, chosen=False)
        self.other = answer.beside
        self.serves(request.digest)
        if answer.beside:
            self._journal.say("WARNING", _stays(request.digest, answer.beside))

    def look(self, active: str, due: bool) -> None:
        """Note which release is the active one; ask for our own where that should be it."""
        request = self._request
        if request is None or self._asking or self._taking_over or self._stopping():
            return
        self.other = "" if active == request.digest else active
        if not (due or self._unsure) or active == self._refused:
            return

        def answered(answer: Any) -> None:
            self._asking = False
            if request is not self._request or self._taking_over:
                return  # another version is served, or about to be
            if isinstance(answer, Configured):  # else it is due still
                self._unsure = False
                self.other = answer.beside
                if not answer.beside:
                    self._journal.say("INFO", _follows(request.digest))
            elif isinstance(answer, Rejected):
                self._refused = active
                self._journal.say("WARNING", _cannot(request.digest, active, answer.message))

        self._asking = True
        self._store.send("", request, answered)


def _nobody_asks(digest: str) -> None:
    """The store is this engine's alone."""


def _stays(digest: str, other: str) -> str:
    return (
        f"Release {digest[:8]} serves here beside {other[:8]}, which is newer and stays the active "
        "one while other engines serve it: what triggers functions (schedules, events, objects, "
        "changes) follows that one. To go back, start the others with this code too, or run "
        "`wherry reload` here."
    )


def _follows(digest: str) -> str:
    return f"Release {digest[:8]} is the active one now: the newest that an engine serves."


def _cannot(digest: str, active: str, why: str) -> str:
    return (
        f"Release {digest[:8]} cannot be the active one: {why} What triggers functions still "
        f"follows {active[:8]}, which no engine serves: start one with it, or deploy what the "
        "store takes."
    )
