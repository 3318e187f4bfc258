"""The commands on the pages: every verb, option and target exists, and marked blocks are run.

A block behind `<!-- run -->` is run as it stands, one behind `<!-- serve -->` in the background
until the page's end; blocks of one page share a shell in a folder of their own. Port 8000 is
replaced by a free one.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.docs.pages import PAGES, ROOT, blocks_of, run_whole, text_of
from tests.engine.server_kit import free_port
from wherry.cli.root import wherry

RUN = [page for page in PAGES if any(block.mark == "run" for block in blocks_of(page, "sh"))]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield every `wherry` command of the shell blocks with its place, split into words."""
    for page in PAGES:
        for block in blocks_of(page, "sh"):
            for number, line in enumerate(block.text.splitlines(), block.line):
                for found in re.finditer(
                    r"(?:^|[(|&;] ?)wherry ([a-z][^)|;&>]*)", line.partition(" # ")[0]
                ):
                    yield f"{page}:{number}", shlex.split(found[1])


def fault_of(words: list[str]) -> str:
    """Return what is wrong with a command, as click sees it; empty where nothing is."""
    command: click.Command = wherry
    context = click.Context(wherry, info_name="wherry", resilient_parsing=True)
    while isinstance(command, click.Group):
        found = command.get_command(context, words[0]) if words else None
        if found is None:
            return f"there is no {' '.join(words)!r}"
        context = click.Context(found, parent=context, info_name=words[0], resilient_parsing=True)
        command, words = found, words[1:]
    try:
        _, rest, _ = command.make_parser(context).parse_args(list(words))
    except click.UsageError as error:
        return error.format_message()
    return f"{rest} is too much" if rest else ""


def test_every_command_on_the_pages_exists() -> None:
    """Verbs and options are those of the command line."""
    found = list(commands())
    assert len(found) > 10
    assert {place: fault for place, words in found if (fault := fault_of(words))} == {}


def test_every_make_target_on_the_pages_exists() -> None:
    """What a page tells people to make can be made."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = {
        name for page in PAGES for name in re.findall(r"(?:^ {4}|^|`)make ([a-z]+)", text_of(page))
    }
    assert told <= targets


def test_shell_blocks_are_shell() -> None:
    """Every shell block can be read by bash."""
    for page in PAGES:
        for block in blocks_of(page, "sh"):
            run = subprocess.run(
                ["bash", "-n"],
                input=block.text,
                text=True,
                capture_output=True,
                check=False,
                timeout=60,
            )
            assert run.returncode == 0, f"{page}:{block.line} {run.stderr}"


def script_of(page: str, port: int) -> str:
    """Return the page's marked blocks as one script."""
    parts = ["set -euo pipefail"]
    for block in blocks_of(page, "sh"):
        text = block.text.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
        if block.mark == "run":
            parts.append(text)
        elif block.mark == "serve":
            command = text.partition("#")[0].strip()
            parts.append(
                f"{command} --port {port} >server.log 2>&1 &\n"
                "server=$!\n"
                "trap 'kill $server; wait $server || true; tail -n 20 server.log' EXIT\n"
                "for _ in $(seq 800); do\n"
                f"  curl -fs http://127.0.0.1:{port}/readyz >/dev/null && break; sleep 0.05\n"
                "done\n"
            )
    return "\n".join(parts)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the pages use curl")
@pytest.mark.parametrize("page", RUN)
def test_the_marked_commands_of_a_page_work(page: str, tmp_path: Path) -> None:
    """Typed one after another, in an empty folder, each ends with 0."""
    port = free_port()
    beside = str(Path(sys.executable).parent)
    code, said = run_whole(
        ["bash", "-x", "-c", script_of(page, port)],
        cwd=tmp_path,
        env={**os.environ, "PATH": beside + os.pathsep + os.environ["PATH"], "NO_COLOR": "1"},
    )
    assert code == 0, said[-6000:]
