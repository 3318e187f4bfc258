"""What a key field takes: values of its type, and what is stored as such values are.

A key of another type is in no item. Looked for, it would be found missing without a word.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import Enum
from typing import Any
from uuid import UUID

from msgspec import Struct

from wherry.codec import field_key
from wherry.errors import BadRequest, Refused

ZONE = (
    "Make it with datetime.now(UTC), or wherry.now(); where callers send it, annotate it as "
    "Annotated[datetime, Meta(tz=True)] (in a Pydantic model as AwareDatetime), and one without a "
    "zone is their 422."
)

_FITTING: dict[Any, tuple[type, ...]] = {
    str: (str, UUID, date),
    UUID: (str, UUID),
    date: (str, date),
    datetime: (datetime,),
    int: (int, float),
    float: (int, float),
}


class KeyField(Struct, frozen=True):
    """A key or sort field of a table or an index.

    `base` is what its values are where they are stored: of an Enum the type of its members' values.
    """

    name: str
    type: str
    base: Any

    @property
    def is_text(self) -> bool:
        """Whether its values are sorted as text, and not as numbers."""
        return self.base not in (int, float)

    def fits(self, value: Any) -> bool:
        """Whether an item can have this value there, as far as its class tells."""
        if isinstance(value, Enum):
            value = value.value
        if isinstance(value, bool) or (self.base is date and isinstance(value, datetime)):
            return False
        return isinstance(value, _FITTING[self.base])

    def stored(self, value: Any) -> Any:
        """Return text of a UUID or a day in the one form that items have; else the value itself."""
        if not isinstance(value, str) or isinstance(value, Enum):
            return value
        try:
            if self.base is UUID:
                return str(UUID(value))
            if self.base is date:
                return date.fromisoformat(value).isoformat()
        except ValueError:  # no item has it
            pass
        return value


def unusable(value: Any, whose: str, error: TypeError | ValueError) -> Exception:
    """Return why `key_bytes` refused a value: its type is the function's, else 400."""
    if isinstance(value, datetime) and value.tzinfo is None:
        return without_zone(whose)
    said = f"{whose} is not usable: {error}."
    return Refused(said) if isinstance(error, TypeError) else BadRequest(said)


def lacks_zone(value: Any) -> bool:
    """Whether this is a datetime without a time zone, or its text, which a field takes as well."""
    if isinstance(value, str):
        return field_key(value, "moment") is None
    return isinstance(value, datetime) and value.tzinfo is None


def without_zone(whose: str) -> Refused:
    """Return the error for a datetime without a time zone where a moment is needed."""
    return Refused(f"{whose} is a datetime without a time zone, which is no moment.", advice=ZONE)
