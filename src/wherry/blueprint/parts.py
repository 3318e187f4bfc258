"""The parts of the blueprint that declarations make as they are read.

They stand apart from the other records because a cold start pays for what `import wherry` needs.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct


class Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every record of the blueprint is: frozen, and strict when read back."""


class Place(Record, frozen=True):
    """Where a declaration stands in the team's code."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


ResourceKind: TypeAlias = Literal["table", "queue", "bucket", "secret", "event", "workflow"]
Action: TypeAlias = Literal[
    "read", "write", "send", "create", "delete", "publish", "start", "stop", "redrive", "complete"
]

ACTIONS: dict[ResourceKind, tuple[Action, ...]] = {
    "table": ("read", "write"),
    "queue": ("send",),
    "bucket": ("read", "create", "write", "delete"),
    "secret": ("read",),
    "event": ("publish",),
    "workflow": ("start", "read", "stop", "redrive", "complete"),
}


class Grant(Record, frozen=True, order=True):
    """What a function may do with one resource."""

    kind: ResourceKind
    resource: str
    action: Action

    def __str__(self) -> str:
        return f"{self.resource}.{self.action}"


class AuthSpec(Record, frozen=True):
    """Who may call. Without an `issuer` the embedded development issuer signs the tokens."""

    name: str
    roles: tuple[str, ...] = ()
    issuer: str | None = None
    audiences: tuple[str, ...] = ()
    roles_claim: str | None = None
    accepted: str | None = None  # why a development or local issuer is good enough for production
    place: Place | None = None


class Throttle(Record, frozen=True):
    """A token bucket: `rate_per_s` on average, `burst` at once."""

    rate_per_s: float
    burst: int


class Cors(Record, frozen=True):
    """Which origins a browser may call from (AWS HTTP API's settings)."""

    origins: tuple[str, ...]
    methods: tuple[str, ...] = ("*",)
    headers: tuple[str, ...] = ("*",)
    expose: tuple[str, ...] = ()
    credentials: bool = False
    max_age_s: int = 600


class Finding(Record, frozen=True):
    """Something wrong with an app: where, what, and what to do about it."""

    code: str
    message: str
    fix: str
    severity: Literal["error", "warning"] = "error"
    place: Place | None = None

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        return f"{where}{self.message} {self.fix}"
