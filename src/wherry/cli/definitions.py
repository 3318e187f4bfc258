"""Definitions of workflows for the verbs: of a file, of an app, of an execution."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from wherry import limits
from wherry.cli.output import near
from wherry.errors import Refused

if TYPE_CHECKING:
    from wherry.blueprint import Blueprint, WorkflowSpec

SUFFIXES = (".json", ".yaml", ".yml")


def is_file(text: str) -> bool:
    """Whether a word on the command line names a file, there or not."""
    return text == "-" or text.endswith(SUFFIXES) or os.path.isfile(text)


def read_file(path: str) -> str | dict[str, Any]:
    """Return a definition from a file (`-`: standard input), JSON as its text, YAML decoded.

    Raises:
        Refused: It cannot be read.
    """
    content = read_text(path)
    if not path.endswith((".yaml", ".yml")):
        return content
    from wherry.app.definitions import Faulty, read_yaml

    try:
        found: dict[str, Any] = read_yaml(os.path.basename(path), path, content)
    except Faulty as fault:
        _, message, fix = fault.args
        raise Refused(message, advice=fix) from None
    return found


def read_text(path: str) -> str:
    """Return the text of a file; `-` is standard input.

    Raises:
        Refused: It cannot be read, or is larger than any definition.
    """
    import sys

    try:
        if path == "-":
            return sys.stdin.read(limits.STATE_DEFINITION_BYTES + 1)
        with open(path, encoding="utf-8") as file:
            return file.read(limits.STATE_DEFINITION_BYTES + 1)
    except UnicodeDecodeError:
        raise Refused(f"{path} is no text in UTF-8.") from None
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from None


def read_json(text: str, what: str) -> Any:
    """Return the value of JSON on the command line, or in a file: `@order.json`.

    Raises:
        Refused: It is no JSON.
    """
    import msgspec

    body = read_text(text[1:]) if text.startswith("@") else text
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise Refused(
            f"The {what} is no JSON: {error}.", advice="Write JSON, or @FILE for that of a file."
        ) from None


def decoded(definition: str | dict[str, Any]) -> dict[str, Any]:
    """Return a definition that has been validated."""
    import msgspec

    found: dict[str, Any] = (
        msgspec.json.decode(definition) if isinstance(definition, str) else definition
    )
    return found


def workflow_of(blueprint: Blueprint, name: str) -> WorkflowSpec:
    """Return a workflow of an app.

    Raises:
        Refused: It has none of this name.
    """
    known = {one.name: one for one in blueprint.workflows}
    if name not in known:
        raise Refused(
            f"{blueprint.app} has no workflow {name!r}.{near(name, known)}",
            advice=f"There are: {', '.join(known)}." if known else "It has no workflows.",
        )
    return known[name]


def check_input(workflow: WorkflowSpec, value: Any) -> None:
    """Refuse an input that is not of its type's form, or lacks fields: no state could say so.

    Raises:
        Refused: With what it lacks.
    """
    schema = workflow.schema or {}
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    schema = schema.get("$defs", {}).get(name, schema)
    if schema.get("type") != "object":
        return
    if not isinstance(value, dict):
        raise Refused(f"The input of {workflow.name!r} is no object: it is a {workflow.input}.")
    missing = [field for field in schema.get("required", ()) if field not in value]
    if missing:
        raise Refused(
            f"The input of {workflow.name!r} lacks {', '.join(missing)}: it is a {workflow.input}."
        )
