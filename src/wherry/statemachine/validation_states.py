"""What is wrong with one state."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

from wherry import limits
from wherry.statemachine import validation_fields as tables
from wherry.statemachine import validation_values as values
from wherry.statemachine.faults import ALL
from wherry.statemachine.findings import (
    DUPLICATE_LABEL,
    DUPLICATE_VARIABLE,
    INVALID_LABEL,
    INVALID_VARIABLE,
    RESERVED_VARIABLE,
    Findings,
    at_most_one,
    not_longer,
    only_one,
)
from wherry.statemachine.validation_choices import check_rule
from wherry.statemachine.validation_maps import check_outside
from wherry.statemachine.validation_queries import check_queries
from wherry.statemachine.validation_resources import check_resource
from wherry.statemachine.validation_values import Check

_NOT_IN_LABELS = re.compile(r"[\s?*<>{}\[\]:;,\\|^~$#%&`\"\x00-\x1f\x7f-\x9f/]")
_UNPARSED = frozenset({
    "Comment", "Next", "Default", "Resource", "Retry", "ItemProcessor", "Iterator", "Branches",
    "Catch", "Choices", "Type", "QueryLanguage", "ItemReader", "ItemBatcher", "ResultWriter",
    "Label", "Credentials", "End",
})  # fmt: skip


class StateChecks:
    """Checks states of one machine."""

    def __init__(
        self,
        findings: Findings,
        jsonata: bool,
        express: bool,
        functions: Collection[str] | None,
        block: Callable[[Any, str, tuple[str, ...]], None],
    ) -> None:
        self._findings = findings
        self._machine_jsonata = jsonata
        self._express = express
        self._functions = functions
        self._block = block
        self._labels: set[str] = set()

    def check(self, fields: Any, location: str, outer: frozenset[str]) -> None:
        """Check a state; `outer` are the variables of the blocks around it."""
        findings = self._findings
        if not isinstance(fields, dict):
            findings.add(location, "Expected value of type Object")
            return
        kind = fields.get("Type")
        if kind is None:
            findings.add(location, "The field 'Type' is required")
            return
        if kind not in tables.TYPES:
            listed = ", ".join(tables.TYPES)
            findings.add(
                f"{location}/Type", f"The field 'Type' should have one of these values: [{listed}]"
            )
            return
        jsonata = self._language(fields, location)
        self._fields(fields, kind, location, jsonata)
        self._required(fields, kind, location, jsonata)
        for one, other in tables.EITHER.get(kind, ()):
            if one in fields and other in fields:
                article = f"A {kind} state cannot include both"
                findings.add(location, f"{article} field '{one}' and '{other}'")
        for number, clause in enumerate(_list(fields.get("Retry"))):
            self._retrier(clause, fields["Retry"], number, f"{location}/Retry[{number}]")
        for number, clause in enumerate(_list(fields.get("Catch"))):
            where = f"{location}/Catch[{number}]"
            self._catcher(clause, fields["Catch"], number, where, jsonata)
        self._variables(fields, location, outer)
        if kind == "Choice":
            for number, rule in enumerate(_list(fields.get("Choices"))):
                where = f"{location}/Choices[{number}]"
                check_rule(findings, rule, where, jsonata)
                if jsonata:
                    check_queries(findings, _without(rule, "Next", "Comment"), where)
        elif kind == "Task":
            check_resource(findings, fields, location, jsonata, self._express, self._functions)
            self._times(fields, location)
        elif kind == "Map":
            self._map(fields, location, jsonata)

    # --- language and fields ------------------------------------------------------------------

    def _language(self, fields: dict[str, Any], location: str) -> bool:
        if "QueryLanguage" not in fields:
            return self._machine_jsonata
        language = fields["QueryLanguage"]
        if language not in ("JSONPath", "JSONata"):
            self._findings.add(
                f"{location}/QueryLanguage",
                "Value should be one of the following: [JSONPath, JSONata]",
            )
            return self._machine_jsonata
        if language == "JSONPath" and self._machine_jsonata:
            self._findings.add(
                location,
                "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine",
            )
        return bool(language == "JSONata")

    def _fields(self, fields: dict[str, Any], kind: str, location: str, jsonata: bool) -> None:
        known = tables.STATES[kind]
        for name, value in fields.items():
            check = known.get(name)
            if check is None:
                self._findings.add(location, f"Field '{name}' is not supported")
            elif self._belongs(name, location, jsonata) and not (
                jsonata and name == "Branches" and value is None
            ):
                check(self._findings, value, f"{location}/{name}", jsonata)
                if jsonata and name not in _UNPARSED:
                    check_queries(self._findings, value, f"{location}/{name}", _results(name, kind))

    def _belongs(self, name: str, location: str, jsonata: bool) -> bool:
        wrong = tables.JSONPATH_ONLY if jsonata else tables.JSONATA_ONLY
        if name not in wrong:
            return True
        one, other = ("JSONata", "JSONPath") if jsonata else ("JSONPath", "JSONata")
        self._findings.add(
            location,
            f"The QueryLanguage is set to '{one}', but field '{name}' is only supported for the"
            f" '{other}' QueryLanguage",
        )
        return False

    def _required(self, fields: dict[str, Any], kind: str, location: str, jsonata: bool) -> None:
        findings = self._findings
        missing = [name for name in tables.REQUIRED.get(kind, ()) if name not in fields]
        if missing:
            findings.add(location, f"These fields are required: [{', '.join(missing)}]")
        if "Next" in tables.STATES[kind]:
            ends: dict[str, Any] = {
                name: fields[name] for name in ("Next", "End") if name in fields
            }
            if ends.get("End") is False:
                del ends["End"]
            only_one(findings, location, ends, ["Next", "End"])
        if kind == "Wait":
            names = ["SecondsPath", "Seconds", "TimestampPath", "Timestamp"]
            only_one(findings, location, fields, names)
        if kind == "Choice" and fields.get("Choices") == []:
            findings.add(f"{location}/Choices", "Value cannot be empty")
        if kind == "Parallel":
            for number, branch in enumerate(_list(fields.get("Branches"))):
                self._block(branch, f"{location}/Branches[{number}]", ("block",))
        if kind == "Map":
            only_one(findings, location, fields, ["ItemProcessor", "Iterator"])

    # --- Retry and Catch ----------------------------------------------------------------------

    def _clause(self, clause: Any, known: dict[str, Check], location: str, jsonata: bool) -> bool:
        if not isinstance(clause, dict):
            self._findings.add(location, "Expected value of type Object")
            return False
        for name, value in clause.items():
            if name not in known:
                self._findings.add(location, f"Field '{name}' is not supported")
            elif self._belongs(name, location, jsonata):
                known[name](self._findings, value, f"{location}/{name}", jsonata)
        self._numbers(clause, location)
        return True

    def _numbers(self, fields: dict[str, Any], location: str) -> None:
        for name in tables.MAP_NUMBERS:
            at_most_one(self._findings, location, fields, [name, f"{name}Path"])

    def _errors(self, clause: dict[str, Any], clauses: list[Any], at: int, location: str) -> None:
        findings = self._findings
        if "ErrorEquals" not in clause:
            findings.add(location, "These fields are required: [ErrorEquals]")
            return
        names = clause["ErrorEquals"]
        if not isinstance(names, list):
            return
        where = f"{location}/ErrorEquals"
        findings.expect(bool(names), where, "Value cannot be empty")
        for name in names:
            values.string(findings, name, where, False)
        if ALL in names and (len(names) > 1 or at < len(clauses) - 1):
            findings.add(
                f"{where}[{names.index(ALL)}]", "States.ALL must appear alone and at end of list"
            )

    def _retrier(self, clause: Any, clauses: list[Any], number: int, location: str) -> None:
        if self._clause(clause, tables.RETRIER, location, False):
            self._errors(clause, clauses, number, location)

    def _catcher(
        self, clause: Any, clauses: list[Any], number: int, location: str, jsonata: bool
    ) -> None:
        if not self._clause(clause, tables.CATCHER, location, jsonata):
            return
        self._errors(clause, clauses, number, location)
        if "Next" not in clause:
            self._findings.add(location, "These fields are required: [Next]")
        if jsonata:
            for name in ("Output", "Assign"):
                if name in clause:
                    check_queries(
                        self._findings, clause[name], f"{location}/{name}", ("errorOutput",)
                    )

    # --- variables ----------------------------------------------------------------------------

    def _variables(self, fields: dict[str, Any], location: str, outer: frozenset[str]) -> None:
        for where, assigned in assignments(fields, location):
            for key in assigned:
                name = key.removesuffix(".$")
                if name == "states":
                    self._findings.add(
                        where,
                        "Cannot assign to reserved variable '$states'.",
                        RESERVED_VARIABLE,
                    )
                elif not _is_name(name):
                    self._findings.add(
                        where,
                        f"Invalid variable name '{name}': the variable name contains invalid"
                        " characters.",
                        INVALID_VARIABLE,
                    )
                elif name in outer:
                    self._findings.add(
                        where,
                        f"The variable name '{name}' was already defined in a parent scope.",
                        DUPLICATE_VARIABLE,
                    )

    # --- Task and Map -------------------------------------------------------------------------

    def _times(self, fields: dict[str, Any], location: str) -> None:
        timeout, beat = fields.get("TimeoutSeconds"), fields.get("HeartbeatSeconds")
        if isinstance(timeout, int) and isinstance(beat, int) and beat >= timeout:
            self._findings.add(
                f"{location}/HeartbeatSeconds",
                "HeartbeatSeconds must be smaller than TimeoutSeconds",
            )

    def _map(self, fields: dict[str, Any], location: str, jsonata: bool) -> None:
        findings = self._findings
        self._numbers(fields, location)
        for name in ("ItemProcessor", "Iterator"):
            processor = fields.get(name)
            if isinstance(processor, dict):
                config = processor.get("ProcessorConfig")
                outer, self._express = self._express, self._express or _is_express(config)
                self._block(processor, f"{location}/{name}", ("processor",))
                self._express = outer
                if "ProcessorConfig" in processor:
                    self._processor(config, f"{location}/{name}")
        batcher = fields.get("ItemBatcher")
        if isinstance(batcher, dict):
            where = f"{location}/ItemBatcher"
            self._clause(batcher, tables.BATCHER, where, jsonata)
            if jsonata:
                check_queries(findings, batcher, where)
        for name in tables.OUTSIDE:
            if name in fields:
                self._outside(fields[name], name, f"{location}/{name}", jsonata)
        label = fields.get("Label")
        if isinstance(label, str):
            where = f"{location}/Label"
            if label == "":
                findings.add(where, "Label cannot be empty", INVALID_LABEL)
            not_longer(findings, where, "Label", label, limits.STATE_LABEL_LENGTH, INVALID_LABEL)
            if label in self._labels:
                findings.add(where, f"Duplicate Label name: {label}", DUPLICATE_LABEL)
            self._labels.add(label)
            if _NOT_IN_LABELS.search(label):
                findings.add(where, "Label contains invalid characters", INVALID_LABEL)

    def _outside(self, fields: Any, kind: str, location: str, jsonata: bool) -> None:
        """Check an ItemReader or a ResultWriter."""
        findings = self._findings
        if not isinstance(fields, dict) or not self._clause(
            fields, tables.OUTSIDE[kind], location, jsonata
        ):
            return
        if kind == "ItemReader" and "Resource" not in fields:
            findings.add(location, "These fields are required: [Resource]")
        findings.expect(bool(fields), location, "Value cannot be empty")
        for name, known in tables.CONFIGS.items():
            if isinstance(fields.get(name), dict):
                self._clause(fields[name], known, f"{location}/{name}", jsonata)
        check_outside(findings, kind, fields, location)
        if jsonata:
            check_queries(findings, fields, location)

    def _processor(self, config: Any, location: str) -> None:
        where = f"{location}/ProcessorConfig"
        if not isinstance(config, dict):
            self._findings.add(where, "Expected value of type Object")
            return
        mode, kind = config.get("Mode", "INLINE"), config.get("ExecutionType")
        if mode not in ("INLINE", "DISTRIBUTED"):
            self._findings.add(
                f"{where}/Mode", "Value should be one of the following: [INLINE, DISTRIBUTED]"
            )
        if kind not in (None, "STANDARD", "EXPRESS"):
            self._findings.add(
                f"{where}/ExecutionType",
                "Value should be one of the following: [STANDARD, EXPRESS]",
            )
        if mode == "DISTRIBUTED":
            if kind is None:
                self._findings.add(where, "These fields are required: [ExecutionType]")
            if self._express:
                self._findings.add(
                    f"{where}/Mode",
                    "The field 'Mode' with value 'DISTRIBUTED' is not supported inside 'EXPRESS'"
                    " state machines",
                )
        elif kind is not None:
            self._findings.add(where, "Field 'ExecutionType' is not supported")
        for name in config:
            if name not in ("Mode", "ExecutionType"):
                self._findings.add(where, f"Field '{name}' is not supported")


def assignments(fields: dict[str, Any], location: str) -> list[tuple[str, dict[str, Any]]]:
    """Return every Assign of a state, with its place."""
    found = [(f"{location}/Assign", fields.get("Assign"))]
    for name in ("Choices", "Catch"):
        for number, clause in enumerate(_list(fields.get(name))):
            if isinstance(clause, dict):
                found.append((f"{location}/{name}[{number}]/Assign", clause.get("Assign")))
    return [(where, one) for where, one in found if isinstance(one, dict)]


def _is_name(name: str) -> bool:
    """Whether a variable may have a name: an identifier of Unicode, which no _ begins."""
    return len(name) <= limits.STATE_NAME_LENGTH and name.isidentifier() and name[0] != "_"


def _is_express(config: Any) -> bool:
    """Whether the children of a Map are express workflows, which take less."""
    return (
        isinstance(config, dict)
        and config.get("Mode") == "DISTRIBUTED"
        and config.get("ExecutionType") == "EXPRESS"
    )


def _results(name: str, kind: str) -> tuple[str, ...]:
    if name in ("Output", "Assign") and kind in ("Task", "Parallel", "Map"):
        return ("result",)
    return ()


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _without(value: Any, *names: str) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: one for name, one in value.items() if name not in names}
