"""The scope of one run: what was read, and what is to be written when the handler returns.

Handles record here; nothing of it reaches the store before the commit.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from msgspec import Struct

from wherry import limits
from wherry.codec import key_text
from wherry.errors import (
    BadRequest,
    BoundExceeded,
    Forbidden,
    GrantMissing,
    Passing,
    Refused,
    StoreFull,
    Unavailable,
)
from wherry.handles.ids import derived_id
from wherry.handles.late import Late

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wherry import effects, ports
    from wherry.effects import (
        CancelMessage,
        DeleteItem,
        DeleteObject,
        Effect,
        EndTask,
        Guard,
        PublishEvent,
        PutItem,
        PutObject,
        RedriveExecution,
        SendMessage,
        StartExecution,
        StopExecution,
        UpdateItem,
    )
    from wherry.invocation import Invocation
    from wherry.ports import (
        Broken,
        CommitAnswer,
        Denied,
        NotReady,
        Read,
        ReadAnswer,
        StepCommit,
    )
    from wherry.world import Clock

    Write = PutItem | UpdateItem | DeleteItem
    Message = (
        SendMessage
        | CancelMessage
        | PublishEvent
        | StartExecution
        | StopExecution
        | RedriveExecution
        | EndTask
    )
    ItemKey = tuple[str, bytes, bytes]
    Policy = Callable[[Any, Any], Any]
else:
    effects, ports = Late("wherry.effects", globals()), Late("wherry.ports", globals())


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


class Scope(Struct, eq=False):
    """One run. A Struct, because its many fields are then filled in without a step of Python each.

    `grants` are ("orders", "write") pairs; None means that all is allowed. `kept` holds what
    outside calls gave, by their key; it outlives the run, for its re-runs.
    """

    invocation: Invocation
    link: Link
    clock: Clock
    grants: frozenset[tuple[str, str]] | None = None
    policies: Mapping[str, Sequence[Policy]] = {}
    guard_all: bool = False
    cold: bool = False
    kept: dict[str, bytes] = {}
    caller: Any = None
    inside_step: bool = False
    over: bool = False  # the handler has returned: what is recorded now would be lost
    pending: dict[ItemKey, Write] = {}
    objects: dict[tuple[str, str], PutObject | DeleteObject] = {}
    messages: dict[str, Message] = {}  # by ID
    seen: dict[ItemKey, int] = {}
    guarded: set[ItemKey] = set()
    marks: list[str] = []
    uses: int = 0
    step_uses: dict[str, int] = {}
    outside_uses: dict[str, int] = {}
    bytes_written: int = 0
    blobs: list[str] = []  # staged so far, by this scope and those within it

    def part(self, invocation: Invocation) -> Scope:
        """Return a scope for a part of this run, which has effects of its own."""
        return Scope(
            invocation,
            self.link,
            self.clock,
            grants=self.grants,
            policies=self.policies,
            guard_all=self.guard_all,
            cold=self.cold,
            kept=self.kept,
            blobs=self.blobs,
        )

    @property
    def function(self) -> str:
        """The function's name."""
        return self.invocation.function

    # -- asking ----------------------------------------

    def ask(self, request: Read) -> Any:
        """Ask the platform; turn its refusals into errors."""
        answer = self.link.ask(request)
        if isinstance(answer, (ports.Denied, ports.NotReady, ports.Broken)):
            self._refuse(answer)
        return answer

    def _refuse(self, answer: Denied | NotReady | Broken) -> NoReturn:
        match answer:
            case ports.Denied(resource=resource, action=action):
                raise refusal(self, resource, action)
            case ports.NotReady(table=table, index=index):
                raise Unavailable(
                    f"The index {index!r} of {table!r} is not filled.",
                    advice=f"Run `wherry tables reindex {table}`, then query it. If the newest "
                    "version of the app has no such index, deploy this function again.",
                )
            case ports.Broken(code=Refused.code, message=message):
                raise Refused(message)
            case ports.Broken(code=BadRequest.code, message=message):
                raise BadRequest(message)
            case ports.Broken(code=code, message=message):
                raise (StoreFull if code == StoreFull.code else Passing)(message)

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
        taken = len(self.pending) + len(self.objects) + len(self.messages)
        return taken + len(self.guarded.difference(self.pending)) if self.guarded else taken

    def charge(self, size_bytes: int, count: int = 1) -> None:
        """Count an effect, or a guard, against the bounds of a commit.

        Raises:
            BoundExceeded: Where the commit would pass `limits.COMMIT_EFFECTS` or `COMMIT_BYTES`.
        """
        self.bytes_written += size_bytes
        total = len(self.pending) + len(self.objects) + len(self.messages) + count
        if self.guarded:
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

    def next_id(self, purpose: str) -> str:
        """Return a new ID that is the same when the run is repeated."""
        invocation = self.invocation
        self.uses = use = self.uses + 1
        return derived_id(invocation.key, f"{purpose} {use}", invocation.started_ms)

    def next_blob(self) -> str:
        """Return the ID of a blob that this attempt, and no other, stages."""
        blob = f"{self.invocation.number:016x}{len(self.blobs) + 1:04x}"
        self.blobs.append(blob)
        return blob

    def authorize(self, table: str, item: Any) -> None:
        """Hold the app's policies for the items of a table against the caller."""
        if self.caller is None or not self.policies:
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
        if not self.seen:
            return []
        return [
            effects.Guard(key[0], key[1], key[2], version)
            for key, version in self.seen.items()
            if key in self.pending or key in self.guarded
        ]


_scope: ContextVar[Scope | None] = ContextVar("wherry_scope", default=None)
enter = _scope.set
"""Make a scope the one that handles record in; returns a token for `leave`."""

leave = _scope.reset
"""Undo `enter`."""

maybe_scope = _scope.get
"""Return the scope of the present run, or None."""


def scope_for(what: str, grant: tuple[str, str] | None = None) -> Scope:
    """Return the scope of the present run; `what` is the text that an error begins with.

    Raises:
        Refused: Outside of a handler.
        GrantMissing: The function lacks `grant`; the error has the line to add.
    """
    scope = _scope.get()
    if scope is None or scope.over:
        raise _out_of_place(what, scope)
    if grant is not None and scope.grants is not None and grant not in scope.grants:
        raise refusal(scope, *grant)
    return scope


def refusal(scope: Scope, resource: str, action: str) -> GrantMissing:
    """Return the error of a function that lacks a grant; it has the line to add."""
    from wherry.handles.variables import grant_line

    return GrantMissing(scope.function, resource, action, grant_line(resource, action))


def _out_of_place(what: str, scope: Scope | None) -> Refused:
    if scope is None:
        return Refused(
            f"{what} was used outside of a handler.",
            advice="In a test, use wherry.testing: `with running(app) as backend: ...`.",
        )
    return Refused(
        f"{what} was used by a thread or task after its handler had returned.",
        advice="Wait for it in the handler, or send a message and do it in a consumer.",
    )


def show_key(table: str, pk: bytes, sk: bytes) -> str:
    """Show a table's key to a person."""
    return f"{table}/{key_text(pk)}" + (f"/{key_text(sk)}" if sk else "")
