"""Little drawings: what a state does, and what became of it."""

from __future__ import annotations

from wherry.drawing.graph import Status

ICONS = {
    "Task": '<path d="M15 5.5L8 15.5h5l-1.5 7 7.5-10.5h-5.5z"/>',
    "Pass": '<path class="stroke" d="M7 14h13M15.5 9l5 5-5 5"/>',
    "Choice": '<path class="stroke" d="M14 22v-7L8 8M14 15l6-7M7.5 12.5v-5h5M20.5 12.5v-5h-5"/>',
    "Wait": '<path class="stroke" d="M14 9v5l3.5 2M6 14a8 8 0 1 0 16 0a8 8 0 1 0-16 0"/>',
    "Succeed": '<path class="stroke" d="M7.5 14.5l4.5 4.5 8.5-9.5"/>',
    "Fail": '<path class="stroke" d="M8.5 8.5l11 11M19.5 8.5l-11 11"/>',
    "Parallel": '<path class="stroke" d="M9.5 7v14M18.5 7v14"/>',
    "Map": '<path class="stroke" d="M8 8h12v4H8zM8 16h12v4H8z"/>',
}
"""By a state's type, on a square of 28 pixels."""

BADGES: dict[Status, str] = {
    "succeeded": '<path d="M-4 .5l2.8 2.8 5-6"/>',
    "caught": '<path d="M0 -4.5v5.5M0 4v.4"/>',
    "failed": '<path d="M-3.2 -3.2l6.4 6.4M3.2 -3.2l-6.4 6.4"/>',
    "running": '<path d="M-4 0h.2M0 0h.2M4 0h.2"/>',
    "stopped": '<path d="M-3 -3h6v6h-6z"/>',
}
"""By a state's status, around the middle of a circle: told without colours too."""
