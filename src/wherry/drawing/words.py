"""States and conditions in words, short enough for a picture."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

_RELATIONS = {
    "Equals": "=",
    "LessThan": "<",
    "GreaterThan": ">",
    "LessThanEquals": "≤",
    "GreaterThanEquals": "≥",
}
_MOMENTS = {
    "Equals": "is at",
    "LessThan": "is before",
    "GreaterThan": "is after",
    "LessThanEquals": "is not after",
    "GreaterThanEquals": "is not before",
}
_TESTS = {
    "IsPresent": "is there",
    "IsNull": "is null",
    "IsNumeric": "is a number",
    "IsString": "is text",
    "IsBoolean": "is true or false",
    "IsTimestamp": "is a moment",
}
_COMPARES = re.compile(r"(String|Numeric|Boolean|Timestamp)(\w+?)(Path)?\Z")
_UNITS = ((86_400, "day"), (3_600, "h"), (60, "min"), (1, "s"))


# -- conditions ------------------------------------------------------------------------------------


def condition(rule: dict[str, Any]) -> str:
    """Return the condition of a Choice's rule, in either query language."""
    return expression(rule["Condition"]) if "Condition" in rule else _rule(rule, inner=False)


def _rule(rule: dict[str, Any], inner: bool) -> str:
    for operator, word in (("And", " and "), ("Or", " or ")):
        if operator in rule:
            text = word.join(_rule(one, True) for one in rule[operator])
            return f"({text})" if inner and len(rule[operator]) > 1 else text
    if "Not" in rule:
        text = _rule(rule["Not"], True)
        return f"not {text}" if text.startswith("(") else f"not ({text})"
    path = _path(rule["Variable"])
    for operator, words in _TESTS.items():
        if operator in rule:
            return f"{path} {words if rule[operator] else words.replace('is', 'is not', 1)}"
    if "StringMatches" in rule:
        return f"{path} matches {_json(rule['StringMatches'])}"
    for operator, operand in rule.items():
        if (match := _COMPARES.match(operator)) is not None:
            return _comparison(path, match, operand)
    return path


def _comparison(path: str, match: re.Match[str], operand: Any) -> str:
    kind, relation, by_path = match.groups()
    other = _path(operand) if by_path else operand if kind == "Timestamp" else _json(operand)
    if kind == "Timestamp":
        return f"{path} {_MOMENTS[relation]} {other}"
    if relation == "Equals" and kind in ("String", "Boolean"):
        return f"{path} is {other}"
    return f"{path} {_RELATIONS[relation]} {other}"


def expression(value: Any) -> str:
    """Return a JSONata expression without its marks; what is none is given as JSON."""
    if isinstance(value, str) and value.startswith("{%") and value.endswith("%}"):
        return " ".join(value[2:-2].replace("$states.input.", "").split())
    return value if isinstance(value, str) else _json(value)


def _path(path: str) -> str:
    if path == "$":
        return "the input"
    return path.removeprefix("$.")


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def errors(names: Sequence[str]) -> str:
    """Return what a Catch is for."""
    return " or ".join("any error" if name == "States.ALL" else name for name in names)


# -- states ----------------------------------------------------------------------------------------


def details(fields: dict[str, Any]) -> Iterator[str]:
    """Yield lines about a state beside its name and its type; each may be missing."""
    match fields["Type"]:
        case "Task":
            yield _resource(fields)
            yield from _patience(fields)
        case "Wait":
            yield _wait(fields)
        case "Fail":
            error = fields.get("Error") or fields.get("ErrorPath")
            if error:
                yield expression(error)
        case "Parallel":
            yield "all branches at once"
            yield from _patience(fields)
        case "Map":
            yield _items(fields)
            yield from _patience(fields)


def _resource(fields: dict[str, Any]) -> str:
    resource = str(fields["Resource"])
    if not resource.startswith("arn:"):
        return resource
    parts = resource.split(":")
    if parts[2] == "lambda" and "function" in parts:
        return parts[parts.index("function") + 1]
    if parts[5:6] == ["activity"]:
        return f"activity {parts[6]}"
    *service, action = parts[5:] if parts[-1] != "2" else parts[5:-1]
    action, _, pattern = action.partition(".")
    text = f"{' '.join(service)} {action}"
    if service == ["lambda"]:
        text = _function(fields) or text
    if pattern == "waitForTaskToken":
        return f"{text}, then waits for its token"
    return f"{text}, and waits for its end" if pattern.startswith("sync") else text


def _function(fields: dict[str, Any]) -> str:
    arguments = fields.get("Parameters") or fields.get("Arguments") or {}
    name = arguments.get("FunctionName", "") if isinstance(arguments, dict) else ""
    if not isinstance(name, str) or name.startswith("{%"):
        return ""
    parts = name.split(":")
    return parts[parts.index("function") + 1] if "function" in parts[:-1] else parts[0]


def _patience(fields: dict[str, Any]) -> Iterator[str]:
    retries = [one.get("MaxAttempts", 3) for one in fields.get("Retry", ())]
    most = max([one for one in retries if isinstance(one, int)], default=0)
    told = [f"up to {most} {'retry' if most == 1 else 'retries'}"] if most else []
    if isinstance(fields.get("TimeoutSeconds"), int):
        told.append(f"at most {span(fields['TimeoutSeconds'])}")
    if told:
        yield ", ".join(told)


def _wait(fields: dict[str, Any]) -> str:
    if isinstance(fields.get("Seconds"), int):
        return f"for {span(fields['Seconds'])}"
    for name, words in (("Seconds", "for"), ("Timestamp", "until")):
        if name in fields:
            return f"{words} {expression(fields[name])}"
        if f"{name}Path" in fields:
            return f"{words} {_path(fields[f'{name}Path'])}"
    return ""


def _items(fields: dict[str, Any]) -> str:
    processor = fields.get("ItemProcessor") or fields.get("Iterator") or {}
    mode = (processor.get("ProcessorConfig") or {}).get("Mode")
    if "ItemReader" in fields:
        told = "items of a file"
    elif "Items" in fields:
        items = fields["Items"]
        told = "of a list" if isinstance(items, list) else f"of {expression(items)}"
    else:
        told = f"of {_path(fields.get('ItemsPath', '$'))}"
    at_once = fields.get("MaxConcurrency", 0)
    if isinstance(at_once, int) and at_once:
        told += f", {at_once} at a time"
    return told + (", as child executions" if mode == "DISTRIBUTED" else "")


def span(seconds: int) -> str:
    """Return a number of seconds in its two largest units: `30 days`, `1 h 30 min`."""
    told, left = [], seconds
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            told.append(f"{count} {unit}{'s' if unit == 'day' and count != 1 else ''}")
    return " ".join(told[:2]) or "0 s"
