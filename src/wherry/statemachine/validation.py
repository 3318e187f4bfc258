"""What CreateStateMachine says of a definition: nothing, or a list of findings.

validate(definition)  ->  [Finding(code, message, "/States/Charge/Next"), ...]
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import msgspec

from wherry import limits
from wherry.codec import refuse_duplicate_keys, refuse_lost_numbers
from wherry.statemachine import validation_fields as tables
from wherry.statemachine import validation_values as values
from wherry.statemachine.findings import (
    DUPLICATE,
    INVALID_NAME,
    JSON,
    NO_END,
    TOO_DEEP,
    TRANSITION,
    Finding,
    Findings,
    not_longer,
)
from wherry.statemachine.jsonata import is_expression
from wherry.statemachine.validation_queries import check_queries
from wherry.statemachine.validation_states import StateChecks

_MOST_NESTED = 50


def validate(
    definition: str | bytes | dict[str, Any],
    *,
    type: Literal["STANDARD", "EXPRESS"] = "STANDARD",
    functions: Collection[str] | None = (),
) -> list[Finding]:
    """Return what is wrong with a definition.

    Args:
        definition: Amazon States Language, as text or as what it decodes to.
        type: An express workflow takes less.
        functions: Names that a Resource may have beside ARNs; None for any.
    """
    findings = Findings()
    try:
        raw = _as_text(definition)
        if len(raw) > limits.STATE_DEFINITION_BYTES:
            findings.add("", f"Maximum length is {limits.STATE_DEFINITION_BYTES}", JSON)
            return findings.found
        if not raw.strip():
            findings.add("", "Definition must be a valid JSON object", JSON)
            return findings.found
        value: Any = msgspec.json.decode(raw)
        refuse_duplicate_keys(raw)
    except (msgspec.DecodeError, RecursionError, TypeError, ValueError) as error:
        findings.add("", f"Definition must be a valid JSON object: {error}", JSON)
        return findings.found
    if not isinstance(value, dict):
        findings.add("", "Definition must be a valid JSON object", JSON)
        return findings.found
    _Machine(findings, value, type == "EXPRESS", functions).check()
    return findings.found


def _as_text(definition: str | bytes | dict[str, Any]) -> bytes:
    if isinstance(definition, bytes):
        return definition
    if isinstance(definition, str):
        return definition.encode()
    refuse_lost_numbers(definition)
    return msgspec.json.encode(definition)


class _Machine:
    def __init__(
        self,
        findings: Findings,
        definition: dict[str, Any],
        express: bool,
        functions: Collection[str] | None,
    ) -> None:
        self._findings = findings
        self._definition = definition
        self._jsonata = definition.get("QueryLanguage", "JSONPath") != "JSONPath"
        self._names: set[str] = set()
        self._outer: frozenset[str] = frozenset()
        self._depth = 0
        self._checks = StateChecks(findings, self._jsonata, express, functions, self._block)

    def check(self) -> None:
        findings, definition = self._findings, self._definition
        if definition.get("QueryLanguage", "JSONPath") not in ("JSONPath", "JSONata"):
            findings.add(
                "/QueryLanguage", "Value should be one of the following: [JSONPath, JSONata]"
            )
        if definition.get("Version", "1.0") != "1.0":
            findings.add("/Version", "Value should be one of the following: [1.0]")
        if "TimeoutSeconds" in definition:
            seconds = definition["TimeoutSeconds"]
            values.integer(0)(findings, seconds, "/TimeoutSeconds", self._jsonata)
            if self._jsonata and is_expression(seconds):
                check_queries(findings, seconds, "/TimeoutSeconds")
        self._states(definition, "", tables.MACHINE)

    def _block(self, block: Any, location: str, kind: tuple[str, ...]) -> None:
        if not isinstance(block, dict):
            self._findings.add(location, "Expected value of type Object")
            return
        if self._depth >= _MOST_NESTED:
            self._findings.add(location, "The states are nested too deeply", TOO_DEEP)
            return
        self._depth += 1
        outer = self._outer
        self._states(block, location, tables.PROCESSOR if kind == ("processor",) else tables.BLOCK)
        self._outer = outer
        self._depth -= 1

    def _states(self, block: dict[str, Any], location: str, known: tuple[str, ...]) -> None:
        findings = self._findings
        for name in block:
            if name not in known:
                findings.add(location, f"Field '{name}' is not supported")
        if "Comment" in block:
            values.string(findings, block["Comment"], f"{location}/Comment", False)
        missing = [name for name in ("States", "StartAt") if name not in block]
        if missing:
            findings.add(location, f"These fields are required: [{', '.join(missing)}]")
        if "States" not in block:
            return
        states = block["States"]
        if not isinstance(states, dict):
            findings.add(f"{location}/States", "Expected value of type Object")
            return
        if not states:
            findings.add(f"{location}/States", "Value cannot be empty")
            return
        before = self._outer
        entering = _variables_at(block.get("StartAt"), states, before)
        for name, fields in states.items():
            where = f"{location}/States/{name}"
            if not name:
                findings.add(where, "Invalid State name: it cannot be empty", INVALID_NAME)
            not_longer(findings, where, "State", name, limits.STATE_NAME_LENGTH, INVALID_NAME)
            if name in self._names:
                findings.add(where, f"Duplicate State name: {name}", DUPLICATE)
            self._names.add(name)
            self._outer = entering.get(name, before)
            self._checks.check(fields, where, before)
        self._outer = before
        self._graph(block, states, location)

    def _graph(self, block: dict[str, Any], states: dict[str, Any], location: str) -> None:
        findings = self._findings
        start_at = block.get("StartAt")
        if "StartAt" in block and not isinstance(start_at, str):
            findings.add(f"{location}/StartAt", "Expected value of type [STRING]")
            return
        if start_at is not None and start_at not in states:
            findings.add(f"{location}/StartAt", f"Missing 'Next' target: {start_at}", TRANSITION)
        targeted = {start_at}
        for name, fields in states.items():
            for where, target in _targets(fields, f"{location}/States/{name}"):
                targeted.add(target)
                if target not in states:
                    findings.add(where, f"Missing 'Next' target: {target}", TRANSITION)
        if location == "" and not any(_ends(fields) for fields in states.values()):
            findings.add("", "Workflow has no terminal state", NO_END)
            return
        if start_at is None:
            return
        # AWS asks whether anything leads to a state, not whether the start leads there.
        for name in states:
            if name not in targeted:
                findings.add(
                    f"{location}/States/{name}", f'State "{name}" is not reachable.', TRANSITION
                )


def _variables_at(
    start_at: Any, states: dict[str, Any], outer: frozenset[str]
) -> dict[str, frozenset[str]]:
    """Return the variables that may have been assigned when a state is entered."""
    found = {start_at: outer} if isinstance(start_at, str) else {}
    waiting = list(found)
    while waiting:
        name = waiting.pop()
        for target, assigned in _edges(states.get(name)):
            known = found.get(target)
            reached = found[name] | assigned | (known or frozenset())
            if target in states and reached != known:
                found[target] = reached
                waiting.append(target)
    return found


def _edges(fields: Any) -> list[tuple[Any, frozenset[str]]]:
    """Return where a state can lead, each with what it assigns on the way."""
    if not isinstance(fields, dict):
        return []
    found = [(fields.get(link), _names(fields)) for link in ("Next", "Default")]
    for name in ("Choices", "Catch"):
        clauses = fields.get(name)
        for clause in clauses if isinstance(clauses, list) else ():
            if isinstance(clause, dict):
                found.append((clause.get("Next"), _names(clause)))
    return [(target, names) for target, names in found if isinstance(target, str)]


def _names(fields: dict[str, Any]) -> frozenset[str]:
    assigned = fields.get("Assign")
    if not isinstance(assigned, dict):
        return frozenset()
    return frozenset(name.removesuffix(".$") for name in assigned)


def _targets(fields: Any, location: str) -> list[tuple[str, str]]:
    if not isinstance(fields, dict):
        return []
    found = [(f"{location}/{name}", fields.get(name)) for name in ("Next", "Default")]
    for name in ("Choices", "Catch"):
        clauses = fields.get(name)
        for number, clause in enumerate(clauses if isinstance(clauses, list) else ()):
            if isinstance(clause, dict):
                found.append((f"{location}/{name}[{number}]/Next", clause.get("Next")))
    return [(where, target) for where, target in found if isinstance(target, str)]


def _ends(fields: Any) -> bool:
    if not isinstance(fields, dict):
        return False
    return fields.get("Type") in ("Succeed", "Fail") or fields.get("End") is True
