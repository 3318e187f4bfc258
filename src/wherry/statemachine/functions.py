"""The eighteen intrinsic functions, with the limits and the rounding recorded on AWS."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Protocol

from wherry import limits
from wherry.statemachine.filters import same
from wherry.statemachine.javahash import unique_in_java_order
from wherry.statemachine.javarandom import JavaRandom
from wherry.statemachine.text import to_text

HASHES = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384",
          "SHA-512": "sha512"}  # fmt: skip

ARITY: dict[str, tuple[int, int]] = {
    "Array": (0, 1_000),
    "ArrayPartition": (2, 2),
    "ArrayContains": (2, 2),
    "ArrayRange": (3, 3),
    "ArrayGetItem": (2, 2),
    "ArrayLength": (1, 1),
    "ArrayUnique": (1, 1),
    "Base64Encode": (1, 1),
    "Base64Decode": (1, 1),
    "Hash": (2, 2),
    "JsonMerge": (3, 3),
    "StringToJson": (1, 1),
    "JsonToString": (1, 1),
    "MathRandom": (2, 3),
    "MathAdd": (2, 2),
    "StringSplit": (2, 2),
    "UUID": (0, 0),
    "Format": (1, 1_000),
}
"""The functions by name, with the fewest and the most arguments."""

_INT_MAX = 2_147_483_647
_LONG_MAX = 2**63 - 1
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]")
_URL_SAFE = str.maketrans("-_", "+/")
_ESCAPED = re.compile(r"\\(['{}\\])")


class Draw(Protocol):
    """Where chance comes from: `wherry.world.Chance`."""

    def token(self, length_bytes: int) -> bytes:
        """Return bytes."""
        ...

    def below(self, bound: int) -> int:
        """Return a whole number in [0, bound)."""
        ...

    def between(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        ...


class InvalidArguments(Exception):
    """The arguments are not what the function takes."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidTemplate(Exception):
    """The braces of a template do not match."""


def apply(name: str, arguments: list[Any], draw: Draw) -> Any:
    """Call a function.

    Raises:
        InvalidArguments: It does not take these.
        InvalidTemplate: Of `Format`.
    """
    fewest, most = ARITY[name]
    if not fewest <= len(arguments) <= most:
        raise InvalidArguments
    if name == "UUID":
        return uuid4(draw)
    if name == "MathRandom":
        return _math_random(arguments, draw)
    return _FUNCTIONS[name](*arguments)


def uuid4(draw: Draw) -> str:
    """Return a random UUID, version 4."""
    raw = bytearray(draw.token(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidArguments
    return value


def _text(value: Any, bound: int | None = None) -> str:
    if not isinstance(value, str) or (bound is not None and len(value) > bound):
        raise InvalidArguments
    return value


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidArguments
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidArguments
    return value


def _truncated(value: Any) -> int:
    """AWS documents rounding for arrays and ranges, and cuts the fraction off."""
    return int(_number(value))


def _rounded_int(value: Any) -> int:
    number = _number(value)
    if isinstance(number, float):
        number = math.floor(number + 0.5) if number >= 0 else math.ceil(number - 0.5)
    return _within_int(number)


def _within_int(number: int) -> int:
    if not -_INT_MAX - 1 <= number <= _INT_MAX:
        raise InvalidArguments
    return number


def _partition(array: Any, size: Any) -> list[Any]:
    items, length = _list(array), _truncated(size)
    if length < 1:
        raise InvalidArguments
    return [items[at : at + length] for at in range(0, len(items), length)]


def _range(start: Any, end: Any, step: Any) -> list[int]:
    first, last, by = _truncated(start), _truncated(end), _truncated(step)
    if by == 0:
        raise InvalidArguments
    if (last - first) // by >= limits.STATE_RANGE_LENGTH:
        raise InvalidArguments
    return list(range(first, last + (1 if by > 0 else -1), by))


def _get_item(array: Any, index: Any) -> Any:
    items, at = _list(array), _truncated(index)
    if not items:
        return None
    if not 0 <= at < len(items):
        raise InvalidArguments
    return items[at]


def _contains(array: Any, wanted: Any) -> bool:
    """AWS compares texts: 5 is in ["5"], and the order of an object's fields counts."""
    text = _shown(wanted)
    return any(_shown(one) == text for one in _list(array))


def _unique(array: Any) -> list[Any]:
    return unique_in_java_order(_list(array), same)


def _base64_encode(value: Any) -> str:
    import binascii

    data = _text(value, limits.STATE_INTRINSIC_LENGTH).encode("utf-8", "surrogatepass")
    return binascii.b2a_base64(data, newline=False).decode()


def _base64_decode(value: Any) -> str:
    """Decode what can be: AWS skips what is not of the alphabet, and stops at a padding."""
    import binascii

    text = _text(value, limits.STATE_INTRINSIC_LENGTH).partition("=")[0]
    text = _NOT_BASE64.sub("", text.translate(_URL_SAFE))
    text = text[: len(text) - (len(text) % 4 == 1)]
    return binascii.a2b_base64(text + "=" * (-len(text) % 4)).decode("utf-8", "replace")


def _hash(value: Any, algorithm: Any) -> str:
    import hashlib

    text = _text(_shown(value), limits.STATE_INTRINSIC_LENGTH)
    if _text(algorithm) not in HASHES:
        raise InvalidArguments
    data = text.encode("utf-8", "surrogatepass")
    return hashlib.new(HASHES[algorithm], data, usedforsecurity=False).hexdigest()


def _merge(left: Any, right: Any, deep: Any) -> dict[str, Any]:
    if not isinstance(left, dict) or not isinstance(right, dict) or deep is True:
        raise InvalidArguments
    return {**left, **right}


def _string_to_json(value: Any) -> Any:
    import msgspec

    text = _text(value)
    if not text.strip(" \t\r\n"):
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise InvalidArguments from None


def _split(value: Any, delimiters: Any) -> list[str]:
    text, marks = _text(value), _text(delimiters)
    if not marks:
        return [text] if text else []
    return [part for part in re.split(f"[{re.escape(marks)}]", text) if part]


def _math_add(left: Any, right: Any) -> int:
    return _within_int(_rounded_int(left) + _rounded_int(right))


def _math_random(arguments: list[Any], draw: Draw) -> int:
    start, end = _truncated(arguments[0]), _truncated(arguments[1])
    if start >= end or max(-start, end, end - start) > _LONG_MAX:
        raise InvalidArguments
    if len(arguments) == 3:
        return JavaRandom(_truncated(arguments[2])).below(start, end)
    return start + int.from_bytes(draw.token(16), "big") % (end - start)


def _format(template: Any, *values: Any) -> str:
    pieces = list(_pieces(_text(template)))
    if pieces.count(None) != len(values):
        raise InvalidArguments(": number of arguments do not match the occurrences of {}.")
    rest = iter(values)
    return "".join(_shown(next(rest)) if piece is None else piece for piece in pieces)


def _pieces(template: str) -> list[str | None]:
    """Cut a template at its `{}`, which are None in the list."""
    pieces: list[str | None] = []
    at, text = 0, ""
    while at < len(template):
        mark = template[at]
        if mark == "\\" and (match := _ESCAPED.match(template, at)):
            text += match.group(1)
            at = match.end()
        elif mark == "{":
            if not template.startswith("}", at + 1):
                raise InvalidTemplate("matching '}' not found for '{'.")
            pieces += [text, None]
            at, text = at + 2, ""
        elif mark == "}":
            raise InvalidTemplate("matching '{' not found for '}'.")
        else:
            text += mark
            at += 1
    return [*pieces, text]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else to_text(value)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Array": lambda *values: list(values),
    "ArrayPartition": _partition,
    "ArrayContains": _contains,
    "ArrayRange": _range,
    "ArrayGetItem": _get_item,
    "ArrayLength": lambda array: len(_list(array)),
    "ArrayUnique": _unique,
    "Base64Encode": _base64_encode,
    "Base64Decode": _base64_decode,
    "Hash": _hash,
    "JsonMerge": _merge,
    "StringToJson": _string_to_json,
    "JsonToString": to_text,
    "MathAdd": _math_add,
    "StringSplit": _split,
    "Format": _format,
}
