"""`wherry new`: the smallest app: one route, one job, their tests."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import click

from wherry import limits
from wherry.cli.groups import examples
from wherry.cli.output import paint, show
from wherry.errors import Refused

_TEMPLATES = Path(__file__).parents[1] / "templates" / "new"
_NAME = re.compile(rf"[a-z][a-z0-9_-]{{0,{limits.NAME_LENGTH - 1}}}")
_DOTTED = {"gitignore": ".gitignore"}  # package data whose names begin with a dot get lost easily


@click.command(
    short_help="Write the smallest app: one route, one job, their tests.",
    epilog=examples("wherry new hello"),
)
@click.argument("name")
def new(name: str) -> None:
    """Write the smallest app into a new folder NAME: one route, one job, their tests."""
    if not _NAME.fullmatch(name):
        raise click.BadParameter(
            f"{name!r} is no name: lower-case letters, digits, - and _, a letter first, "
            f"at most {limits.NAME_LENGTH}.",
            param_hint="NAME",
        )
    folder = Path(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(
            f"{name} is there already, and it is not an empty folder.",
            advice="Choose another name; nothing is overwritten.",
        )
    try:
        folder.mkdir(exist_ok=True)
        for template in sorted(_TEMPLATES.iterdir()):
            plain = template.name.removesuffix(".txt")
            text = template.read_text(encoding="utf-8").replace("{{name}}", name)
            (folder / _DOTTED.get(plain, plain)).write_text(text, encoding="utf-8")
    except OSError as error:
        where = os.path.abspath(folder)
        raise Refused(f"{where} cannot be written: {error.strerror}.") from error
    show(_next_steps(name))


def _next_steps(name: str) -> str:
    colours = paint()
    token = "$(wherry token --subject alice --role user)"
    steps = (
        *_activation(),
        (f"cd {name}", ""),
        ("wherry dev", "serve it, and reload on every edit"),
        ("make test", "its tests"),
        (
            f'curl -X POST http://127.0.0.1:8000/visits -H "Authorization: Bearer {token}"',
            "",
        ),
        ("wherry timeline", "what happened then"),
    )
    wide = max(len(step) for step, told in steps if told)
    lines = [f"  {step.ljust(wide + 2)}{colours('dim', told)}".rstrip() for step, told in steps]
    return "\n".join(
        [f"{colours('strong', name)} is an app with one route and one job.", "", *lines]
    )


def _activation() -> list[tuple[str, str]]:
    """Return the step without which the others would not find `wherry`, where it is needed."""
    activate = os.path.join(sys.prefix, "bin", "activate")
    if shutil.which("wherry") or not os.path.exists(activate):
        return []
    return [(f". {activate}", "find wherry, in each new terminal")]
