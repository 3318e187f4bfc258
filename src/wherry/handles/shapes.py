"""How a value of the team's type becomes JSON and comes back.

msgspec reads Structs, dataclasses, typed dicts and plain containers. A Pydantic model is read by
Pydantic, which is only imported if the team uses it: a model brings its own methods.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import msgspec

from wherry.codec import NotFinite, refuse_lost_numbers
from wherry.errors import Refused

if TYPE_CHECKING:
    from wherry.handles.itemfields import Field

T = TypeVar("T")
Upgrade: TypeAlias = Callable[[Any], Any]
Upgrades: TypeAlias = Upgrade | Iterable[Upgrade] | None

FINITE = "Give it a number, or None where its type allows that."
READABLE = "Nobody could read it again: give each field what its type says."
REVEALED = (
    "Keep it as plain text, or give its field a serializer that writes it (@field_serializer); "
    "what all runs of a function share is an app.secret."
)

_MASK = b"**********"  # what Pydantic writes for a secret
_PLAIN = 1 << 53  # whole numbers below are whole numbers in any JSON
_encode = msgspec.json.Encoder().encode


def is_pydantic(kind: Any) -> bool:
    """Whether `kind` is a Pydantic model class, found out without importing Pydantic."""
    return isinstance(kind, type) and hasattr(kind, "__pydantic_validator__")


def _generic(kind: Any) -> Any:
    """Return the class without its arguments: a `Model(...)` may stand for a `Model[int]`."""
    if is_pydantic(kind):
        return getattr(kind, "__pydantic_generic_metadata__", {}).get("origin") or kind
    return getattr(kind, "__origin__", kind)


def _instances(bare: Any) -> type | tuple[type, ...] | None:
    """Return what values of a type are instances of; None where the type cannot say it."""
    if not isinstance(bare, type) or bare is Any:
        return None
    if dict in bare.__mro__ and hasattr(bare, "__total__"):  # a TypedDict is no class of its values
        return dict
    return (float, int) if bare is float else bare


def to_json(value: Any) -> bytes:
    """Encode any value of a supported type.

    Raises:
        TypeError: For a value that has no JSON form.
        NotFinite: For NaN and Infinity, which would be null when they are read; of a `Decimal`
            they would be text.
    """
    if is_pydantic(type(value)):
        return dump_model(value)
    body = _encode(value)
    if b"null" in body:
        refuse_lost_numbers(value)
    if b'NaN"' in body or b'Infinity"' in body:
        from wherry.handles.finite import refuse_decimals

        refuse_decimals(value)
    return body


def result_type(fn: Any) -> Any:
    """Return the type that a function says it returns, or Any."""
    from typing import get_type_hints

    try:
        return get_type_hints(fn).get("return", Any)
    except Exception:
        return Any


def dump_model(value: Any) -> bytes:
    """Encode a Pydantic model as it is read again; raises as `to_json` does."""
    # Its warnings say less than the error of whoever reads what is written to see that it can.
    text: str = value.model_dump_json(by_alias=True, exclude_computed_fields=True, warnings=False)
    body = text.encode()
    if b"null" in body or b"NaN" in body or b"Infinity" in body:  # as the model says
        refuse_lost_numbers(value.model_dump(mode="json", warnings=False))
    return body


def calls_itself() -> bool:
    """Whether a `RecursionError` is of the function, which called itself, and not of a value."""
    frame: Any = sys._getframe()
    for _ in range(sys.getrecursionlimit() // 2):
        frame = frame.f_back
        if frame is None:
            return False
    return True


def _why(error: Exception) -> str:
    """Return what is wrong with a value and where, in one line: Pydantic says it in many."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    first = errors(include_url=False)[0]
    return f"{first['msg']} - at `{'.'.join(('$', *map(str, first['loc'])))}`"


def as_upgrades(given: Upgrades) -> tuple[Upgrade, ...]:
    """Accept one function where several may stand; they are tried in their order."""
    if given is None:
        return ()
    if callable(given) or not isinstance(given, Iterable):
        return (given,)
    return tuple(given)


class Shape(Generic[T]):
    """Encoder and decoder of one type; `upgrades` read what the type itself does not."""

    __slots__ = (
        "_class",
        "_complete",
        "_decoder",
        "_fields",
        "_strict",
        "kind",
        "pydantic",
        "upgrades",
    )

    def __init__(self, kind: type[T], upgrades: tuple[Upgrade, ...] = ()) -> None:
        self.kind = kind
        self.upgrades = upgrades
        self.pydantic = is_pydantic(kind)
        # What a value must be an instance of; some types cannot say it.
        self._class = _instances(_generic(kind))
        self._decoder: Any = None
        self._strict: Any = None  # the decoder without upgrades: of what is written
        self._complete: Callable[[Any], bool] | None = None
        self._fields: dict[str, Field] | None = None

    def decode(self, data: bytes) -> T:
        """Read a value that wherry has stored. Raises `msgspec.ValidationError` or Pydantic's."""
        if self._decoder is None:
            from wherry.handles.completing import completed

            self._decoder = completed(*self._reader())
            if self.upgrades:
                from wherry.handles.upgrades import upgrading

                self._decoder = upgrading(self._decoder, self.kind, self.upgrades)
        value: T = self._decoder(data)
        return value

    def encode(self, value: T, whose: str) -> bytes:
        """Write a value that `whose` ("The table 'orders'") is to keep, if it can be read again.

        msgspec and dataclasses take any value for a field, and Pydantic has ways around its checks.

        Raises:
            Refused: It is not of the type, or a field of it is not, or it holds NaN or Infinity.
        """
        expected = self._class
        if type(value) is not expected and expected is not None and not isinstance(value, expected):
            raise Refused(
                f"{whose} takes values of {self._name()}, and was given one of "
                f"{type(value).__name__}."
            )
        if self._strict is None:
            self._strict, self._complete = self._reader()
        try:
            body = to_json(value)
            read = self._strict(body)
            if self._complete is not None and self._complete(read):  # then so does the value
                self._complete(value)
                body = to_json(value)
        except NotFinite as error:
            raise Refused(f"{self._name()} cannot be stored: {error}.", advice=FINITE) from None
        except (TypeError, ValueError, RecursionError) as error:
            if isinstance(error, RecursionError) and calls_itself():
                raise
            raise Refused(
                f"{whose} does not take this {self._name()}: {_why(error)}.", advice=READABLE
            ) from None
        if _MASK in body and self.pydantic and not _same(value, read):
            raise Refused(
                f"{whose} does not take this {self._name()}: Pydantic writes its secrets as "
                "asterisks, and they would be lost.",
                advice=REVEALED,
            )
        return body

    def _name(self) -> str:
        return getattr(self.kind, "__name__", "value")

    def _reader(self) -> tuple[Callable[[bytes], T], Callable[[Any], bool] | None]:
        """Return what reads the type itself, without any upgrade, and what completes it then."""
        if self.pydantic:
            # By its names in Python, too: so it was stored once.
            read = self.kind.model_validate_json  # type: ignore[attr-defined]
            return partial(read, by_alias=True, by_name=True), None
        from wherry.handles.completing import completer

        return msgspec.json.Decoder(self.kind).decode, completer(self.kind)

    def value_of(self, value: T, name: str) -> Any:
        """Return a field of a value."""
        return value[name] if isinstance(value, dict) else getattr(value, name)

    def renamed(self) -> dict[str, str]:
        """Return the names in JSON of all fields, by both names; none of a type without any."""
        found = {name: one.name for name, one in self._known().items()}
        return {one: one for one in found.values()} | found

    def changes(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return new values of fields under the names that they have in JSON.

        Raises:
            Refused: There is no such field, or it does not take this value: nobody could read the
                item any more.
        """
        return {
            self._field(name).name: self._checked(name, value) for name, value in values.items()
        }

    def increments(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return what is to be added to number fields, as `changes` does; without their bounds."""
        from wherry.handles.itemfields import holds_numbers

        for name, value in values.items():
            plain = self._field(name).plain
            if not holds_numbers(plain):
                raise Refused(
                    f"{self.kind.__name__}.{name} is {getattr(plain, '__name__', plain)}, which "
                    "is stored as no number: it cannot be added to."
                )
            self._fits(name, value, plain)
        return {self._field(name).name: value for name, value in values.items()}

    def bounds(self, names: Iterable[str]) -> dict[str, dict[str, float]]:
        """Return the bounds that these number fields have, under their names in JSON."""
        fields = map(self._field, names)
        return {field.name: field.bounds for field in fields if field.bounds}

    def _known(self) -> dict[str, Field]:
        if self._fields is None:
            from wherry.handles.itemfields import fields_of

            self._fields = fields_of(self.kind)
        return self._fields

    def _field(self, name: str) -> Field:
        fields = self._known()
        field = fields.get(name)
        if field is None:
            if not fields:  # a type that does not say what it holds
                from wherry.handles.itemfields import Field

                return Field(name, Any, Any)
            every = ", ".join(fields)
            raise Refused(f"{self.kind.__name__} has no field {name!r}; it has: {every}.")
        return field

    def _checked(self, name: str, value: Any) -> Any:
        if self.pydantic:
            return self._assigned(name, value)
        self._fits(name, value, self._field(name).type)
        return value

    def _assigned(self, name: str, value: Any) -> Any:
        """Have Pydantic look at the value of one field."""
        kind: Any = self.kind
        blank = kind.model_construct()
        try:
            _assign(blank, name, value)
            given = blank.__dict__[name]
            dumped = blank.model_dump(mode="json", include={name}, by_alias=True, warnings=False)
            dumped = dumped[self._field(name).name]
            _assign(blank, name, dumped, strict=False, by_alias=True, by_name=True)
        except ValueError as error:
            raise Refused(f"{kind.__name__}.{name} does not take {value!r}: {error}") from None
        self._fits(name, dumped, Any)
        if _MASK in to_json(dumped) and blank.__dict__[name] != given:
            hidden = "Pydantic writes it as asterisks, and it would be lost."
            raise Refused(f"{kind.__name__}.{name} cannot be stored: {hidden}", advice=REVEALED)
        return dumped

    def _fits(self, name: str, value: Any, kind: Any) -> None:
        if kind is int and type(value) is int and -_PLAIN < value < _PLAIN:
            return  # what is added most
        try:
            msgspec.json.decode(to_json(value), type=kind)
        except (NotFinite, msgspec.ValidationError, TypeError) as error:
            where = f"{self.kind.__name__}.{name}"
            raise Refused(f"{where} does not take {value!r}: {error}") from None


def _assign(blank: Any, name: str, value: Any, **how: Any) -> None:
    """Assign one field of a model that has no others, by the rules of that field.

    Those of the whole model are run as well, and cannot hold: what they say is no fault of a field.

    Raises:
        ValueError: The field does not take the value.
    """
    try:
        type(blank).__pydantic_validator__.validate_assignment(blank, name, value, **how)
    except ValueError as error:
        errors = getattr(error, "errors", None)
        if errors is None or any(one["loc"] for one in errors(include_url=False)):
            raise
    except (AttributeError, KeyError, TypeError) as error:  # it looked for another field
        if name not in blank.__dict__:
            raise ValueError(
                f"a validator of the whole model stopped at {error}: put the whole item"
            ) from None


def _same(value: Any, read: Any) -> bool:
    """Whether a model is what was read of it, secrets and all."""
    same: bool = value.model_dump(warnings=False) == read.model_dump(warnings=False)
    return same
