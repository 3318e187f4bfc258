"""How a value of the team's type becomes JSON and comes back.

msgspec reads Structs, dataclasses, typed dicts and plain containers. A Pydantic model is read by
Pydantic, which is only imported if the team uses it: a model brings its own methods.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")

_encoder = msgspec.json.Encoder()


def is_pydantic(kind: Any) -> bool:
    """Whether `kind` is a Pydantic model class, found out without importing Pydantic."""
    return isinstance(kind, type) and hasattr(kind, "__pydantic_validator__")


def to_json(value: Any) -> bytes:
    """Encode any value of a supported type.

    Raises:
        TypeError: For a value that has no JSON form.
    """
    return _encoder.encode(value) if not is_pydantic(type(value)) else dump_model(value)


def dump_model(value: Any) -> bytes:
    """Encode a Pydantic model."""
    text: str = value.model_dump_json()
    return text.encode()


class Shape(Generic[T]):
    """Encoder and decoder of one type."""

    __slots__ = ("_decoder", "kind", "pydantic")

    def __init__(self, kind: type[T]) -> None:
        self.kind = kind
        self.pydantic = is_pydantic(kind)
        self._decoder: Any = None

    def decode(self, data: bytes) -> T:
        """Read a value that wherry has stored. Raises `msgspec.ValidationError` or Pydantic's."""
        if self._decoder is None:
            if self.pydantic:
                self._decoder = self.kind.model_validate_json  # type: ignore[attr-defined]
            else:
                self._decoder = msgspec.json.Decoder(self.kind).decode
        value: T = self._decoder(data)
        return value

    def encode(self, value: T) -> bytes:
        """Write a value. Raises `TypeError` where it is not of the type."""
        if not self.pydantic:
            expected = getattr(self.kind, "__origin__", self.kind)
            if isinstance(expected, type) and not isinstance(value, expected):
                raise TypeError(f"expected a {self.kind.__name__}, got a {type(value).__name__}")
            return _encoder.encode(value)
        return dump_model(value)

    def value_of(self, value: T, name: str) -> Any:
        """Return a field of a value."""
        return value[name] if isinstance(value, dict) else getattr(value, name)
