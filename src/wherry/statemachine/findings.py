"""What is wrong with a definition, and where."""

from __future__ import annotations

from typing import Any

import msgspec

SCHEMA = "SCHEMA_VALIDATION_FAILED"
JSON = "INVALID_JSON_DESCRIPTION"
TRANSITION = "MISSING_TRANSITION_TARGET"
NO_END = "MISSING_END_STATE"
TOO_DEEP = "TOO_DEEPLY_NESTED"
INVALID_NAME = "INVALID_STATE_NAME"
INVALID_LABEL = "INVALID_LABEL_NAME"
INVALID_VARIABLE = "INVALID_VARIABLE_NAME"
RESERVED_VARIABLE = "RESERVED_VARIABLE_NAME"
INVALID_QUERY = "INVALID_JSONATA_EXPRESSION"
UNSUPPORTED_QUERY = "UNSUPPORTED_JSONATA_EXPRESSION"
DUPLICATE = "DUPLICATE_STATE_NAME"
DUPLICATE_VARIABLE = "DUPLICATE_VARIABLE_NAME"
DUPLICATE_LABEL = "DUPLICATE_LABEL_NAME"


class Finding(msgspec.Struct, frozen=True):
    """One fault, as ValidateStateMachineDefinition reports it."""

    code: str
    message: str
    location: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message} at {self.location}"


class Findings:
    """The faults of one definition."""

    def __init__(self) -> None:
        self.found: list[Finding] = []

    def add(self, location: str, message: str, code: str = SCHEMA) -> None:
        """Add a fault; the same one is told once."""
        finding = Finding(code, message, location or "/")
        if finding not in self.found:
            self.found.append(finding)

    def expect(self, ok: bool, location: str, message: str) -> bool:
        """Add a fault unless all is well; return whether it is."""
        if not ok:
            self.add(location, message)
        return ok


def not_longer(
    findings: Findings, location: str, what: str, name: str, most: int, code: str
) -> None:
    """Add a fault where a name (of a `what`: State, Label) has more characters than AWS allows."""
    if len(name) > most:
        findings.add(
            location,
            f"Invalid {what} name: {what} '{name}' exceeds the"
            f" {most}-character limit allowed by the service",
            code,
        )


def only_one(findings: Findings, location: str, fields: dict[str, Any], names: list[str]) -> None:
    """Add a fault unless exactly one of some fields is there."""
    if not any(name in fields for name in names):
        listed = ", ".join(names)
        findings.add(
            location, f"This object should have only one of the following fields: [{listed}]"
        )
    at_most_one(findings, location, fields, names)


def at_most_one(
    findings: Findings, location: str, fields: dict[str, Any], names: list[str]
) -> None:
    """Add a fault where several of some fields are there."""
    if sum(name in fields for name in names) > 1:
        listed = ", ".join(names)
        findings.add(location, f"There should only be one of the following fields: [{listed}]")
