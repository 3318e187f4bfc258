"""Pictures of state machines: a definition in, text of a picture out. Pure.

    from wherry.drawing import mermaid, svg

    svg(definition)                                  # self-contained, for light and dark
    svg(definition, {"Charge": "failed"})            # an execution's states are coloured
    mermaid(definition)                              # for Markdown that renders it

Definitions are those that `wherry.statemachine.validate` has nothing to say about.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wherry.drawing.graph import Status

__all__ = ["Status", "mermaid", "svg"]


def mermaid(definition: dict[str, Any], states: Mapping[str, Status] | None = None) -> str:
    """Return a definition as a flowchart in Mermaid's language.

    Args:
        states: What became of which state in an execution; by the state's name.
    """
    from wherry.drawing.flowchart import flowchart
    from wherry.drawing.graph import read

    return flowchart(read(definition), states or {})


def svg(
    definition: dict[str, Any], states: Mapping[str, Status] | None = None, title: str = ""
) -> str:
    """Return a definition as an SVG document that needs nothing else: no font, script or address.

    Args:
        states: What became of which state in an execution; by the state's name.
        title: For those who cannot see it, and over a tab.
    """
    from wherry.drawing.document import document
    from wherry.drawing.graph import read
    from wherry.drawing.placing import place

    return document(place(read(definition)), states or {}, title)
