"""What is wrong with the ItemReader and the ResultWriter of a Map.

Measured with ValidateStateMachineDefinition; the types of input are in the Developer Guide.
"""

from __future__ import annotations

import re
from typing import Any

from wherry.statemachine.findings import Findings

_RESOURCES = {
    "ItemReader": re.compile(r"arn:[^:]+:states:::s3:(?:getObject|listObjectsV2)\Z"),
    "ResultWriter": re.compile(r"arn:[^:]+:states:::s3:putObject\Z"),
}


def check_outside(findings: Findings, kind: str, fields: dict[str, Any], location: str) -> None:
    """Check where an ItemReader or a ResultWriter reads or writes, and the form of what it reads.

    `kind` is the name of the field.
    """
    resource, config = fields.get("Resource"), fields.get("ReaderConfig")
    if isinstance(resource, str) and not _RESOURCES[kind].match(resource):
        findings.add(location, "The field 'Resource' does not match any of the allowed values")
    if isinstance(config, dict):
        _check_input(findings, config, f"{location}/ReaderConfig")


def _check_input(findings: Findings, config: dict[str, Any], location: str) -> None:
    kind, header = config.get("InputType"), config.get("CSVHeaderLocation")
    if kind == "CSV" and header is None and "ManifestType" not in config:
        findings.add(location, "The field 'CSVHeaderLocation' is required")
    if kind == "JSON" and header is not None:
        findings.add(location, "Field 'CSVHeaderLocation' is not supported")
    if header == "GIVEN" and "CSVHeaders" not in config:
        findings.add(location, "These fields are required: [CSVHeaders]")
