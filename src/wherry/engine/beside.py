"""Which release is the active one where engines share a store: what triggers functions follows it.

Of those that living engines serve it is the one that was chosen last (`ports.Configure`). An engine
whose release is not asks the store for its own when that is due: nobody serves the active one any
more, or it was chosen earlier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from wherry.ports import Configured

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
        other: The release that its own one serves beside; empty where that is the active one, as
            far as it has asked.
    """

    def __init__(self, store: Store, journal: Journal, stopping: Callable[[], bool]) -> None:
        self._store = store
        self._journal = journal
        self._stopping = stopping
        self._request: Configure | None = None  # of the release that it serves
        self._asking = False
        self.other = ""

    def told(self, request: Configure, answer: Configured) -> None:
        """Note what the store has said of the release that is served from now on."""
        self._request = msgspec.structs.replace(request, chosen=False)
        self.other = answer.beside
        if answer.beside:
            self._journal.say("WARNING", _stays(request.digest, answer.beside))

    def due(self) -> None:
        """Ask for it: it should be the active one now."""
        request = self._request
        if request is None or self._asking or self._stopping():
            return

        def answered(answer: Any) -> None:
            self._asking = False
            if isinstance(answer, Configured) and request is self._request:  # else it is due still
                self.other = answer.beside
                if not answer.beside:
                    self._journal.say("INFO", _follows(request.digest))

        self._asking = True
        self._store.send("", request, answered)


def _stays(digest: str, other: str) -> str:
    return (
        f"Release {digest[:8]} serves here beside {other[:8]}, which is newer and stays the active "
        "one while other engines serve it: what triggers functions (schedules, events, objects, "
        "changes) follows that one. To go back, start the others with this code too, or run "
        "`wherry reload` here."
    )


def _follows(digest: str) -> str:
    return f"Release {digest[:8]} is the active one now: no engine serves a newer one any more."
