"""Which app is meant: TARGET as given, as the project says, or the only one there is."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from typing import TYPE_CHECKING

from wherry.errors import Refused

if TYPE_CHECKING:
    from wherry.app import App
    from wherry.blueprint import Blueprint

_DECLARES = re.compile(rb"^(\w+)\s*(?::[^=\n]+)?=\s*(?:wherry\.)?App\(", re.MULTILINE)
_CODE_BYTES = 1 << 20


def find_target(target: str, folder: str) -> str:
    """Return `module:attribute`.

    What was given; else `app = "..."` below `[tool.wherry]` in pyproject.toml; else the App in
    `app.py`; else the only App in the folder's modules.

    Raises:
        Refused: There is none, or more than one to choose from.
    """
    if target:
        module, colon, attribute = target.partition(":")
        if module.endswith(".py"):
            module = module[:-3].replace(os.sep, ".")
        return module + colon + attribute
    configured = _configured(folder)
    if configured:
        return configured
    found = _declared(folder)
    own = [one for one in found if one.startswith("app:")]
    candidates = own or found
    if len(candidates) == 1:
        return candidates[0]
    where = os.path.abspath(folder)
    if not candidates:
        raise Refused(
            f"There is no app in {where}.",
            advice="Name one, as in `wherry run shop:app`; or begin with `wherry new NAME`.",
        )
    raise Refused(
        f"There are several apps in {where}: {', '.join(candidates)}.",
        advice=f'Name one, or write app = "{candidates[0]}" below [tool.wherry] in pyproject.toml.',
    )


def load_target(target: str, folder: str) -> App:
    """Import the app. What its modules print goes to standard error.

    Raises:
        Refused: There is no such app, or its code raises when it is imported.
    """
    from wherry.errors import WherryError
    from wherry.runtime.loading import load_app, team_trace

    name = find_target(target, folder)
    with contextlib.redirect_stdout(sys.stderr):
        try:
            return load_app(name, os.path.abspath(folder))
        except WherryError:
            raise
        except (Exception, SystemExit) as error:
            raise Refused(
                f"{name} cannot be imported:\n{team_trace(error)}", advice="Mend that first."
            ) from error


def load_blueprint(target: str, folder: str) -> Blueprint:
    """Import the app and return its description.

    Raises:
        AppInvalid: With everything that is wrong with it.
        Refused: As `load_target`.
    """
    return load_target(target, folder).freeze()


def _configured(folder: str) -> str:
    import tomllib

    path = os.path.join(folder, "pyproject.toml")
    try:
        with open(path, "rb") as file:
            found = tomllib.load(file).get("tool", {}).get("wherry", {}).get("app", "")
    except FileNotFoundError:
        return ""
    except tomllib.TOMLDecodeError as error:
        raise Refused(f"{path} is no TOML: {error}.") from None
    if not isinstance(found, str):
        raise Refused(f"{path}: app below [tool.wherry] is no text.", advice='Write "shop:app".')
    return found


def _declared(folder: str) -> list[str]:
    """Return the Apps that modules of the folder declare, by their text: nothing is imported."""
    found = []
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise Refused(
            f"The folder {folder} cannot be read: {error.strerror}.",
            advice="Name the one that holds the app's code with --folder.",
        ) from None
    for name in names:
        if not name.endswith(".py") or name.startswith(("test_", "conftest")):
            continue
        with contextlib.suppress(OSError), open(os.path.join(folder, name), "rb") as file:
            text = file.read(_CODE_BYTES)
            found += [f"{name[:-3]}:{one.decode()}" for one in _DECLARES.findall(text)]
    return found
