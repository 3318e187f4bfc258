"""The rules of a Choice state."""

from __future__ import annotations

from typing import Any

from wherry.statemachine import validation_values as values
from wherry.statemachine.choices import OPERATORS, TESTS
from wherry.statemachine.findings import Findings, only_one
from wherry.statemachine.jsonata import is_expression

_JOINS = ("And", "Or", "Not")


def check_rule(
    findings: Findings, rule: Any, location: str, jsonata: bool, outermost: bool = True
) -> None:
    """Check one rule, with those inside it."""
    if not isinstance(rule, dict):
        findings.add(location, "Expected value of type Object")
        return
    if outermost:
        if "Next" not in rule:
            findings.add(location, "These fields are required: [Next]")
        else:
            values.string(findings, rule["Next"], f"{location}/Next", jsonata)
        if "Assign" in rule:
            values.object_template(findings, rule["Assign"], f"{location}/Assign", jsonata)
    elif "Next" in rule:
        findings.add(location, "Field 'Next' is not supported")
    if jsonata:
        _check_condition(findings, rule, location)
        return
    for name in ("Condition", "Output"):
        if name in rule:
            findings.add(
                location,
                f"The QueryLanguage is set to 'JSONPath', but field '{name}' is only supported for"
                " the 'JSONata' QueryLanguage",
            )
    joins = [name for name in _JOINS if name in rule]
    if joins:
        _check_join(findings, rule, joins, location)
        return
    if "Variable" not in rule:
        findings.add(location, "These fields are required: [Variable]")
    else:
        values.path(findings, rule["Variable"], f"{location}/Variable", jsonata)
    only_one(findings, location, rule, list(OPERATORS))
    for name in OPERATORS:
        if name in rule:
            _check_operand(findings, name, rule[name], f"{location}/{name}")
    known = {*OPERATORS, "Variable", "Next", "Assign", "Comment", "Condition", "Output"}
    _unknown(findings, rule, known, location)


def _check_condition(findings: Findings, rule: dict[str, Any], location: str) -> None:
    known = {"Condition", "Next", "Assign", "Output", "Comment"}
    for name in rule:
        if name in OPERATORS or name in _JOINS or name == "Variable":
            findings.add(
                location,
                f"The QueryLanguage is set to 'JSONata', but field '{name}' is only supported for"
                " the 'JSONPath' QueryLanguage",
            )
    if "Condition" not in rule:
        findings.add(location, "These fields are required: [Condition]")
    elif not isinstance(rule["Condition"], bool) and not is_expression(rule["Condition"]):
        findings.add(f"{location}/Condition", "Expected value of type [STRING]")
    _unknown(findings, rule, {*known, *OPERATORS, *_JOINS, "Variable"}, location)


def _check_join(findings: Findings, rule: dict[str, Any], joins: list[str], location: str) -> None:
    if len(joins) > 1 or "Variable" in rule or any(name in rule for name in OPERATORS):
        findings.add(
            location, "There should only be one of the following fields: [And, Or, Not, Variable]"
        )
    for name in joins:
        if name == "Not":
            check_rule(findings, rule[name], f"{location}/Not", False, False)
            continue
        if not isinstance(rule[name], list):
            findings.add(f"{location}/{name}", "Expected value of type Array")
            continue
        findings.expect(bool(rule[name]), f"{location}/{name}", "Value cannot be empty")
        for number, one in enumerate(rule[name]):
            check_rule(findings, one, f"{location}/{name}[{number}]", False, False)
    known = {*_JOINS, *OPERATORS, "Variable", "Next", "Assign", "Comment", "Condition", "Output"}
    _unknown(findings, rule, known, location)


def _check_operand(findings: Findings, name: str, operand: Any, location: str) -> None:
    if name in TESTS or name in ("IsPresent", "BooleanEquals"):
        values.boolean(findings, operand, location, False)
    elif name.endswith("Path"):
        values.path(findings, operand, location, False)
    elif name.startswith("Numeric"):
        values.literal_number(findings, operand, location, False)
    elif name.startswith("Timestamp"):
        values.moment(findings, operand, location, False)
    else:
        values.string(findings, operand, location, False)


def _unknown(findings: Findings, rule: dict[str, Any], known: set[str], location: str) -> None:
    for name in rule:
        if name not in known:
            findings.add(location, f"Field '{name}' is not supported")
