"""JSONata's functions with their work counted, and those that AWS adds or replaces."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from jsonata.functions import Functions  # type: ignore[import-untyped]
from jsonata.jexception import JException  # type: ignore[import-untyped]
from jsonata.jsonata import Jsonata  # type: ignore[import-untyped]
from jsonata.utils import Utils  # type: ignore[import-untyped]

from wherry import limits
from wherry.statemachine.functions import HASHES, uuid4
from wherry.statemachine.javarandom import JavaRandom
from wherry.statemachine.jsonata_engine import active, inward
from wherry.statemachine.jsonata_text import (
    decode_base64,
    decode_component,
    parse_leniently,
    rounded_for,
    to_string,
)

_MISSING: Any = None


class _Counted(Jsonata.JNativeFunction):  # type: ignore[misc]
    """A function of the library."""

    def call(self, input: Any, args: Any) -> Any:
        meter = active().meter
        meter.step(1)
        _before(self.function_name, args, meter)
        args = _instead(self.function_name, args)
        if self.function_name == "replace" and (plain := _plainly(args)) is not None:
            return plain
        try:
            found = _sort(args) if self.function_name == "sort" else super().call(input, args)
        except ValueError:
            if self.function_name == "number":
                raise JException("D3030", -1, args[0]) from None
            raise
        if isinstance(found, str | list | dict):
            meter.measure(found)
        return found


class _Own(Jsonata.JFunction):  # type: ignore[misc]
    """A function of AWS's or ours; it gets its arguments as they are, None for undefined."""

    def __init__(self, name: str, implementation: Callable[[list[Any]], Any], most: int) -> None:
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
        found = self._implementation(given)
        if isinstance(found, str | list | dict):
            meter.measure(found)
        return found

    def get_number_of_args(self) -> int:
        return self._most


def _instead(name: str, args: Any) -> Any:
    """Return the arguments with a number rounded as AWS does it, where it is to be shown."""
    if name == "formatNumber" and args and len(args) > 1 and _is_number(args[0]):
        return [rounded_for(args[0], args[1]), *args[1:]]
    return args


def _plainly(args: Any) -> str | None:
    """Return a text with another in place of a third; `$0` in it means itself on AWS."""
    text, pattern, replacement, limit = [*(args or ()), None, None, None, None][:4]
    if not all(isinstance(one, str) for one in (text, pattern, replacement)):
        return None
    if not pattern:
        raise JException("D3010", -1)
    if limit is not None and (not _is_number(limit) or limit < 0):
        raise JException("D3011", -1)
    return str(text.replace(pattern, replacement, -1 if limit is None else int(limit)))


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


def _partition(given: list[Any]) -> Any:
    values, size = [*given, None, None][:2]
    if values is None:
        return None
    if not isinstance(values, list):
        raise JException("T0412", -1, 1, "partition", "array")
    if size is None:
        return [list(values)]
    if not _is_number(size):
        raise _mismatch(2, "partition")
    length = int(size)
    if length < 0:
        raise JException("D3137", -1, "Second argument must be zero or greater")
    if length == 0 or not values:
        return None
    active().meter.allocate(8 * len(values))
    return [list(values[at : at + length]) for at in range(0, len(values), length)]


def _range(given: list[Any]) -> Any:
    for index, value in enumerate(given):
        if value is not None and not _is_number(value):
            raise _mismatch(index + 1, "range")
    if len(given) < 2:
        raise _mismatch(len(given) + 1, "range")
    first, last, step = [*given, None][:3]
    if first is None or last is None or step is None or int(step) == 0:
        return None
    by = int(step)
    found = range(int(first), int(last) + (1 if by > 0 else -1), by)
    if len(found) > limits.STATE_EXPRESSION_RANGE:
        active().meter.allocate(limits.STATE_EXPRESSION_BYTES + 1)
    return Utils.create_sequence_from_iter(found)


def _hash(given: list[Any]) -> Any:
    import hashlib

    if not given or (given[0] is not None and not isinstance(given[0], str)):
        raise _mismatch(1, "hash")
    if given[0] is None or len(given) == 1:
        return None
    algorithm = given[1]
    if algorithm is not None and not isinstance(algorithm, str):
        raise _mismatch(2, "hash")
    if algorithm not in HASHES:
        shown = "null" if algorithm is None else algorithm
        names = ", ".join(HASHES)
        raise JException("D3137", -1, f"Hash algorithm '{shown}' must be one of [{names}]")
    data = given[0].encode("utf-8", "surrogatepass")
    return hashlib.new(HASHES[algorithm], data, usedforsecurity=False).hexdigest()


def _random(given: list[Any]) -> Any:
    seed = given[0] if given else None
    if seed is None:
        return active().draw.between(0.0, 1.0)
    if not _is_number(seed):
        raise _mismatch(1, "random")
    return JavaRandom(int(seed)).next_double()


def _uuid(given: list[Any]) -> str:
    return uuid4(active().draw)


def _parse(given: list[Any]) -> Any:
    value = given[0] if given else None
    if value is None:
        return None
    if not isinstance(value, str):
        raise _mismatch(1, "parse")
    try:
        return inward(parse_leniently(value))
    except (ValueError, RecursionError):
        raise JException("D3137", -1, "The argument is not valid JSON") from None


def _now(given: list[Any]) -> Any:
    _texts("now", given)
    return Functions.datetime_from_millis(active().now_ms, *[*given, None, None][:2])


def _texts(name: str, given: list[Any]) -> None:
    for index, value in enumerate(given):
        if value is not None and not isinstance(value, str):
            raise _mismatch(index + 1, name)


def _shuffle(given: list[Any]) -> Any:
    values = given[0] if given else None
    if not isinstance(values, list):
        return values
    found = list(values)
    for last in range(len(found) - 1, 0, -1):
        other = active().draw.below(last + 1)
        found[last], found[other] = found[other], found[last]
    return found


def _string(given: list[Any]) -> Any:
    if not given or given[0] is None:
        return None
    if len(given) > 1 and given[1] is not None and not isinstance(given[1], bool):
        raise _mismatch(2, "string")
    return to_string(*given)


def _sort(given: list[Any]) -> Any:
    """Sort stably, as AWS does: what a function calls equal stays in its order."""
    values, function = [*given, None, None][:2]
    if values is None:
        return None
    if not isinstance(values, list) or function is None:
        return Functions.sort(values, function)

    def swaps(left: Any, right: Any) -> bool:
        found = Functions.func_apply(function, [left, right])
        return bool(Jsonata.boolize(found))

    return Utils.create_sequence_from_iter(_merged(list(values), swaps))


def _merged(values: list[Any], swaps: Callable[[Any, Any], bool]) -> list[Any]:
    if len(values) <= 1:
        return values
    middle = len(values) // 2
    left, right = _merged(values[:middle], swaps), _merged(values[middle:], swaps)
    found: list[Any] = []
    at, other = 0, 0
    while at < len(left) and other < len(right):
        if swaps(left[at], right[other]):
            found.append(right[other])
            other += 1
        else:
            found.append(left[at])
            at += 1
    return found + left[at:] + right[other:]


def _base64decode(given: list[Any]) -> Any:
    _texts("base64decode", given)
    return None if not given or given[0] is None else decode_base64(given[0])


def _decode_component(given: list[Any]) -> Any:
    _texts("decodeUrlComponent", given)
    return None if not given or given[0] is None else decode_component(given[0])


_OWN: dict[str, tuple[Callable[[list[Any]], Any], int]] = {
    "partition": (_partition, 2),
    "range": (_range, 3),
    "hash": (_hash, 2),
    "random": (_random, 1),
    "uuid": (_uuid, 0),
    "parse": (_parse, 1),
    "now": (_now, 2),
    "millis": (lambda _given: active().now_ms, 0),
    "shuffle": (_shuffle, 1),
    "distinct": (lambda given: _distinct(given[0] if given else None), 1),
    "string": (_string, 2),
    "base64decode": (_base64decode, 1),
    "decodeUrlComponent": (_decode_component, 1),
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
