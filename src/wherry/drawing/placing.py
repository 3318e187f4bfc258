"""A graph with a place for everything: cards of states, panels of branches, lines and labels."""

from __future__ import annotations

from typing import Literal

import msgspec

from wherry.drawing.columns import columns
from wherry.drawing.graph import Block, Kind, Link, Node
from wherry.drawing.layers import Chain, Layers, Size
from wherry.drawing.routes import Point, Routes
from wherry.drawing.text import width, wrap

NAME = 14.0  # pixels, as all below
DETAIL = 12.0
LABEL = 12.0
NAME_LINE = 18.0
DETAIL_LINE = 16.0
LABEL_LINE = 15.0
NAME_WIDE = 210.0
DETAIL_WIDE = 220.0
LABEL_WIDE = 170.0
NAME_LINES = 3
DETAIL_LINES = 2
LABEL_LINES = 3
BOLD = 1.1  # how much wider than usual
ICON = 28.0
PAD = 11.0
LEAST_WIDE = 130.0
DOT = 14.0  # where a block begins, and where it ends
PANEL_PAD = 14.0
PANEL_TITLE = 22.0
MARGIN = 24.0

_START = "\0start"
_END = "\0end "


class Card(msgspec.Struct, frozen=True):
    """A state: its left upper corner, its size, its lines of text, its branches inside."""

    node: Node
    x: float
    y: float
    width: float
    height: float
    name: tuple[str, ...]
    details: tuple[str, ...]
    panels: tuple[Panel, ...]


class Dot(msgspec.Struct, frozen=True):
    """Where a block begins or ends: its middle."""

    kind: Literal["start", "end"]
    x: float
    y: float


class Tag(msgspec.Struct, frozen=True):
    """A label on a line: its middle, its size; `text` is the whole of it."""

    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...]
    text: str


class Line(msgspec.Struct, frozen=True):
    """A way: its corners from source to target, or (`joins`) to a line that goes there."""

    points: tuple[Point, ...]
    kind: Kind
    source: str
    target: str
    tag: Tag | None = None
    joins: bool = False


class Panel(msgspec.Struct, frozen=True):
    """A block that is laid out: its left upper corner within its card, its size, what it holds."""

    title: str
    x: float
    y: float
    width: float
    height: float
    cards: tuple[Card, ...]
    dots: tuple[Dot, ...]
    lines: tuple[Line, ...]


def place(block: Block) -> Panel:
    """Return a machine laid out."""
    return _panel(block, MARGIN, 0.0)


# -- cards -----------------------------------------------------------------------------------------


def _card(node: Node) -> Card:
    """Return a state's card at the origin; what it holds is laid out first."""
    name = tuple(wrap(node.name, NAME * BOLD, NAME_WIDE, NAME_LINES)) or (" ",)
    details = tuple(
        line
        for text in node.details
        if text
        for line in wrap(text, DETAIL, DETAIL_WIDE, DETAIL_LINES)
    )
    text_wide = max(
        *(width(one, NAME * BOLD) for one in name), *(width(one, DETAIL) for one in details), 0.0
    )
    head = max(ICON, len(name) * NAME_LINE + len(details) * DETAIL_LINE)
    wide = max(LEAST_WIDE, PAD + ICON + PAD + text_wide + PAD)
    tall = head + 2 * PAD
    panels = []
    x = PANEL_PAD
    for block in node.blocks:
        panel = _panel(block, PANEL_PAD, PANEL_TITLE, x, tall)
        panels.append(panel)
        x += panel.width + PANEL_PAD
    if panels:
        wide = max(wide, x)
        tall += max(panel.height for panel in panels) + PANEL_PAD
        panels = _filled(panels, wide, tall - PANEL_PAD - panels[0].y)
    return Card(node, 0.0, 0.0, wide, tall, name, details, tuple(panels))


def _filled(panels: list[Panel], wide: float, tall: float) -> list[Panel]:
    """Make all panels of a card equally tall; a single one fills the card."""
    moved = []
    for panel in panels:
        more = wide - 2 * PANEL_PAD - panel.width if len(panels) == 1 else 0.0
        moved.append(_widened(panel, more, tall))
    return moved


def _widened(panel: Panel, more: float, tall: float) -> Panel:
    half = more / 2
    return msgspec.structs.replace(
        panel,
        width=panel.width + more,
        height=tall,
        cards=tuple(msgspec.structs.replace(one, x=one.x + half) for one in panel.cards),
        dots=tuple(msgspec.structs.replace(one, x=one.x + half) for one in panel.dots),
        lines=tuple(_moved(one, half) for one in panel.lines),
    )


def _moved(line: Line, by: float) -> Line:
    tag = line.tag and msgspec.structs.replace(line.tag, x=line.tag.x + by)
    points = tuple((x + by, y) for x, y in line.points)
    return msgspec.structs.replace(line, points=points, tag=tag)


# -- blocks ----------------------------------------------------------------------------------------


def _panel(block: Block, pad: float, title: float, x: float = 0.0, y: float = 0.0) -> Panel:
    cards = {node.name: _card(node) for node in block.nodes}
    sizes: dict[str, Size] = {_START: (DOT, DOT)}
    links = [Link(_START, block.start)] if block.start in cards else []
    for node in block.nodes:
        sizes[node.name] = (cards[node.name].width, cards[node.name].height)
        if node.ends:
            sizes[_END + node.name] = (DOT, DOT)
            links.append(Link(node.name, _END + node.name))
        links += [link for link in block.links if link.source == node.name]
    tags = [_tag(link.label) for link in links]
    asked = [
        (link.source, link.target, None if tag is None else (tag.width, tag.height))
        for link, tag in zip(links, tags, strict=True)
    ]
    forks = {node.name for node in block.nodes if node.kind == "Choice"}
    caught = [number for number, link in enumerate(links) if link.kind == "catch"]
    layers = Layers(sizes, asked, _START, forks, caught)
    columns(layers)
    routes = Routes(layers)
    left, top = pad, pad + title
    wide = max(one.x + one.width / 2 for rank in layers.ranks for one in rank)
    wide = max(wide, *(px for line in routes.lines for px, _ in line), width(block.title, LABEL))
    lines = tuple(
        _line(link, points, tag, chain, left, top)
        for link, points, tag, chain in zip(links, routes.lines, tags, layers.chains, strict=True)
    )
    return Panel(
        block.title, x, y, wide + 2 * pad, routes.height + title + 2 * pad,
        tuple(_put(cards[name], layers, left, top) for name in cards),
        tuple(_dots(layers, left, top)), lines,
    )  # fmt: skip


def _put(card: Card, layers: Layers, left: float, top: float) -> Card:
    at = layers.nodes[card.node.name]
    x, y = left + at.x - card.width / 2, top + at.y - card.height / 2
    return msgspec.structs.replace(card, x=x, y=y)


def _dots(layers: Layers, left: float, top: float) -> list[Dot]:
    return [
        Dot("start" if name == _START else "end", left + at.x, top + at.y)
        for name, at in layers.nodes.items()
        if name.startswith("\0")
    ]


def _tag(label: str) -> Tag | None:
    if not label:
        return None
    lines = tuple(wrap(label, LABEL, LABEL_WIDE, LABEL_LINES))
    wide = max(width(one, LABEL) for one in lines) + 12.0
    return Tag(0.0, 0.0, wide, len(lines) * LABEL_LINE + 4.0, lines, label)


def _line(
    link: Link, points: list[Point], tag: Tag | None, chain: Chain, left: float, top: float
) -> Line:
    moved = tuple((left + x, top + y) for x, y in points)
    if tag is not None and chain.label is not None:
        x, y = left + chain.label.x, top + chain.label.y
        tag = msgspec.structs.replace(tag, x=x, y=y)
    joins = chain.joins is not None
    return Line(moved, link.kind, link.source, link.target, tag, joins)
