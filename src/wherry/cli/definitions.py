"""Definitions of workflows for the verbs: of a file, of an app, of an execution."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from wherry import limits
from wherry.cli.output import near
from wherry.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def fitting_input(workflow: WorkflowSpec, value: Any) -> Any:
    """Return an input as a handler gives it: of its type's form, with what has a default.

    Raises:
        Refused: It does not fit its type: no state could say so.
    """
    from wherry.blueprint.checks_payloads import misfits

    schema = workflow.schema or {}
    wrong = [one.said for one in misfits(schema, value, jsonata=True) if one.refused]
    if wrong:
        raise Refused(
            f"The input of {workflow.name!r} is no {workflow.input}: {'; '.join(wrong[:5])}."
        )
    return _completed(schema, schema.get("$defs", {}), value)


def _completed(schema: Mapping[str, Any], defs: Mapping[str, Any], value: Any) -> Any:
    schema = defs.get(str(schema.get("$ref", "")).rpartition("/")[2], schema)
    items, fields = schema.get("items"), schema.get("properties")
    if isinstance(value, list) and isinstance(items, dict):
        return [_completed(items, defs, one) for one in value]
    if not isinstance(value, dict) or fields is None:
        return value
    found = {
        name: _completed(fields[name], defs, one) if name in fields else one
        for name, one in value.items()
    }
    for name, one in fields.items():
        if name not in found and "default" in one:
            found[name] = one["default"]
    return found
