"""`wherry schemas`: the folder that holds every type at rest or in flight."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click
import msgspec

from wherry.cli.commands.check import shown
from wherry.cli.groups import ListFirst, examples
from wherry.cli.options import json_option, target_argument
from wherry.cli.output import note, paint, show, show_json
from wherry.cli.target import load_target
from wherry.registry.folder import FOLDER, read_folder, text_of, write_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.app import App
    from wherry.blueprint import Finding
    from wherry.registry.judging import Judged, Judgement

_BEGIN = "wherry schemas update"


@click.group(
    cls=ListFirst,
    epilog=examples(
        "wherry schemas check",
        "wherry schemas update",
    ),
)
def schemas() -> None:
    """Look after the folder schemas/: the form of everything that is stored or sent.

    It is the team's, in its repository. A change of a type that would break items, messages or
    events of the form before is found by comparing with it.
    """


@schemas.command(
    "list",
    short_help="List the types that are stored or sent.",
    epilog=examples("wherry schemas list shop:app --json"),
)
@target_argument
@json_option
def list_(target: str, folder: str, as_json: bool) -> None:
    """List every type of TARGET that is stored or sent, its form, and who reads it."""
    from wherry.observe.columns import Cell, columns

    found = _judged(load_target(target, folder), folder)
    if as_json:
        show_json([_fields(one) for one in found.types])
        return
    if not found.types:
        show("Nothing is stored or sent.")
        return
    rows: list[list[Cell]] = []
    for one in found.types:
        key, form = one.stored.key, str(one.recorded.form) if one.recorded else "-"
        state: Cell = {"same": "recorded", "new": ("warn", "not recorded"),
                       "changed": ("warn", "changed"), "breaks": ("bad", "breaks")}[one.state]  # type: ignore[assignment]  # fmt: skip
        name = f"{key.name} v{key.version}" if key.version else key.name
        rows.append([key.kind, name, one.stored.type, form, state, ", ".join(one.stored.readers)])
    show(columns(["kind", "name", "type", "form", "state", "read by"], rows, paint()))


@schemas.command(
    short_help="Find what a changed type breaks.",
    epilog=examples("wherry schemas check", "wherry schemas check shop:app --json"),
)
@target_argument
@json_option
def check(target: str, folder: str, as_json: bool) -> None:
    """Compare the types of TARGET with the folder schemas/: what they do not read any more.

    Each finding names the field, what it was and is, whom it breaks and what to do. It is part of
    `wherry check`. Exits with 1 where there is an error.
    """
    app = load_target(target, folder)
    found = _judged(app, folder)
    findings = list(found.findings)
    if read_folder(_path(folder)) is None:
        findings = [one for one in findings if one.code != "schema_unrecorded"]
        note(f"There is no folder {_path(folder)}. Begin with: {_BEGIN}")
    errors = sum(one.severity == "error" for one in findings)
    if as_json:
        show_json({"findings": findings, "types": [_fields(one) for one in found.types]})
    else:
        _show_findings(findings)
        told = f"{len(found.types)} type{'s' * (len(found.types) != 1)} stored or sent"
        show(f"{app.name}: {_errors(errors)} ({told})")
    raise click.exceptions.Exit(1 if errors else 0)


@schemas.command(
    short_help="Record the types as they are now.",
    epilog=examples(_BEGIN),
)
@target_argument
@json_option
def update(target: str, folder: str, as_json: bool) -> None:
    """Record the types of TARGET as they are now; earlier forms stay in their files.

    Refused, and nothing is written, where a type does not read a form that is recorded. If nothing
    of a form exists anywhere, remove it: the file, or its entry below "earlier".
    """
    found = _judged(load_target(target, folder), folder)
    errors = [one for one in found.findings if one.severity == "error"]
    if errors:
        show_json(errors) if as_json else _show_findings(errors)
        note("Nothing is recorded.")
        raise click.exceptions.Exit(1)
    written: list[dict[str, Any]] = []
    for one in found.types:
        new = one.next
        if one.recorded is None or text_of(new) != text_of(one.recorded):
            path = write_file(_path(folder), new)
            written.append({"path": path, "form": new.form, "changes": _told(one)})
    if as_json:
        show_json(written)
        return
    for told in written:
        changes = "; ".join(told["changes"]) or "new"
        show(f"{told['path']}: form {told['form']} ({changes})")
    if not written:
        show("Nothing has changed.")


def of_the_schemas(app: App, folder: str, stage: str) -> Sequence[Finding]:
    """Return what `wherry check` says of the types. Production asks that they are recorded."""
    from wherry.blueprint import Finding
    from wherry.registry.stored import stored_types
    from wherry.runtime.stored import judged

    recorded = read_folder(_path(folder))
    if recorded is not None:
        found = judged(app, recorded).findings
        if stage != "prod":
            return found
        return [
            msgspec.structs.replace(one, severity="error")
            if one.code == "schema_unrecorded"
            else one
            for one in found
        ]
    if not stored_types(app.freeze()):
        return []
    said = f"There is no folder {_path(folder)}: whether a changed type breaks data is not checked."
    if stage == "prod":
        return [
            Finding(code="schemas_missing", message=said, fix=f"Run: {_BEGIN}", severity="warning")
        ]
    note(f"{said} Begin with: {_BEGIN}")
    return []


def _judged(app: App, folder: str) -> Judgement:
    from wherry.runtime.stored import judged

    return judged(app, read_folder(_path(folder)) or {})


def _path(folder: str) -> str:
    return FOLDER if folder == "." else os.path.join(folder, FOLDER)


def _show_findings(findings: Sequence[Finding]) -> None:
    colours = paint()
    for one in findings:
        show(shown(one, colours))


def _errors(count: int) -> str:
    colours = paint()
    if not count:
        return colours("good", "no errors")
    return colours("bad", f"{count} error{'s' if count != 1 else ''}")


def _told(one: Judged) -> list[str]:
    return [str(change) for change in one.changes]


def _fields(one: Judged) -> dict[str, Any]:
    """Return a type for programs."""
    stored, key = one.stored, one.stored.key
    return {
        "kind": key.kind,
        "name": key.name,
        "version": key.version or None,
        "type": stored.type,
        "path": f"{FOLDER}/{key.path}",
        "form": one.recorded.form if one.recorded else None,
        "state": one.state,
        "changes": list(one.changes),
        "readers": list(stored.readers),
    }
