"""The pages of the documentation, and the fenced blocks on them."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")]
)
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"<!-- (.*) -->")


class Block(msgspec.Struct, frozen=True):
    """A fenced block: its language, its text, the line of the page on which the text begins.

    `mark` is what an HTML comment on the line before says of it, or empty.
    """

    language: str
    text: str
    line: int
    mark: str


def text_of(page: str) -> str:
    """Return a page as it is."""
    return (ROOT / page).read_text()


def blocks_of(page: str, language: str) -> list[Block]:
    """Return the page's blocks of one language, in order."""
    text = text_of(page)
    found = []
    for match in _FENCE.finditer(text):
        before = text[: match.start()].rstrip("\n").rpartition("\n")[2]
        line = text.count("\n", 0, match.start(2)) + 1
        mark = _MARK.fullmatch(before.strip())
        found.append(Block(match[1], match[2], line, mark[1] if mark else ""))
    return [block for block in found if block.language == language]


def prose_of(page: str) -> str:
    """Return the page without its fenced blocks."""
    return _FENCE.sub("", text_of(page))


def program_of(page: str) -> str:
    """Return the page's Python as one program, each block on the lines where it stands."""
    lines: list[str] = []
    for block in blocks_of(page, "python"):
        lines += [""] * (block.line - 1 - len(lines))
        lines += block.text.splitlines()
    return "\n".join(lines) + "\n"
