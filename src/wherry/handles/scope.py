"""The scope of one run: what was read, and what is to be written when the handler returns.

Handles record here; nothing of it reaches the store before the commit.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from wherry import limits
from wherry.codec import key_text
from wherry.errors import (
    BoundExceeded,
    Forbidden,
    GrantMissing,
    Passing,
    Refused,
    StoreFull,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wherry.effects import (
        CancelMessage,
        DeleteItem,
        DeleteObject,
        Effect,
        Guard,
        PublishEvent,
        PutItem,
        PutObject,
        SendMessage,
        UpdateItem,
    )
    from wherry.invocation import Invocation
    from wherry.ports import CommitAnswer, Read, ReadAnswer, StepCommit
    from wherry.world import Clock

    Write = PutItem | UpdateItem | DeleteItem
    ItemKey = tuple[str, bytes, bytes]
    Policy = Callable[[Any, Any], Any]


class Link(Protocol):
    """What a run can ask of its platform while it runs."""

    def ask(self, request: Read) -> ReadAnswer:
        """Answer a read."""
        ...

    def commit_step(self, step: StepCommit) -> CommitAnswer:
        """Commit a named step with its value."""
        ...

    def stage(self, bucket: str, blob: str) -> Any:
        """Open a writer of a blob (`platforms.files`)."""
        ...

    def open_blob(self, bucket: str, row: Any) -> Any:
        """Open a reader of an object's blob."""
        ...


class Scope:
    """One run.

    `grants` are ("orders", "write") pairs; None means that all is allowed. `kept` holds what
    outside calls gave, by their key; it outlives the run, for its re-runs.
    """

    __slots__ = (
        "blobs",
        "bytes_written",
        "caller",
        "clock",
        "cold",
        "function",
        "grants",
        "guard_all",
        "guarded",
        "inside_step",
        "invocation",
        "kept",
        "link",
        "marks",
        "messages",
        "objects",
        "over",
        "pending",
        "policies",
        "seen",
        "step_uses",
        "uses",
    )

    def __init__(
        self,
        invocation: Invocation,
        link: Link,
        clock: Clock,
        *,
        grants: frozenset[tuple[str, str]] | None = None,
        policies: Mapping[str, Sequence[Policy]] | None = None,
        guard_all: bool = False,
        cold: bool = False,
        kept: dict[str, bytes] | None = None,
    ) -> None:
        self.invocation = invocation
        self.function = invocation.function
        self.link = link
        self.clock = clock
        self.grants = grants
        self.policies = policies or {}
        self.caller: Any = None
        self.inside_step = False
        self.over = False  # the handler has returned: what is recorded now would be lost
        self.guard_all = guard_all
        self.cold = cold
        self.kept = dict(invocation.kept) if kept is None else kept
        self.pending: dict[ItemKey, Write] = {}
        self.objects: dict[tuple[str, str], PutObject | DeleteObject] = {}
        self.messages: dict[str, SendMessage | CancelMessage | PublishEvent] = {}  # by ID
        self.seen: dict[ItemKey, int] = {}
        self.guarded: set[ItemKey] = set()
        self.marks: list[str] = []
        self.uses = 0
        self.step_uses: dict[str, int] = {}
        self.bytes_written = 0
        self.blobs = [0]  # staged so far, by this scope and those within it

    # -- asking ----------------------------------------

    def require(self, resource: str, action: str) -> None:
        """Refuse what the function has no grant for, with the line to add."""
        if self.grants is not None and (resource, action) not in self.grants:
            raise GrantMissing(self.function, resource, action)

    def ask(self, request: Read) -> Any:
        """Ask the platform; turn its refusals into errors."""
        from wherry.ports import Broken, Denied, NotReady

        answer = self.link.ask(request)
        match answer:
            case Denied(resource=resource, action=action):
                raise GrantMissing(self.function, resource, action)
            case NotReady(table=table, index=index):
                raise Unavailable(
                    f"The index {index!r} of {table!r} is being filled.",
                    advice=f"Run `wherry tables reindex {table}`, then query it.",
                )
            case Broken(code=code, message=message):
                raise (StoreFull if code == StoreFull.code else Passing)(message)
            case _:
                return answer

    # -- reading and writing keys ----------------------------------------

    def saw(self, key: ItemKey, version: int, guard: bool) -> None:
        """Remember the version that a key had when it was first read (0: absent).

        A `guard` is a condition of the commit, and counts as one of its keys.
        """
        if guard and key not in self.guarded:
            self.charge(0, count=0 if key in self.pending else 1)
            self.guarded.add(key)
        self.seen.setdefault(key, version)

    def keys_taken(self) -> int:
        """Return how many distinct keys the commit writes or guards."""
        guarded = len(self.guarded.difference(self.pending)) if self.guarded else 0
        return len(self.pending) + len(self.objects) + len(self.messages) + guarded

    def charge(self, size_bytes: int, count: int = 1) -> None:
        """Count an effect, or a guard, against the bounds of a commit.

        Raises:
            BoundExceeded: Where the commit would pass `limits.COMMIT_EFFECTS` or `COMMIT_BYTES`.
        """
        self.bytes_written += size_bytes
        total = self.keys_taken() + count
        if total > limits.COMMIT_EFFECTS or self.bytes_written > limits.COMMIT_BYTES:
            raise BoundExceeded(
                f"One commit takes {limits.COMMIT_EFFECTS} distinct keys, written or guarded, and "
                f"{limits.COMMIT_BYTES} bytes; this one has {total} and {self.bytes_written}.",
                advice="Do it in chunks, each a named step: app.atomic('chunk', f, part).",
            )

    def next_use(self) -> int:
        """Return a number that is the same when the run is repeated."""
        self.uses += 1
        return self.uses

    def next_blob(self) -> str:
        """Return the ID of a blob that this attempt, and no other, stages."""
        self.blobs[0] += 1
        return f"{self.invocation.number:016x}{self.blobs[0]:04x}"

    def authorize(self, table: str, item: Any) -> None:
        """Hold the app's policies for the items of a table against the caller."""
        if self.caller is None:
            return
        for policy in self.policies.get(table, ()):
            if policy(self.caller, item) is False:
                name = getattr(policy, "__name__", "policy").replace("_", " ")
                raise Forbidden(f"Not allowed by the policy: {name}.")

    # -- the outcome ----------------------------------------

    def effects(self) -> list[Effect]:
        """Return everything recorded, in one list."""
        return [*self.pending.values(), *self.objects.values(), *self.messages.values()]

    def guards(self) -> list[Guard]:
        """Return the versions to check: of keys that were read and are written, or guarded."""
        from wherry.effects import Guard

        seen = self.seen
        return [
            Guard(key[0], key[1], key[2], version)
            for key, version in seen.items()
            if key in self.pending or key in self.guarded
        ]


_scope: ContextVar[Scope | None] = ContextVar("wherry_scope", default=None)


def enter(scope: Scope | None) -> Any:
    """Make `scope` the one that handles record in; returns a token for `leave`."""
    return _scope.set(scope)


def leave(token: Any) -> None:
    """Undo `enter`."""
    _scope.reset(token)


def scope_for(what: str) -> Scope:
    """Return the scope of the present run.

    Raises:
        Refused: Outside of a handler.
    """
    scope = _scope.get()
    if scope is None:
        raise Refused(
            f"{what} was used outside of a handler.",
            advice="In a test, use wherry.testing: `with running(app) as backend: ...`.",
        )
    if scope.over:
        raise Refused(
            f"{what} was used by a thread or task after its handler had returned.",
            advice="Wait for it in the handler, or send a message and do it in a consumer.",
        )
    return scope


def maybe_scope() -> Scope | None:
    """Return the scope of the present run, or None."""
    return _scope.get()


def show_key(table: str, pk: bytes, sk: bytes) -> str:
    """Show a table's key to a person."""
    return f"{table}/{key_text(pk)}" + (f"/{key_text(sk)}" if sk else "")
