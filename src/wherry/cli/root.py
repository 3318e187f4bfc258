"""`wherry`: its verbs in groups, each imported when it is used, so that help comes at once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from wherry.cli.groups import Verbs

VERBS: dict[str, dict[str, tuple[str, str]]] = {
    "Begin here": {
        "new": ("new", "Write the smallest app: one route, one job, their tests."),
        "dev": ("run", "Run an app while you write it: reloads on edit, readable logs."),
        "run": ("run", "Run an app as a server."),
        "timeline": ("timeline", "Show a request and all that followed it."),
        "failures": ("failures", "Look after work that failed: list, show, redrive, discard."),
        "check": ("check", "Find what is wrong with an app."),
    },
    "A running app": {
        "logs": ("logs", "Show log lines, and follow them."),
        "status": ("engine", "Show what the engine is doing."),
        "queues": ("store", "Show how much waits in each queue."),
        "schedules": ("pausing", "Show when each schedule fires next, and what it skipped."),
        "workflow": ("workflow", "Draw, check and try workflows; look after their runs."),
        "pause": ("pausing", "Let a function's messages wait and its schedules skip; or all."),
        "resume": ("pausing", "Let a paused function, or the app, go on."),
        "reload": ("engine", "Load the app's code again, without a pause."),
        "stop": ("engine", "Stop the engine when what is running is finished."),
    },
    "Its users and its state": {
        "token": ("access", "Make an access token to try things with."),
        "accounts": ("access", "Make accounts of the development issuer."),
        "secrets": ("secrets", "Set and list secrets."),
        "tables": ("store", "List tables, fill new indexes."),
        "releases": ("store", "List the versions that ran here."),
        "move": ("move", "Move all data from the folder to Postgres and S3."),
    },
    "Its description": {
        "retries": ("retries", "Show what can follow a request, and how often it is tried."),
        "blueprint": ("check", "Print the app's description as canonical JSON."),
        "openapi": ("check", "Print the app's OpenAPI document."),
        "schemas": ("schemas", "Record the types of what is stored and sent; find what breaks."),
    },
}
"""Verb -> module below `commands`, one line of help. Printed in this order."""

EPILOG = "Exit codes: 0 done, 1 failed or something was found, 2 misused."


class Wherry(Verbs):
    """The verbs, loaded when they are called, and errors told in one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all verbs, in the order of the help page."""
        return [name for group in VERBS.values() for name in group]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb."""
        for group in VERBS.values():
            if cmd_name in group:
                module = import_module(f"wherry.cli.commands.{group[cmd_name][0]}")
                command = getattr(module, cmd_name)
                assert isinstance(command, click.Command)
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the groups, without importing any verb."""
        wide = max(len(name) for group in VERBS.values() for name in group)
        for title, group in VERBS.items():
            with formatter.section(title):
                rows = [(name.ljust(wide), told) for name, (_, told) in group.items()]
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a verb. What wherry refuses is told without a trace."""
        with told():
            return super().invoke(ctx)


@contextmanager
def told() -> Iterator[None]:
    """Tell an error of wherry's to the person, and exit with 1."""
    from wherry.errors import WherryError

    try:
        yield
    except WherryError as error:
        from wherry.cli.output import complain

        complain(error)
        raise click.exceptions.Exit(1) from None


@click.group(cls=Wherry, epilog=EPILOG, context_settings={"max_content_width": 100})
@click.version_option(package_name="wherry", message="wherry %(version)s")
def wherry() -> None:
    """A backend described once in Python: run it here with one command.

    Begin with `wherry new NAME`, then `wherry dev` in the new folder.
    """
    if sys.platform == "win32":
        raise click.ClickException(
            "wherry does not run on Windows itself. Use WSL: https://aka.ms/wsl"
        )
    from wherry.errors import Refused
    from wherry.limits import WRONG_SETTINGS

    if WRONG_SETTINGS:
        raise Refused("\n".join(WRONG_SETTINGS), advice="Set what it is to be, or unset it.")
