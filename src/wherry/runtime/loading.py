"""Loading a team's app: `module:attribute` below a folder, and a digest of its code."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from wherry.codec import digest
from wherry.errors import Refused

if TYPE_CHECKING:
    from wherry.app import App


def load_app(target: str, folder: str) -> App:
    """Import `module:attribute` (attribute: `app` unless given) with `folder` on the path.

    Raises:
        Refused: There is no such module or attribute, or it is no App.
    """
    from wherry.app import App

    module_name, _, attribute = target.partition(":")
    if module_name.endswith(".py"):
        raise Refused(f"{target!r} is a file.", advice=f"Name the module: {module_name[:-3]}:app.")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    import importlib

    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise
        raise Refused(
            f"There is no module {module_name!r} in {folder}.",
            advice="Name it as in `wherry run shop:app`, from the folder that holds it.",
        ) from None
    found: Any = getattr(module, attribute or "app", None)
    if not isinstance(found, App):
        there = [name for name, value in vars(module).items() if isinstance(value, App)]
        raise Refused(
            f"{module_name!r} has no App named {attribute or 'app'!r}.",
            advice=f"There is {' and '.join(f'{module_name}:{name}' for name in there)}."
            if there
            else f"Write `{attribute or 'app'} = App(...)` there, or name another module.",
        )
    return found


def team_trace(error: BaseException) -> str:
    """Return the trace from the team's first line on: how Python got there says nothing."""
    import traceback

    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((ours, "<frozen importlib"))
        and f"{os.sep}importlib{os.sep}" not in frame.filename
    ]
    lines = [*traceback.format_list(frames), *traceback.format_exception_only(error)]
    return "".join(lines).rstrip("\n")


def code_files(folder: str) -> list[str]:
    """Return the source files below `folder` that are imported now, sorted."""
    root = os.path.join(os.path.realpath(folder), "")
    found = set()
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if path and path.endswith(".py"):
            real = os.path.realpath(path)
            if real.startswith(root) and "/site-packages/" not in real:
                found.add(real)
    return sorted(found)


def code_digest(folder: str) -> str:
    """Return a digest of the app's imported source: a changed handler is a new release."""
    parts: list[bytes | str] = []
    for path in code_files(folder):
        with open(path, "rb") as file:
            parts += [os.path.relpath(path, folder), file.read()]
    return digest(*parts)
