"""A release that serves beside another one, which stays the active one while engines serve that.

It is asked for again from time to time: when nobody serves the other one any more, it is the active
one, and what triggers functions follows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from wherry import limits
from wherry.ports import Configured

if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.engine.journal import Journal
    from wherry.engine.store import Store
    from wherry.ports import Configure
    from wherry.world import Loop


class Beside:
    """What of one engine's release is still to come.

    Args:
        active: Returns the digest of the release that this engine serves.
        stopping: Whether the engine ends.

    Attributes:
        other: The release that it serves beside; empty where its own one is the active one.
    """

    def __init__(
        self,
        loop: Loop,
        store: Store,
        journal: Journal,
        active: Callable[[], str],
        stopping: Callable[[], bool],
    ) -> None:
        self._loop = loop
        self._store = store
        self._journal = journal
        self._active = active
        self._stopping = stopping
        self.other = ""

    def told(self, request: Configure, answer: Configured) -> None:
        """Note what the store has said of the release that is served from now on."""
        self.other = answer.beside
        if answer.beside:
            self._journal.say("WARNING", _stays(request.digest, answer.beside))
            self._wait(request)

    def _wait(self, request: Configure) -> None:
        again = msgspec.structs.replace(request, chosen=False)
        self._loop.call_later(limits.RELEASE_AGAIN_S, lambda: self._ask(again))

    def _ask(self, request: Configure) -> None:
        def serves() -> bool:
            return self._active() == request.digest and self.other != "" and not self._stopping()

        def answered(answer: Any) -> None:
            if not serves():
                return
            if isinstance(answer, Configured) and not answer.beside:
                self._journal.say("INFO", _follows(request.digest, self.other))
            if isinstance(answer, Configured):  # else the store is away
                self.other = answer.beside
            if self.other:
                self._wait(request)

        if serves():
            self._store.send("", request, answered)


def _stays(digest: str, other: str) -> str:
    return (
        f"Release {digest[:8]} serves here beside {other[:8]}, which is newer and stays the active "
        "one while other engines serve it: what triggers functions (schedules, events, objects, "
        "changes) follows that one. To go back, start the others with this code too, or run "
        "`wherry reload` here."
    )


def _follows(digest: str, other: str) -> str:
    return f"Release {digest[:8]} is the active one now: no engine serves {other[:8]} any more."
