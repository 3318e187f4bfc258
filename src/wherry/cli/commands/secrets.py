"""`wherry secrets`: files that only the engine's user may read."""

from __future__ import annotations

import os
import re
import stat
import sys

import click

from wherry import limits
from wherry.cli.groups import Verbs, examples
from wherry.cli.options import data_option, json_option
from wherry.cli.output import paint, show, show_json
from wherry.errors import Refused

_NAME = re.compile(rf"[A-Za-z][A-Za-z0-9_-]{{0,{limits.NAME_LENGTH - 1}}}")


@click.group(
    cls=Verbs,
    epilog=examples(
        "wherry secrets set mail-key",
        "wherry secrets list",
    ),
)
def secrets() -> None:
    """Set and list secrets. Values are never shown and never stand on a command line."""


@secrets.command(
    "set",
    short_help="Set one: its value is asked for, or read from standard input.",
    epilog=examples(
        "wherry secrets set mail-key",
        "wherry secrets set mail-key < key.txt",
    ),
)
@click.argument("name")
@data_option
def set_(name: str, data: str) -> None:
    """Set secret NAME: its value is asked for, or read from standard input.

    A running app reads it at its next use.
    """
    from wherry.engine.datafolder import write_private

    if not _NAME.fullmatch(name):
        raise click.BadParameter(
            f"{name!r} is no name of a secret: letters, digits, - and _.", param_hint="NAME"
        )
    if sys.stdin.isatty():
        value = str(click.prompt(f"Value of {name}", hide_input=True)).encode()
    else:
        value = sys.stdin.buffer.read(limits.SECRET_BYTES + 2).removesuffix(b"\n")
    _check(value)
    folder = os.path.join(data, "secrets")
    for one in (data, folder):  # the mode is for the last folder of a path only
        os.makedirs(one, mode=0o700, exist_ok=True)
    write_private(os.path.join(folder, name), value)
    show(f"{name} is set.")


@secrets.command(
    "list",
    short_help="List the names of those that are set.",
    epilog=examples("wherry secrets list --json"),
)
@data_option
@json_option
def list_(data: str, as_json: bool) -> None:
    """List the names of the secrets that are set, and files that others could read."""
    from wherry.observe.columns import Cell, columns

    folder = os.path.join(data, "secrets")
    names = sorted(filter(_NAME.fullmatch, os.listdir(folder))) if os.path.isdir(folder) else []
    modes = {name: stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) for name in names}
    if as_json:
        show_json([{"name": name, "private": not mode & 0o077} for name, mode in modes.items()])
        return
    if not names:
        show("No secret is set.")
        return
    rows: list[list[Cell]] = [
        [name, ("bad", f"chmod 600 {os.path.join(folder, name)}") if mode & 0o077 else "private"]
        for name, mode in modes.items()
    ]
    show(columns(["secret", "file"], rows, paint()))


def _check(value: bytes) -> None:
    if not value:
        raise Refused("The value is empty.", advice="Pipe it in, or type it when asked.")
    if len(value) > limits.SECRET_BYTES:
        raise Refused(f"A secret has at most {limits.SECRET_BYTES} bytes.")
    try:
        value.decode()
    except UnicodeDecodeError:
        raise Refused("The value is no UTF-8 text.", advice="Encode it, as Base64.") from None
