"""The pages of the documentation, and the fenced blocks on them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")]
)
RUN_S = 100  # less than what a test may take
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


def run_whole(command: list[str], **more: Any) -> tuple[int, str]:
    """Run a command with all that it starts; return its code and what it said.

    What still runs of it when it has ended, or after RUN_S, is killed.
    """
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **more,
        )
        try:
            code = process.wait(RUN_S)
        except subprocess.TimeoutExpired:
            code = -1
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
        said.seek(0)
        return code, said.read().decode("utf-8", "replace")
