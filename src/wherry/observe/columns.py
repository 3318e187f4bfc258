"""Rows of text in aligned columns."""

from __future__ import annotations

from collections.abc import Sequence

from wherry.observe.paint import PLAIN, Paint, Style, in_line

Cell = str | tuple[Style, str]


def columns(
    head: Sequence[str], rows: Sequence[Sequence[Cell]], paint: Paint = PLAIN, right: str = ""
) -> str:
    """Lay rows out under a head; the last column is not padded.

    Args:
        right: The names of the columns that are aligned to the right, with spaces between.
    """
    texts = [[_text(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *texts, strict=True)]
    aligned = [name in right.split() for name in head]
    lines = []
    for number, row in enumerate([head, *rows]):
        cells = []
        for place, cell in enumerate(row):
            text = _text(cell)
            wide = 0 if place == len(head) - 1 and not aligned[place] else widths[place]
            padded = text.rjust(wide) if aligned[place] else text.ljust(wide)
            style: Style = "dim" if number == 0 else cell[0] if isinstance(cell, tuple) else "plain"
            cells.append(paint(style, padded))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _text(cell: Cell) -> str:
    return in_line(cell[1] if isinstance(cell, tuple) else cell)
