"""JSONata's functions with their work counted, and those that AWS adds or replaces."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
from jsonata.functions import Functions  # type: ignore[import-untyped]
from jsonata.jexception import JException  # type: ignore[import-untyped]
from jsonata.jsonata import Jsonata  # type: ignore[import-untyped]
from jsonata.utils import Utils  # type: ignore[import-untyped]

from wherry import limits
from wherry.statemachine.functions import HASHES, uuid4
from wherry.statemachine.javarandom import JavaRandom
from wherry.statemachine.jsonata_engine import active, inward
from wherry.statemachine.text import to_text

_MISSING: Any = None


class _Counted(Jsonata.JNativeFunction):  # type: ignore[misc]
    """A function of the library."""

    def call(self, input: Any, args: Any) -> Any:
        meter = active().meter
        meter.step(1)
        _before(self.function_name, args, meter)
        try:
            found = super().call(input, args)
        except ValueError:
            if self.function_name == "number":
                raise JException("D3030", -1, args[0]) from None
            raise
        if isinstance(found, str | list | dict):
            meter.measure(found)
        return found


class _Own(Jsonata.JFunction):  # type: ignore[misc]
    """A function of AWS's or ours; it gets its arguments as they are, None for undefined."""

    def __init__(self, name: str, implementation: Callable[..., Any], most: int) -> None:
        super().__init__(None, None)
        self.function_name = name
        self._implementation = implementation
        self._most = most

    def call(self, input: Any, args: Any) -> Any:
        given = list(args or ())
        if len(given) > self._most:
            raise _mismatch(self._most + 1, self.function_name)
        meter = active().meter
        meter.step(1)
        found = self._implementation(*given, *[None] * (self._most - len(given)))
        if isinstance(found, str | list | dict):
            meter.measure(found)
        return found

    def get_number_of_args(self) -> int:
        return self._most


def _before(name: str, args: Any, meter: Any) -> None:
    """Count what a function would make, where that can be much more than what it gets."""
    given = [*(args or ()), None, None, None]
    if name == "pad" and _is_number(given[1]):
        if not math.isfinite(given[1]):
            raise OverflowError("width")
        meter.allocate(abs(int(given[1])))
    elif name == "join" and isinstance(given[0], list) and isinstance(given[1], str):
        meter.allocate(len(given[0]) * len(given[1]) + sum(map(_length, given[0])))
    elif name == "append" and isinstance(given[0], list):
        meter.step(len(given[0]) // 64)
        meter.allocate(8 * (len(given[0]) + (len(given[1]) if isinstance(given[1], list) else 1)))
    elif name == "replace" and isinstance(given[0], str):
        _before_replace(given, meter)


def _before_replace(given: list[Any], meter: Any) -> None:
    text, pattern, replacement = given[:3]
    if isinstance(pattern, str):
        count = text.count(pattern) if pattern else 0
    elif hasattr(pattern, "finditer"):
        count = sum(1 for _ in pattern.finditer(text))
    else:
        return
    size = _length(replacement) if isinstance(replacement, str) else 1
    if isinstance(replacement, str) and "$" in replacement:
        size += replacement.count("$") * len(text) // max(1, count)
    meter.allocate(len(text) + count * size)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str) else 8


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _mismatch(index: int, name: str | None) -> JException:
    return JException("T0410", -1, index, name)


def to_string(value: Any, prettify: Any = None) -> str:
    """Return a value as `$string` does: fractions with fifteen digits, functions as nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and getattr(value, "outer_wrapper", False):
        value = value[0]
    plain = _plain(value)
    if prettify is True and isinstance(plain, dict | list):
        return msgspec.json.format(to_text_js(plain), indent=2)
    return to_text_js(plain)


def _plain(value: Any) -> Any:
    if value is None or value is Utils.NULL_VALUE:
        return None
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, bool | int | float | str):
        return value
    return ""


def to_text_js(value: Any) -> str:
    """Return JSON with numbers as JavaScript writes them."""
    match value:
        case dict():
            inside = ",".join(f"{to_text(k)}:{to_text_js(v)}" for k, v in value.items())
            return f"{{{inside}}}"
        case list():
            return f"[{','.join(map(to_text_js, value))}]"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return number_text(value)
        case _:
            return to_text(value)


def number_text(value: float) -> str:
    """Return a number as `String(Number(value.toPrecision(15)))` does."""
    if isinstance(value, float) and not math.isfinite(value):
        raise JException("D3001", -1)
    if isinstance(value, int) and abs(value) < 10**21:
        return str(value)
    shown = float(value)
    if not shown.is_integer():
        shown = float(f"{shown:.15g}")
    if shown.is_integer() and abs(shown) < 1e21:
        return str(int(shown))
    text = repr(shown)
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e")
    power = int(exponent)
    if -7 < power < 0:
        digits = mantissa.replace(".", "").lstrip("-")
        return ("-" if shown < 0 else "") + "0." + "0" * (-power - 1) + digits
    return f"{mantissa}e{'+' if power > 0 else '-'}{abs(power)}"


def _string(value: Any, prettify: Any) -> Any:
    return None if value is None else to_string(value, prettify)


def _distinct(values: Any) -> Any:
    if not isinstance(values, list) or len(values) <= 1:
        return values
    seen: set[Any] = set()
    found = Utils.create_sequence() if isinstance(values, Utils.JList) else []
    for one in values:
        key = (type(one).__name__ if isinstance(one, bool | str) else "", to_string_key(one))
        if key not in seen:
            seen.add(key)
            found.append(one)
    return found


def to_string_key(value: Any) -> str:
    """Return a text that equal values share."""
    return repr(_sorted(value))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((key, _sorted(one)) for key, one in value.items())
    if isinstance(value, list):
        return [_sorted(one) for one in value]
    return float(value) if _is_number(value) and abs(value) < 2**53 else value


def _partition(values: Any, size: Any) -> Any:
    if values is None:
        return None
    if values is Utils.NULL_VALUE:
        raise JException("T0412", -1, 1, "partition", "array")
    items = values if isinstance(values, list) else [values]
    if size is None:
        return [list(items)] if items else None
    if not _is_number(size):
        raise _mismatch(2, "partition")
    length = int(size)
    if length < 0:
        raise JException("D3137", -1, "Second argument must be zero or greater")
    if length == 0 or not items:
        return None
    active().meter.allocate(8 * len(items))
    return Utils.create_sequence_from_iter(
        list(items[at : at + length]) for at in range(0, len(items), length)
    )


def _range(first: Any, last: Any, step: Any) -> Any:
    for index, value in enumerate((first, last, step)):
        if value is None and index == 1:
            raise _mismatch(2, "range")
        if value is not None and not _is_number(value):
            raise _mismatch(index + 1, "range")
    if first is None or step is None or int(step) == 0:
        return None
    by = int(step)
    found = range(int(first), int(last) + (1 if by > 0 else -1), by)
    if len(found) > limits.STATE_EXPRESSION_RANGE:
        active().meter.allocate(limits.STATE_EXPRESSION_BYTES + 1)
    return Utils.create_sequence_from_iter(found)


def _hash(value: Any, algorithm: Any) -> Any:
    import hashlib

    if value is None or algorithm is None:
        return None
    if not isinstance(value, str):
        raise _mismatch(1, "hash")
    if not isinstance(algorithm, str):
        raise _mismatch(2, "hash")
    if algorithm not in HASHES:
        raise JException("D3137", -1, f"Unsupported hash algorithm: {algorithm}")
    data = value.encode("utf-8", "surrogatepass")
    return hashlib.new(HASHES[algorithm], data, usedforsecurity=False).hexdigest()


def _random(seed: Any) -> Any:
    if seed is None:
        return active().draw.between(0.0, 1.0)
    if not _is_number(seed):
        raise _mismatch(1, "random")
    return JavaRandom(int(seed)).next_double()


def _uuid() -> str:
    return uuid4(active().draw)


def _parse(value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, str):
        raise _mismatch(1, "parse")
    try:
        found = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise JException("D3137", -1, "The argument is not valid JSON") from None
    return inward(found)


def _now(picture: Any, timezone: Any) -> Any:
    return Functions.datetime_from_millis(active().now_ms, picture, timezone)


def _shuffle(values: Any) -> Any:
    if not isinstance(values, list):
        return values
    found = list(values)
    for last in range(len(found) - 1, 0, -1):
        other = active().draw.below(last + 1)
        found[last], found[other] = found[other], found[last]
    return found


_OWN: dict[str, tuple[Callable[..., Any], int]] = {
    "partition": (_partition, 2),
    "range": (_range, 3),
    "hash": (_hash, 2),
    "random": (_random, 1),
    "uuid": (_uuid, 0),
    "parse": (_parse, 1),
    "now": (_now, 2),
    "millis": (lambda: active().now_ms, 0),
    "shuffle": (_shuffle, 1),
    "distinct": (_distinct, 1),
    "string": (_string, 2),
}


@lru_cache(maxsize=1)
def frame() -> Any:
    """Return the names that every expression begins with; there is no `$eval`."""
    found = Jsonata.Frame(None)
    for name, native in Jsonata.static_frame.bindings.items():
        if name == "eval":
            continue
        counted = _Counted.__new__(_Counted)
        counted.__dict__.update(native.__dict__)
        found.bindings[name] = counted
    for name, (implementation, most) in _OWN.items():
        found.bindings[name] = _Own(name, implementation, most)
    return found
