"""Where a workflow's definition comes from: a file, a mapping, or what `wherry.asl` has built."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from wherry import limits
from wherry.app.kinds import shown
from wherry.app.schemas import written_schema_of
from wherry.blueprint.parts import Finding, Grant
from wherry.blueprint.records import WorkflowSpec
from wherry.codec import DuplicateKey, refuse_duplicate_keys, refuse_lost_numbers
from wherry.errors import Refused

if TYPE_CHECKING:
    from wherry.asl import Machine
    from wherry.handles.workflows import Workflow

_YAML = (".yaml", ".yml")
_YAML_KEYS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")


class Faulty(Exception):
    """A definition that cannot be had: the code, what is wrong, what to do."""


def workflow_spec(
    workflow: Workflow[Any], grants: tuple[Grant, ...]
) -> tuple[WorkflowSpec, list[Finding]]:
    """Return a workflow's record; without a definition where that cannot be had."""
    from wherry.statemachine.calls import task_states

    findings: list[Finding] = []
    schema: dict[str, Any] | None = None
    if workflow.input_type is not None:
        try:
            schema = written_schema_of(workflow.input_type)
        except TypeError as error:
            findings.append(
                Finding(
                    code="type_unsupported",
                    message=f"The input type of workflow {workflow.name!r} cannot be used: {error}",
                    fix="Use a Struct, a dataclass or a Pydantic model with JSON types.",
                    place=workflow.place,
                )
            )
    text, functions = "", set()
    try:
        text = _definition(workflow)
        functions = {one.function for one in task_states(_read(text))}
    except Faulty as fault:
        code, message, fix = fault.args
        findings.append(Finding(code=code, message=message, fix=fix, place=workflow.place))
    spec = WorkflowSpec(
        name=workflow.name,
        definition=text,
        input=None if workflow.input_type is None else shown(workflow.input_type),
        schema=schema,
        grants=grants,
        functions=tuple(sorted(one for one in functions if one is not None)),
        place=workflow.place,
    )
    return spec, findings


def definition_of(given: Workflow[Any] | Machine) -> str | dict[str, Any]:
    """Return the definition of a declared workflow as JSON text, or what a builder has made.

    Raises:
        Refused: It cannot be had.
    """
    from wherry.handles.workflows import Workflow

    if not isinstance(given, Workflow):
        return given.definition
    try:
        return _definition(given)
    except Faulty as fault:
        _, message, fix = fault.args
        raise Refused(message, advice=fix) from None


def definition_file(workflow: Workflow[Any]) -> str | None:
    """Return the path of the file that holds the definition, or None."""
    given = workflow.definition
    if not isinstance(given, str | os.PathLike):
        return None
    return os.path.join(workflow.folder, os.fspath(given))


def _definition(workflow: Workflow[Any]) -> str:
    """Return the definition as JSON text, with the keys in the team's order and no spaces."""
    path = definition_file(workflow)
    value: Any = workflow.definition
    if path is not None:
        content = _content(workflow.name, path)
        if not path.endswith(_YAML):
            value = _read(content)
            if value is None:
                return content  # its validation says what is wrong with it
            _refuse_twice(workflow.name, path, content)
        else:
            value = read_yaml(workflow.name, path, content)
    elif not isinstance(value, Mapping):
        value = getattr(value, "definition", value)
    if not isinstance(value, Mapping):
        raise Faulty(
            "definition_kind",
            f"The definition of the workflow {workflow.name!r} is a {type(value).__name__}.",
            'Give the path of a file ("refund.asl.json"), a dict, or what asl.machine(...) made.',
        )
    try:
        refuse_lost_numbers(value)
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError) as error:
        raise Faulty(
            "definition_kind",
            f"The definition of the workflow {workflow.name!r} holds what is no JSON: {error}.",
            "Use texts, numbers, true, false, null, lists and objects with texts as keys.",
        ) from None


def _content(name: str, path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            content = file.read(limits.STATE_DEFINITION_BYTES + 1)
        fault = "" if content.strip() else f"{path!r} is empty"
    except (OSError, UnicodeDecodeError) as error:
        fault = str(error)
    if fault:
        raise Faulty(
            "definition_missing",
            f"The definition of the workflow {name!r} cannot be read: {fault}.",
            "Name a file with one: its path is relative to this module's.",
        )
    return content


def _read(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def _refuse_twice(name: str, path: str, content: str) -> None:
    """Refuse a state, or a field, that would silently be lost to a later one of its name."""
    try:
        refuse_duplicate_keys(content.encode())
    except DuplicateKey as error:
        raise Faulty(
            "definition_invalid",
            f"The definition of the workflow {name!r}: {error}.",
            f"Rename one of them, or take it away, in {path}.",
        ) from None


def read_yaml(name: str, path: str, content: str) -> Any:
    """Return what YAML says, with moments as texts.

    Raises:
        Faulty: It is none, or PyYAML is not there to read it.
    """
    from importlib import import_module

    try:
        yaml: Any = import_module("yaml")
    except ImportError:
        raise Faulty(
            "definition_needs_yaml",
            f"The definition of the workflow {name!r} is YAML, and PyYAML is not installed.",
            "Install it: pip install 'wherry[yaml]'; or write the definition as JSON.",
        ) from None

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """Reads what JSON has: a moment as its text, and keys that are texts, each once."""

        def compose_mapping_node(self, anchor: Any) -> Any:
            # As it is written: what is merged into a mapping is added to it later.
            node = super().compose_mapping_node(anchor)
            seen: list[Any] = []
            for key, _ in node.value:
                fault = ""
                if key.value in seen:
                    fault = f"the key {key.value!r} is there twice"
                elif key.tag not in _YAML_KEYS:
                    fault = f"the key {key.value!r} is no text; write it in quotes"
                if fault:
                    raise yaml.constructor.ConstructorError(None, None, fault, key.start_mark)
                seen.append(key.value)
            return node

    Loader.yaml_implicit_resolvers = {
        first: [one for one in those if one[0] != "tag:yaml.org,2002:timestamp"]
        for first, those in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        value = yaml.load(content, Loader)
        _refuse_what_json_lacks(value)
        return value
    except (yaml.YAMLError, ValueError, KeyError, RecursionError) as error:
        said = " ".join(str(error).split())
        if isinstance(error, RecursionError):
            said = "it is nested too deeply, or holds an alias of itself"
        raise Faulty(
            "definition_invalid",
            f"The definition of the workflow {name!r} is no YAML with a form in JSON: {said}.",
            f"Correct {path}.",
        ) from None


def _refuse_what_json_lacks(value: Any) -> None:
    """Raise ValueError for a set, bytes, infinity ..., and RecursionError for what holds itself."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            _refuse_what_json_lacks(one)
    elif not isinstance(value, str | int | float | None):
        raise ValueError(f"a {type(value).__name__} has none")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} has none")
