"""Pictures of state machines: what is on them, and that nothing lies upon anything else."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest

from tests.unit.drawing_kit import REFUND, machine
from wherry.drawing import mermaid, svg
from wherry.drawing.graph import Block, read
from wherry.drawing.placing import Card, Panel, place

SEEDS = range(40)


@cache
def drawn(seed: int) -> tuple[Panel, ...]:
    """Every panel of some machine's picture."""
    return tuple(panels(place(read(machine(seed, 3 + seed)))))


def panels(panel: Panel) -> Iterator[Panel]:
    yield panel
    for card in panel.cards:
        for inner in card.panels:
            yield from panels(inner)


def blocks(block: Block) -> Iterator[Block]:
    yield block
    for node in block.nodes:
        for inner in node.blocks:
            yield from blocks(inner)


def box(card: Card) -> tuple[float, float, float, float]:
    return card.x, card.y, card.x + card.width, card.y + card.height


def overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def lies_on(point: tuple[float, float], line: tuple[tuple[float, float], ...]) -> bool:
    return any(
        min(ax, bx) - 1 <= point[0] <= max(ax, bx) + 1
        and min(ay, by) - 1 <= point[1] <= max(ay, by) + 1
        for (ax, ay), (bx, by) in pairwise(line)
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_no_state_lies_upon_another(seed: int) -> None:
    """Cards are apart from each other and within their panel, whatever the machine."""
    for panel in drawn(seed):
        for one, other in combinations(panel.cards, 2):
            assert not overlap(box(one), box(other)), (one.node.name, other.node.name)
        for card in panel.cards:
            assert card.x >= 0
            assert card.y >= 0
            assert card.x + card.width <= panel.width
            assert card.y + card.height <= panel.height
            for inner in card.panels:
                assert inner.x + inner.width <= card.width
                assert inner.y + inner.height <= card.height


@pytest.mark.parametrize("seed", SEEDS)
def test_no_line_runs_through_a_state(seed: int) -> None:
    """A line leaves its source below, enters its target above, and passes all others."""
    for panel in drawn(seed):
        cards = {card.node.name: card for card in panel.cards}
        for line in panel.lines:
            (first_x, first_y), (last_x, last_y) = line.points[0], line.points[-1]
            if line.source in cards:
                left, _, right, bottom = box(cards[line.source])
                assert left < first_x < right
                assert first_y == pytest.approx(bottom)
            if line.joins:
                others = [one for one in panel.lines if one.target == line.target and not one.joins]
                assert any(lies_on((last_x, last_y), one.points) for one in others)
            elif line.target in cards:
                left, top, right, _ = box(cards[line.target])
                assert left < last_x < right
                assert last_y == pytest.approx(top)
            for (ax, ay), (bx, by) in pairwise(line.points):
                assert ax == bx or ay == by
                way = (min(ax, bx), min(ay, by) + 0.1, max(ax, bx), max(ay, by) - 0.1)
                for card in panel.cards:
                    assert not overlap(way, box(card)), (line, card.node.name)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_label_lies_upon_a_state_or_another_label(seed: int) -> None:
    """Every word of a picture can be read."""
    for panel in drawn(seed):
        tags = [line.tag for line in panel.lines if line.tag is not None]
        boxes = [
            (one.x - one.width / 2, one.y - one.height / 2, one.x + one.width / 2,
             one.y + one.height / 2) for one in tags
        ]  # fmt: skip
        for one, other in combinations(boxes, 2):
            assert not overlap(one, other)
        for one in boxes:
            assert not any(overlap(one, box(card)) for card in panel.cards)
            assert one[0] >= 0
            assert one[2] <= panel.width


@pytest.mark.parametrize("seed", SEEDS)
def test_everything_of_a_machine_is_on_its_picture(seed: int) -> None:
    """Each state has a card, each way a line, in both languages of pictures."""
    definition = machine(seed, 3 + seed)
    wanted = list(blocks(read(definition)))
    assert [[card.node.name for card in one.cards] for one in drawn(seed)] == [
        [node.name for node in one.nodes] for one in wanted
    ]
    for one, block in zip(drawn(seed), wanted, strict=True):
        ends = sum(node.ends for node in block.nodes)
        assert len(one.lines) == len(block.links) + ends + 1
    text = mermaid(definition)
    assert all(f"<b>{node.name}</b>" in text for block in wanted for node in block.nodes)
    assert text.count("-->") + text.count("-.->") == sum(len(one.lines) for one in drawn(seed))


def test_a_picture_is_the_same_each_time() -> None:
    """One definition gives one text, so that a picture in a repository changes with it alone."""
    import wherry.drawing

    assert wherry.drawing.svg(REFUND) == wherry.drawing.svg(REFUND) == svg(REFUND)
    assert wherry.drawing.mermaid(REFUND) == wherry.drawing.mermaid(REFUND) == mermaid(REFUND)


def test_an_svg_needs_nothing_from_outside() -> None:
    """It is one XML document without scripts, addresses and references; it knows the dark."""
    text = svg(REFUND, title="refund")
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.findtext("{http://www.w3.org/2000/svg}title") == "refund"
    assert text.replace("http://www.w3.org/2000/svg", "").count("://") == 0
    assert {one.tag.partition("}")[2] for one in root.iter()} <= {
        "circle", "g", "path", "polygon", "rect", "style", "svg", "text", "title",
    }  # fmt: skip
    assert "prefers-color-scheme:dark" in text
    assert not any("href" in name for one in root.iter() for name in one.attrib)


def test_every_style_stays_within_the_picture() -> None:
    """A page that shows a picture keeps its style: each rule begins with the picture's class."""
    style = svg(REFUND).partition("<style>")[2].partition("</style>")[0]
    style = style.replace("@media(prefers-color-scheme:dark){", "")
    rules = [one for one in style.split("}") if one]
    assert all(rule.startswith(".wherry") for rule in rules)


def test_names_are_text_and_nothing_else() -> None:
    """What is a mark in XML, HTML or Mermaid, or no character at all, harms no picture."""
    name = '1. <b>&"quoted"</b> #35; \x01 ]]> {x}'
    definition = {"StartAt": name, "States": {name: {"Type": "Pass", "End": True}}}
    titles = ElementTree.fromstring(svg(definition)).iter("{http://www.w3.org/2000/svg}title")
    shown = name.replace("\x01", "\N{REPLACEMENT CHARACTER}")
    assert [one.text for one in titles] == [f"{shown} (Pass)"]
    text = mermaid(definition)
    assert "&lt;b&gt;&amp;&quot;quoted&quot;&lt;/b&gt;" in text
    assert "#35;" not in text
    assert "1. " not in text


def test_a_long_name_is_broken_and_cut() -> None:
    """A name of 80 letters without a blank stays within its card."""
    for name in ("x" * 80, "_".join(["word"] * 16), "word " * 15 + "end"):
        definition = {"StartAt": name, "States": {name: {"Type": "Pass", "End": True}}}
        (card,) = place(read(definition)).cards
        assert 1 < len(card.name) <= 3
        assert card.width < 300


def test_states_are_coloured_and_marked() -> None:
    """What became of a state is told by its colour, by a badge, and in words."""
    text = svg(REFUND, {"Charge back": "failed", "Book": "running"})
    assert 'class="state task failed"' in text
    assert "<title>Charge back (Task): failed</title>" in text
    assert "<title>Book (Task): running</title>" in text
    assert text.count('class="badge"') == 2
    assert "<i>failed</i>" in mermaid(REFUND, {"Charge back": "failed"})


def test_a_loop_goes_around_the_states_that_it_repeats() -> None:
    """A way back goes up beside its states, and enters above like any other."""
    panel = place(read(REFUND))
    cards = {card.node.name: card for card in panel.cards}
    (back,) = (one for one in panel.lines if (one.source, one.target) == ("Arrived?", "Cool down"))
    assert back.points[0][1] > back.points[-1][1]
    assert max(x for x, _ in back.points) > max(
        cards[name].x + cards[name].width for name in ("Arrived?", "Cool down")
    )


def test_the_main_way_is_straight() -> None:
    """What follows without a choice, and the first of two choices, stand in one column."""
    panel = place(read(REFUND))
    straight = [line for line in panel.lines if len(line.points) == 2]
    assert {(one.source, one.target) for one in straight} >= {
        ("Above the limit?", "Ask the staff"),
        ("Ask the staff", "Charge back"),
        ("Charge back", "Cool down"),
        ("Cool down", "Arrived?"),
        ("Arrived?", "Tell all"),
        ("Tell all", "Refunded"),
        ("Release", "Not refunded"),
    }


def test_a_large_machine_is_drawn() -> None:
    """A machine of 300 states has its picture."""
    assert svg(machine(7, 300)).endswith("</svg>\n")
