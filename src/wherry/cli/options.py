"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

data_option = click.option(
    "--data", default=".wherry", show_default=True, metavar="DIR", help="The folder of all state."
)
json_option = click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")
folder_option = click.option(
    "--folder", default=".", metavar="DIR", help="The folder of the app's code (here)."
)


def target_argument(fn: F) -> F:
    """Add TARGET and --folder: which app, and where its code is."""
    return click.argument("target", required=False, default="")(folder_option(fn))
