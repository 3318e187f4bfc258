"""Whether a field's value is of the kind that the field takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

from wherry import limits
from wherry.statemachine.findings import Findings
from wherry.statemachine.intrinsics import is_call, parse_call
from wherry.statemachine.jsonata import is_expression
from wherry.statemachine.paths import PathSyntax, is_reference, parse
from wherry.statemachine.text import parse_moment_us

_TEXTS = (
    "Format", "JsonToString", "ArrayGetItem", "Base64Encode", "Base64Decode", "Hash", "UUID",
)  # fmt: skip
"""The functions that a Fail takes: Developer Guide, "Fail state"."""

_VARIABLE = re.compile(r"\$\w")
_OPEN_BRACKET = re.compile(r"\[(?!['\"0-9])")

Check: TypeAlias = Callable[[Findings, Any, str, bool], None]
"""Adds faults of a value at a location, for a state in JSONata or not."""


def string(findings: Findings, value: Any, location: str, jsonata: bool) -> None:
    """Take a text."""
    findings.expect(isinstance(value, str), location, "Expected value of type [STRING]")


def one_of(*texts: str) -> Check:
    """Take one of some texts."""

    def check(findings: Findings, value: Any, location: str, jsonata: bool) -> None:
        if findings.expect(isinstance(value, str), location, "Expected value of type [STRING]"):
            listed = ", ".join(texts)
            findings.expect(
                value in texts, location, f"Value should be one of the following: [{listed}]"
            )

    return check


def boolean(findings: Findings, value: Any, location: str, jsonata: bool) -> None:
    """Take true or false."""
    findings.expect(isinstance(value, bool), location, "Expected value of type Boolean")


def anything(findings: Findings, value: Any, location: str, jsonata: bool) -> None:
    """Take any JSON."""


def mapping(findings: Findings, value: Any, location: str, jsonata: bool) -> None:
    """Take an object."""
    findings.expect(isinstance(value, dict), location, "Expected value of type Object")


def clauses(findings: Findings, value: Any, location: str, jsonata: bool) -> None:
    """Take an array."""
    findings.expect(isinstance(value, list), location, "Expected value of type Array")


def items(findings: Findings, value: Any, location: str, jsonata: bool) -> None:
    """Take an array, an object or an expression."""
    if jsonata and is_expression(value):
        return
    findings.expect(isinstance(value, list | dict), location, "Expected value of type Array")


def integer(least: int, most: int = limits.STATE_SECONDS_MAX) -> Check:
    """Take a whole number; in JSONata an expression, too."""

    def check(findings: Findings, value: Any, location: str, jsonata: bool) -> None:
        if jsonata and is_expression(value):
            return
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if findings.expect(whole, location, "Expected value of type Integer"):
            findings.expect(value >= least, location, f"Minimum value is {least}")
            findings.expect(value <= most, location, f"Maximum value is {most}")

    return check


def number(least: float, most: float | None = None) -> Check:
    """Take a number; in JSONata an expression, too."""

    def check(findings: Findings, value: Any, location: str, jsonata: bool) -> None:
        if jsonata and is_expression(value):
            return
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        if findings.expect(numeric, location, "Expected value of type Number"):
            findings.expect(value >= least, location, f"Minimum value is {least}")
            findings.expect(most is None or value <= most, location, f"Maximum value is {most}")

    return check


def literal_number(findings: Findings, value: Any, location: str, jsonata: bool) -> None:
    """Take a number that is written out."""
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    findings.expect(numeric, location, "Expected value of type Number")


def path(findings: Findings, value: Any, location: str, jsonata: bool) -> None:
    """Take a JSONPath."""
    if not findings.expect(isinstance(value, str), location, "Expected value of type [STRING]"):
        return
    try:
        parse(value)
    except PathSyntax:
        findings.add(location, "Value must be a valid JSONPath.")


def path_or_null(findings: Findings, value: Any, location: str, jsonata: bool) -> None:
    """Take a JSONPath or null."""
    if value is not None:
        path(findings, value, location, jsonata)


def reference(findings: Findings, value: Any, location: str, jsonata: bool) -> None:
    """Take a Reference Path."""
    if not findings.expect(isinstance(value, str), location, "Expected value of type [STRING]"):
        return
    if not value.startswith("$"):
        findings.add(
            location, "Value is not a Reference Path: Reference path didn't start with '$'"
        )
    elif not is_reference(value):
        why = "The path can refer to more than one value"
        if _OPEN_BRACKET.search(value):
            why = "'[' must be followed by ' or '['"
        findings.add(location, f"Value is not a Reference Path: {why}")


def result_path(findings: Findings, value: Any, location: str, jsonata: bool) -> None:
    """Take a Reference Path into the input, or null."""
    if isinstance(value, str) and _VARIABLE.match(value):
        findings.add(location, "Value is not a Reference Path: It cannot name a variable")
    elif value is not None:
        input_reference(findings, value, location, jsonata)


def input_reference(findings: Findings, value: Any, location: str, jsonata: bool) -> None:
    """Take a Reference Path that is none into the context object."""
    if isinstance(value, str) and value.startswith("$$"):
        findings.add(location, "Value is not a Reference Path: It cannot begin with '$$'")
        return
    reference(findings, value, location, jsonata)


def reference_or_call(findings: Findings, value: Any, location: str, jsonata: bool) -> None:
    """Take a Reference Path or an intrinsic function that gives a text: ErrorPath, CausePath."""
    if not is_call(value):
        reference(findings, value, location, jsonata)
        return
    try:
        gives_text = parse_call(value).name in _TEXTS
    except PathSyntax as error:
        findings.add(location, str(error))
        return
    findings.expect(
        gives_text, location, f"Value should be a call of one of: [{', '.join(_TEXTS)}]"
    )


def template(findings: Findings, value: Any, location: str, jsonata: bool) -> None:
    """Take a payload template: every `.$` field holds a path or a call."""
    if jsonata:
        return
    if isinstance(value, dict):
        for name, one in value.items():
            if name.endswith(".$"):
                _dynamic(findings, name, one, location)
            else:
                template(findings, one, location, jsonata)
    elif isinstance(value, list):
        for one in value:
            template(findings, one, location, jsonata)


def _dynamic(findings: Findings, name: str, value: Any, location: str) -> None:
    try:
        if is_call(value):
            parse_call(value)
            return
        if isinstance(value, str):
            parse(value)
            return
    except PathSyntax:
        pass
    findings.add(
        location,
        f"The value for the field '{name}' must be a valid JSONPath or a valid intrinsic function"
        " call",
    )


def object_template(findings: Findings, value: Any, location: str, jsonata: bool) -> None:
    """Take a payload template that is an object."""
    if findings.expect(isinstance(value, dict), location, "Expected value of type Object"):
        template(findings, value, location, jsonata)


def moment(findings: Findings, value: Any, location: str, jsonata: bool) -> None:
    """Take a timestamp; in JSONata an expression, too."""
    if jsonata and is_expression(value):
        return
    if findings.expect(isinstance(value, str), location, "Expected value of type [STRING]"):
        good = parse_moment_us(value) is not None
        findings.expect(good, location, "String does not match RFC3339 timestamp")


def expression_or(check: Check) -> Check:
    """Take an expression in JSONata, else what another check takes."""

    def either(findings: Findings, value: Any, location: str, jsonata: bool) -> None:
        if not (jsonata and is_expression(value)):
            check(findings, value, location, jsonata)

    return either
