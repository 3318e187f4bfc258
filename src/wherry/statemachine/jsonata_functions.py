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
from wherry.statemachine.jsonata_builtins import BUILTINS, first_wrong, picture_fault
from wherry.statemachine.jsonata_engine import active, inward
from wherry.statemachine.jsonata_text import (
    decode_base64,
    decode_component,
    parse_leniently,
    to_string,
)

NULL: Any = Utils.NULL_VALUE
ARRAYS = {
    "a": "arrays", "b": "booleans", "f": "functions", "n": "numbers", "o": "objects", "s": "strings"
}  # fmt: skip


class _Counted(Jsonata.JNativeFunction):  # type: ignore[misc]
    """A function of the library."""

    def validate(self, args: Any, context: Any) -> Any:
        """Return the arguments as the signature wants them; null is none of its types."""
        if any(one is NULL for one in args):
            given = self._types(args)
            if not self.signature._regex.fullmatch(given):
                raise _mismatch(first_wrong(self.signature, given), self.function_name)
        try:
            return super().validate(args, context)
        except JException as error:
            said: tuple[Any, ...]
            match error.error:
                case "T0410":
                    said = first_wrong(self.signature, self._types(args)), self.function_name
                case "T0411":
                    said = error.expected, self.function_name
                case "T0412":
                    said = error.current, self.function_name, ARRAYS[error.extra[0]]
                case _:
                    raise
            raise JException(error.error, -1, *said) from None

    def _types(self, args: Any) -> str:
        symbol = self.signature.get_symbol
        return "".join("l" if one is NULL else symbol(one) for one in args)

    def call(self, input: Any, args: Any) -> Any:
        meter = active().meter
        meter.step(1)
        _before(self.function_name, args, meter)
        try:
            found = self._called(input, args)
        except (RuntimeError, KeyError) as error:
            raise picture_fault(error, args) from None
        except (TypeError, ValueError, AttributeError):
            self.validate(args, input)  # another function called it: nobody looked before
            raise
        if isinstance(found, str | list | dict):
            meter.measure(found)
        return found

    def _called(self, input: Any, args: Any) -> Any:
        name = self.function_name
        if name == "sort" and len(args) > 1 and args[1] is not None:
            return _sort(args)
        if name in BUILTINS:
            return BUILTINS[name](*[*args, None, None, None, None][:4])
        return super().call(input, args)


class _Arity:
    """As much of a signature as the library asks functions for that have none."""

    def __init__(self, least: int) -> None:
        self._least = least

    def get_min_number_of_args(self) -> int:
        return self._least

    def set_function_name(self, name: str) -> None:
        """Keep the name: a variable that holds the function does not rename it."""


class _Own(Jsonata.JFunction):  # type: ignore[misc]
    """A function of AWS's or ours; it gets its arguments as they are, None for undefined.

    `short` is the count of arguments to which the context is added as the first, and its type.
    """

    def __init__(
        self,
        name: str,
        implementation: Callable[[list[Any]], Any],
        most: int,
        short: tuple[int, Any] | None = None,
    ) -> None:
        super().__init__(None, None)
        self.function_name = name
        self.signature = _Arity(min(most, 1))
        self._implementation = implementation
        self._most = most
        self._short = short

    def validate(self, args: Any, context: Any) -> Any:
        if self._short is None or len(args) != self._short[0]:
            return args
        if context is not None and not isinstance(context, self._short[1]):
            raise JException("T0411", -1, 1, self.function_name)
        return [context, *args]

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
    found = Utils.create_sequence() if getattr(values, "sequence", False) else []
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
    if not given:
        raise _mismatch(1, "shuffle")
    values = given[0]
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


_OWN: dict[str, tuple[Callable[[list[Any]], Any], int, tuple[int, Any] | None]] = {
    "partition": (_partition, 2, None),
    "range": (_range, 3, (2, int | float)),
    "hash": (_hash, 2, (1, str)),
    "random": (_random, 1, None),
    "uuid": (_uuid, 0, None),
    "parse": (_parse, 1, (0, str)),
    "now": (_now, 2, None),
    "millis": (lambda _given: active().now_ms, 0, None),
    "shuffle": (_shuffle, 1, None),
    "distinct": (lambda given: _distinct(given[0] if given else None), 1, None),
    "string": (_string, 2, (0, object)),
    "base64decode": (_base64decode, 1, (0, str)),
    "decodeUrlComponent": (_decode_component, 1, (0, str)),
}
"""Each with how many arguments it takes at most, and at how few the context is the first."""


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
    for name, about in _OWN.items():
        found.bindings[name] = _Own(name, *about)
    return found
