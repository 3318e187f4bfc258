"""What is told to the person: text, JSON, colours on a terminal, errors with their advice."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from wherry.observe.paint import Paint, in_lines

if TYPE_CHECKING:
    from wherry.errors import WherryError


def paint(err: bool = False) -> Paint:
    """Colours where a person looks: on a terminal, unless NO_COLOR is set (no-color.org)."""
    stream = sys.stderr if err else sys.stdout
    return Paint(stream.isatty() and not os.environ.get("NO_COLOR"))


def show(text: str) -> None:
    """Print text; colours are kept as they are."""
    click.echo(text, color=True)


def show_json(value: Any) -> None:
    """Print a value as JSON, records by the names of their fields."""
    import msgspec

    from wherry.observe.fields import as_fields

    encoded = msgspec.json.encode(as_fields(value))
    click.echo(msgspec.json.format(encoded, indent=2).decode())


def note(text: str) -> None:
    """Tell something that is not the result: on standard error."""
    click.echo(paint(err=True)("dim", text), err=True, color=True)


def complain(error: WherryError) -> None:
    """Tell an error: what is wrong, and what to do next."""
    colours = paint(err=True)
    first, *rest = in_lines(error.message)
    lines = [f"{colours('bad', 'wherry:')} {first}", *rest]
    lines += [f"  {fault['at']} {fault['fault']}" for fault in getattr(error, "faults", ())]
    if error.advice:
        lines += in_lines(error.advice)
    click.echo("\n".join(lines), err=True, color=True)


def near(wrong: str, right: Iterable[str]) -> str:
    """Return ` Did you mean ...?` for a name that is not there; empty where nothing is near."""
    import difflib

    found = difflib.get_close_matches(wrong, list(right), n=3)
    return f" Did you mean {' or '.join(found)}?" if found else ""
