"""What is wrong with a definition, and where."""

from __future__ import annotations

from typing import Any

import msgspec

SCHEMA = "SCHEMA_VALIDATION_FAILED"
JSON = "INVALID_JSON_DESCRIPTION"
TRANSITION = "MISSING_TRANSITION_TARGET"
NO_END = "MISSING_END_STATE"
QUERY_SYNTAX = "INVALID_JSONATA_EXPRESSION"
QUERY_REFERENCE = "UNSUPPORTED_JSONATA_EXPRESSION"
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


def only_one(findings: Findings, location: str, fields: dict[str, Any], names: list[str]) -> None:
    """Add a fault unless exactly one of some fields is there."""
    present = [name for name in names if name in fields]
    listed = ", ".join(names)
    if not present:
        findings.add(
            location, f"This object should have only one of the following fields: [{listed}]"
        )
    elif len(present) > 1:
        findings.add(location, f"There should only be one of the following fields: [{listed}]")
