"""A laid out machine as an SVG document with its own style, for light and dark."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape as in_html

from wherry.drawing.graph import Status
from wherry.drawing.marks import BADGES, ICONS
from wherry.drawing.placing import (
    DETAIL_LINE,
    ICON,
    LABEL_LINE,
    NAME_LINE,
    PAD,
    Card,
    Dot,
    Line,
    Panel,
    Tag,
)
from wherry.drawing.style import STYLE

CORNER = 7.0  # pixels: the radius where a line turns
ARROW = (4.0, 7.0)  # pixels: half its width, its length
BADGE = 9.0  # pixels: its radius
_UNKNOWN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def document(panel: Panel, states: Mapping[str, Status], title: str) -> str:
    """Return the document."""
    wide, tall = _n(panel.width), _n(panel.height)
    named = f"<title>{escape(title)}</title>" if title else ""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="wherry" role="img" viewBox="0 0 {wide}'
        f' {tall}" width="{wide}" height="{tall}">{named}',
        f"<style>{STYLE}</style>",
        f'<rect class="canvas" width="{wide}" height="{tall}" rx="10"/>',
        *_inside(panel, states),
        "</svg>\n",
    ]
    return "\n".join(lines)


def _inside(panel: Panel, states: Mapping[str, Status]) -> Iterator[str]:
    for line in panel.lines:
        yield _line(line)
    for dot in panel.dots:
        yield _dot(dot)
    for card in panel.cards:
        yield from _card(card, states)
    for line in panel.lines:
        if line.tag is not None:
            yield _tag(line.tag, line.kind)


def _card(card: Card, states: Mapping[str, Status]) -> Iterator[str]:
    status = states.get(card.node.name)
    kind = card.node.kind
    told = f"{card.node.name} ({kind})" + (f": {status}" if status else "")
    wide, tall = card.width, card.height
    yield (
        f'<g class="state {kind.lower()}{f" {status}" if status else ""}"'
        f' transform="translate({_n(card.x)} {_n(card.y)})"><title>{escape(told)}</title>'
    )
    yield _shape(card)
    head = card.panels[0].y if card.panels else tall
    yield (
        f'<g class="icon" transform="translate({_n(PAD)} {_n((head - ICON) / 2)})">'
        f'<rect width="{_n(ICON)}" height="{_n(ICON)}" rx="7"/>{ICONS.get(kind, "")}</g>'
    )
    x = PAD + ICON + PAD
    y = (head - len(card.name) * NAME_LINE - len(card.details) * DETAIL_LINE) / 2
    for text in card.name:
        y += NAME_LINE
        yield f'<text class="name" x="{_n(x)}" y="{_n(y - 4.5)}">{escape(text)}</text>'
    for text in card.details:
        y += DETAIL_LINE
        yield f'<text class="detail" x="{_n(x)}" y="{_n(y - 4)}">{escape(text)}</text>'
    for panel in card.panels:
        yield f'<g transform="translate({_n(panel.x)} {_n(panel.y)})">'
        yield (
            f'<rect class="panel" width="{_n(panel.width)}" height="{_n(panel.height)}" rx="8"/>'
            f'<text class="label" x="{_n(PAD)}" y="18">{escape(panel.title)}</text>'
        )
        yield from _inside(panel, states)
        yield "</g>"
    if status:
        yield (
            f'<g class="badge" transform="translate({_n(wide - 2)} 2)">'
            f'<circle r="{_n(BADGE)}"/>{BADGES[status]}</g>'
        )
    yield "</g>"


def _shape(card: Card) -> str:
    wide, tall = card.width, card.height
    radius = 22 if card.node.kind in ("Succeed", "Fail") else 9
    if card.node.kind == "Choice":
        cut = 9.0  # its corners: a way forks here
        corners = [(cut, 0), (wide - cut, 0), (wide, cut), (wide, tall - cut), (wide - cut, tall),
                   (cut, tall), (0, tall - cut), (0, cut)]  # fmt: skip
        points = " ".join(f"{_n(x)},{_n(y)}" for x, y in corners)
        return f'<polygon class="card" points="{points}"/>'
    return f'<rect class="card" width="{_n(wide)}" height="{_n(tall)}" rx="{radius}"/>'


def _dot(dot: Dot) -> str:
    x, y = _n(dot.x), _n(dot.y)
    if dot.kind == "start":
        return f'<circle class="begin" cx="{x}" cy="{y}" r="6"/>'
    return (
        f'<circle class="ring" cx="{x}" cy="{y}" r="6.5"/>'
        f'<circle class="begin" cx="{x}" cy="{y}" r="3.5"/>'
    )


def _line(line: Line) -> str:
    if line.joins:
        return f'<g class="line {line.kind}"><path d="{_path(list(line.points))}"/></g>'
    half, length = ARROW
    (x, y) = line.points[-1]
    short = [*line.points[:-1], (x, y - length + 1)]
    head = f"M{_n(x - half)} {_n(y - length)}L{_n(x + half)} {_n(y - length)}L{_n(x)} {_n(y)}Z"
    return (
        f'<g class="line {line.kind}"><path d="{_path(short)}"/><path class="head" d="{head}"/></g>'
    )


def _path(points: list[tuple[float, float]]) -> str:
    """Return a line with round corners."""
    parts = [f"M{_n(points[0][0])} {_n(points[0][1])}"]
    for before, corner, behind in zip(points, points[1:], points[2:], strict=False):
        radius = min(CORNER, _far(before, corner) / 2, _far(corner, behind) / 2)
        a, b = _toward(corner, before, radius), _toward(corner, behind, radius)
        parts.append(
            f"L{_n(a[0])} {_n(a[1])}Q{_n(corner[0])} {_n(corner[1])} {_n(b[0])} {_n(b[1])}"
        )
    parts.append(f"L{_n(points[-1][0])} {_n(points[-1][1])}")
    return "".join(parts)


def _far(a: tuple[float, float], b: tuple[float, float]) -> float:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def _toward(start: tuple[float, float], end: tuple[float, float], by: float) -> tuple[float, float]:
    far = _far(start, end)
    if far == 0:
        return start
    return (
        start[0] + (end[0] - start[0]) * by / far,
        start[1] + (end[1] - start[1]) * by / far,
    )


def _tag(tag: Tag, kind: str) -> str:
    x, y = tag.x - tag.width / 2, tag.y - tag.height / 2
    texts = "".join(
        f'<text class="label" text-anchor="middle" x="{_n(tag.x)}"'
        f' y="{_n(y + 13 + number * LABEL_LINE)}">{escape(line)}</text>'
        for number, line in enumerate(tag.lines)
    )
    return (
        f'<g class="tag {kind}"><title>{escape(tag.text)}</title><rect x="{_n(x)}" y="{_n(y)}"'
        f' width="{_n(tag.width)}" height="{_n(tag.height)}" rx="6"/>{texts}</g>'
    )


def escape(text: str) -> str:
    """Return text as XML has it; what no document may hold is shown as a mark."""
    return in_html(_UNKNOWN.sub("\N{REPLACEMENT CHARACTER}", text))


def _n(number: float) -> str:
    """Return a number as short as it can be told."""
    return f"{number:.1f}".removesuffix(".0")
