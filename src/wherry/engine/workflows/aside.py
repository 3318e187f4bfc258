"""What moves runs off the loop, as the driver sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from wherry.engine.workflows.worker import Then
    from wherry.statemachine.records import Event, Run


class Aside(Protocol):
    """What moves runs off the loop: `Workers`."""

    def advance(
        self,
        digest: str,
        definition: str,
        key: int,
        run: Run,
        events: list[Event] | None,
        now_ms: int,
        then: Then,
    ) -> None:
        """Move a run by events, or (None) let it go on after its end."""
        ...
