"""JSONata's own functions where the library does other than the reference implementation."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from jsonata.datetimeutils import DateTimeUtils  # type: ignore[import-untyped]
from jsonata.functions import Functions  # type: ignore[import-untyped]
from jsonata.jexception import JException  # type: ignore[import-untyped]

from wherry.statemachine.jsonata_pictures import format_number
from wherry.statemachine.regexes import Regex
from wherry.statemachine.text import timestamp

_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\Z")
_OTHER_BASE = re.compile(r"0(?:[xX][0-9A-Fa-f]+|[oO][0-7]+|[bB][01]+)\Z")
_MOMENT = re.compile(
    r"[0-9]{4}(?:-[01][0-9])*(?:-[0-3][0-9])*(?:T[0-2][0-9]:[0-5][0-9](?::[0-5][0-9])?)*"
    r"(?:\.[0-9]+)?(?:[+-][0-2][0-9]:?[0-5][0-9]|Z)?\Z"
)
_LAST_MS = 253_402_300_799_999  # of the year 9999


class MatcherRegex(Regex):
    """A pattern of an expression, whose matches end with the text.

    Only the first may be of nothing: after that the reference implementation gives up.
    """

    __slots__ = ()

    def finditer(self, text: str) -> Any:
        """Return all matches, one after the other."""
        before: Any = None
        for found in super().finditer(text):
            if before is not None:
                if before.end() >= len(text):
                    return
                if not (found.group() and before.group()):
                    raise JException("D1004", -1)
            yield found
            before = found
        if before is not None and not before.group() and before.end() < len(text):
            raise JException("D1004", -1)

    def split(self, text: str, maxsplit: int = 0) -> list[Any]:
        """Return what is between the matches."""
        parts, at = [], 0
        for found in self.finditer(text):
            parts.append(text[at : found.start()])
            at = found.end()
        return [*parts, text[at:]]


def _number(value: Any, *_: Any) -> Any:
    if not isinstance(value, str):
        return Functions.number(value)
    if _OTHER_BASE.match(value):
        return int(value, 0)
    found = float(value) if _NUMBER.match(value) else math.inf
    if not math.isfinite(found):
        raise JException("D3030", -1, value)
    return int(found) if found.is_integer() and abs(found) < 2**63 else found


def _power(base: Any, exponent: Any, *_: Any) -> Any:
    if base is None:
        return None
    try:
        found = math.pow(base, exponent)
    except (OverflowError, ValueError, TypeError):
        found = math.inf
    if not math.isfinite(found):
        raise JException("D3061", -1, base, exponent)
    return found


def _replace(text: Any, pattern: Any, replacement: Any, limit: Any, *_: Any) -> Any:
    if text is None:
        return None
    if pattern == "":
        raise JException("D3010", -1)
    if limit is not None and limit < 0:
        raise JException("D3011", -1)
    if isinstance(pattern, str):  # `$0` in the replacement means itself on AWS
        if not isinstance(replacement, str):
            raise JException("D3012", -1)
        return text.replace(pattern, replacement, -1 if limit is None else int(limit))
    parts, at = [], 0
    for number, found in enumerate(pattern.finditer(text)):
        if limit is not None and number >= int(limit):
            break
        parts += [text[at : found.start()], _replacement(found, replacement)]
        at = found.end()
    return "".join(parts) + text[at:]


def _replacement(found: Any, replacement: Any) -> str:
    if isinstance(replacement, str):
        return _filled(replacement, found)
    match = {
        "match": found.group(),
        "start": found.start(),
        "end": found.end(),
        "groups": list(found.groups()),
    }
    made = Functions.func_apply(replacement, [match])
    if not isinstance(made, str):
        raise JException("D3012", -1, made)
    return made


def _filled(replacement: str, found: Any) -> str:
    """Return a replacement with `$1` and its like filled in; a group that took no part is empty."""
    groups = found.groups()
    digits = len(str(len(groups)))
    parts, at = [], 0
    while (dollar := replacement.find("$", at)) >= 0:
        parts.append(replacement[at:dollar])
        at = dollar + 1
        if replacement.startswith(("$", "0"), at):
            parts.append("$" if replacement[at] == "$" else found.group())
            at += 1
            continue
        number = _leading_digits(replacement[at : at + digits])
        if digits > 1 and number and int(number) > len(groups):
            number = number[:-1]
        if number:
            group = int(number) - 1
            parts.append((groups[group] or "") if group < len(groups) else "")
            at += len(number)
        else:
            parts.append("$")
    return "".join(parts) + replacement[at:]


def _leading_digits(text: str) -> str:
    return text[: len(text) - len(text.lstrip("0123456789"))]


def _sort(values: Any, function: Any, *_: Any) -> Any:
    """Sort what can be sorted without a function: texts, or numbers."""
    if isinstance(values, list) and len(values) > 1:
        texts = all(isinstance(one, str) for one in values)
        if not texts and not all(_is_number(one) for one in values):
            raise JException("D3070", -1)
    return Functions.sort(values, function)


def _to_millis(text: Any, picture: Any, *_: Any) -> Any:
    if text is None or picture is not None:
        return Functions.datetime_to_millis(text, picture)
    try:
        if not _MOMENT.match(text):
            raise ValueError(text)
        return Functions.datetime_to_millis(f"{text}-01" if len(text) == 7 else text, None)
    except ValueError:
        raise JException("D3110", -1, text) from None


def _from_millis(millis: Any, picture: Any, zone: Any, *_: Any) -> Any:
    if millis is not None and picture is None and zone is None and 0 <= millis <= _LAST_MS:
        return timestamp(int(millis))
    return Functions.datetime_from_millis(millis, picture, zone)


def _parse_integer(text: Any, picture: Any, *_: Any) -> Any:
    """Return a number, or NaN: what cannot be read is no error on AWS."""
    if text is None:
        return None
    try:
        return DateTimeUtils.parse_integer(text, picture)
    except ValueError:
        leading = re.match(r"\s*-?[0-9]+", text)
        return math.nan if leading is None else int(leading.group())


def _format_base(value: Any, radix: Any, *_: Any) -> Any:
    if value is not None and radix is not None and not 2 <= int(radix) <= 36:
        raise JException("D3100", -1, radix)
    return Functions.format_base(value, radix)


def _format_number(value: Any, picture: Any, options: Any, *_: Any) -> Any:
    if value is None or not isinstance(picture, str):
        return None
    return format_number(value, picture, options if isinstance(options, dict) else {})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def first_wrong(signature: Any, given: str) -> int:
    """Return the number of the first argument that a signature does not take."""
    pattern, good = "", 0
    for param in signature._params:
        pattern += param.regex
        found = re.match(pattern, given)
        if found is None:
            break
        good = found.end()
    return good + 1


_PICTURE_FAULTS = {
    "Formatting or parsing an integer": "D3130",
    "In a decimal digit pattern": "D3131",
    "Unknown component specifier": "D3132",
    "The 'name' modifier": "D3133",
    "The timezone integer format": "D3134",
    "No matching closing bracket": "D3135",
    "The date/time picture string": "D3136",
}
_WRONG_COMPONENTS = {
    "D3132": r"\[\s*([^YMDdFWwXxHhPmsfZzCE\s\[\]])",
    "D3133": r"\[\s*([^MFP\s\[\]])[^\]]*[nN]",
}


def picture_fault(error: Exception, args: list[Any]) -> Any:
    """Return JSONata's error for what the library says of a picture, the second argument."""
    said = "Unknown component specifier" if isinstance(error, KeyError) else str(error)
    code = next((code for text, code in _PICTURE_FAULTS.items() if said.startswith(text)), None)
    if code is None or len(args) < 2 or not isinstance(args[1], str):
        return error
    picture = args[1]
    if code in _WRONG_COMPONENTS:
        wrong = re.search(_WRONG_COMPONENTS[code], picture)
        return JException(code, -1, None if wrong is None else wrong.group(1))
    return JException(code, -1, picture.partition(";")[0] if code == "D3130" else None)


BUILTINS: dict[str, Callable[..., Any]] = {
    "formatBase": _format_base,
    "formatNumber": _format_number,
    "fromMillis": _from_millis,
    "number": _number,
    "parseInteger": _parse_integer,
    "power": _power,
    "replace": _replace,
    "sort": _sort,
    "toMillis": _to_millis,
}
"""What is called instead of the library's function of that name."""
