"""What of a definition AWS takes and wherry does not do: its integrations, readers and writers.

`validate` takes such a definition, as AWS does; these faults are found when an app is checked.
What an expression or a path gives is not known before it runs, and is refused there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wherry.statemachine.calls import TaskState, task_states
from wherry.statemachine.dynamo_values import Invalid
from wherry.statemachine.findings import Finding, Findings
from wherry.statemachine.integration_fields import ENTRY, FIELDS, Field
from wherry.statemachine.integrations import faults_of, integration_of, item_plan
from wherry.statemachine.jsonata import is_expression
from wherry.statemachine.readers import WRITER_RESOURCE, reader_faults


def check_integrations(definition: dict[str, Any]) -> list[Finding]:
    """Return what of a valid definition wherry does not do."""
    findings = Findings()
    for state in task_states(definition):
        _check_task(findings, state)
    for location, fields in _maps(definition, ""):
        _check_map(findings, fields, location)
    return findings.found


def _check_task(findings: Findings, state: TaskState) -> None:
    resource, where = state.resource, f"{state.location}/Resource"
    if resource.family == "Activity":
        findings.add(where, "wherry has no activities: use .waitForTaskToken")
        return
    if resource.family == "LambdaFunction":
        return
    key = integration_of(resource)
    if key not in FIELDS:
        findings.add(
            where,
            f"wherry does not have the integration {resource.text}: call a function, or use one of"
            f" {', '.join(sorted(FIELDS))}",
        )
        return
    if resource.pattern == "waitForTaskToken" and resource.service not in ("sqs", "lambda"):
        findings.add(where, "Only sqs:sendMessage and lambda:invoke wait for a task's token")
    if isinstance(state.arguments, dict):
        name = "Arguments" if state.jsonata else "Parameters"
        _check_arguments(findings, key, state.arguments, f"{state.location}/{name}")


def _check_arguments(findings: Findings, key: str, given: dict[str, Any], where: str) -> None:
    faults = _faults(FIELDS[key], given)
    for fault in faults:
        findings.add(where, fault)
    entries = given.get("Entries")
    if key == "events:putEvents" and isinstance(entries, list):
        for number, entry in enumerate(entries):
            for fault in _faults(ENTRY, entry) if isinstance(entry, dict) else ():
                findings.add(f"{where}/Entries[{number}]", fault)
    computed = any(name.endswith(".$") or is_expression(one) for name, one in given.items())
    if key.startswith("dynamodb:") and not faults and not computed:
        try:
            item_plan(key.split(":")[1], _filled(given))
        except Invalid as invalid:
            findings.add(where, str(invalid))


def _faults(fields: dict[str, Field], given: dict[str, Any]) -> list[str]:
    """Hold literal arguments against what the action takes; what is computed is let pass."""
    known = {name.removesuffix(".$"): value for name, value in given.items()}
    computed = {
        name.removesuffix(".$")
        for name, value in given.items()
        if name.endswith(".$") or is_expression(value)
    }
    free = {
        name: Field("", field.required) if name in computed else field
        for name, field in fields.items()
    }
    return faults_of(free, known)


_STAND_IN: dict[str, Any] = {"S": "1", "N": "1", "BOOL": True, "NULL": True, "L": [], "M": {}}


def _filled(value: Any, name: str = "") -> Any:
    """Return arguments with something that fits in the place of what is computed."""
    if isinstance(value, dict):
        return {key.removesuffix(".$"): _filled(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one) for one in value]
    if not (name.endswith(".$") or is_expression(value)):
        return value
    plain = name.removesuffix(".$")
    return "a" if plain.startswith("#") else _STAND_IN.get(plain, {"S": "1"})


def _check_map(findings: Findings, fields: dict[str, Any], location: str) -> None:
    reader, writer = fields.get("ItemReader"), fields.get("ResultWriter")
    if isinstance(reader, dict):
        for fault in reader_faults(reader):
            findings.add(f"{location}/ItemReader", fault)
    if isinstance(writer, dict) and writer.get("Resource", WRITER_RESOURCE) != WRITER_RESOURCE:
        findings.add(f"{location}/ResultWriter/Resource", f"Only {WRITER_RESOURCE} writes results")


def _maps(block: Any, location: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every Map with its place."""
    states = block.get("States") if isinstance(block, dict) else None
    for name, fields in states.items() if isinstance(states, dict) else ():
        where = f"{location}/States/{name}"
        if fields.get("Type") == "Map":
            yield where, fields
        for number, branch in enumerate(fields.get("Branches") or ()):
            yield from _maps(branch, f"{where}/Branches[{number}]")
        for inner in ("ItemProcessor", "Iterator"):
            yield from _maps(fields.get(inner), f"{where}/{inner}")
