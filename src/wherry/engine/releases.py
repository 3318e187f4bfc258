"""Releases: versions of the app. The active one gets new work, older ones finish theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias, assert_never

from wherry.blueprint import (
    Blueprint,
    ChangeSource,
    EventSource,
    FunctionSpec,
    HttpTrigger,
    ObjectSource,
    QueueSpec,
    QueueTrigger,
    ScheduleSource,
    TaskTrigger,
    WorkflowSpec,
)
from wherry.engine.pools import Pool
from wherry.runtime.process import places

if TYPE_CHECKING:
    from wherry.blueprint import Source
    from wherry.engine.admission import Admission
    from wherry.engine.environments import Environment
    from wherry.engine.mailbox import Mailbox
    from wherry.engine.work import Work
    from wherry.world import Clock, Loop

# What takes the messages of a queue: a handler, or for a workflow the engine itself.
Consumer: TypeAlias = QueueTrigger | TaskTrigger | WorkflowSpec


class ActiveFunction:
    """A function of one release, with its environments.

    Args:
        fed: The queues that sources put messages into.
        heard: The tables and buckets whose changes are sources.
    """

    __slots__ = (
        "asks_as",
        "fed",
        "grants",
        "leads_on",
        "owner",
        "pool",
        "release",
        "sends",
        "spec",
        "starts",
        "writes",
    )

    def __init__(
        self,
        spec: FunctionSpec,
        release: str,
        owner: str,
        pool: Pool,
        fed: frozenset[str] = frozenset(),
        heard: frozenset[str] = frozenset(),
    ) -> None:
        self.spec = spec
        self.release = release
        # What its runs read is judged by what this release declares, whichever is the active one.
        self.asks_as = f"{spec.name}@{release}"
        self.owner = owner
        self.pool = pool
        self.fed = fed
        self.grants = frozenset((grant.resource, grant.action) for grant in spec.grants)
        # A workflow's queue has its name.
        sends = [
            grant.resource
            for grant in spec.grants
            if grant.kind == "queue" or (grant.kind == "workflow" and grant.action != "read")
        ]
        self.sends = tuple(dict.fromkeys(sends))
        writes = [grant for grant in spec.grants if grant.action != "read"]
        self.writes = bool(writes)
        # Other messages may begin with its commits.
        self.leads_on = bool(self.sends) or any(
            grant.kind == "event" or grant.resource in heard for grant in writes
        )
        self.starts = any(one.kind == "workflow" and one.action == "start" for one in spec.grants)


class ActiveRelease:
    """One version of the app, running.

    Args:
        start: Starts an environment of a function (name, memory in MB).
        room: Whether the machine has memory for one more environment beside so many MB.
    """

    def __init__(
        self,
        digest: str,
        blueprint: Blueprint,
        owner: str,
        loop: Loop,
        clock: Clock,
        start: Callable[[str, int], None],
        begin: Callable[[Environment, Work, bool], None],
        post: Callable[[Mailbox, Work], bool],
        room: Callable[[int], bool],
        admission: Admission,
    ) -> None:
        self.digest = digest
        self.blueprint = blueprint
        self.functions: dict[str, ActiveFunction] = {}
        self.workflows: dict[str, ActiveFunction] = {}  # no environment runs what they get
        fed = frozenset(source.queue for source in blueprint.sources)
        heard = frozenset(map(_heard, blueprint.sources))
        processors = len(places.GIVEN) or 1

        def active(spec: FunctionSpec) -> ActiveFunction:
            pool = Pool(
                spec.name,
                spec.concurrency,
                loop,
                clock,
                _starter(start, spec.memory_mb),
                begin,
                post,
                self._room_of(spec.name, room),
                processors,
                admission if _serves(spec) else None,
                spec.reserved,
            )
            return ActiveFunction(spec, digest, owner, pool, fed, heard)

        for spec in blueprint.functions:
            self.functions[spec.name] = active(spec)
        for one in blueprint.workflows:
            own = FunctionSpec(name=one.name, module="", triggers=(), grants=one.grants)
            self.workflows[one.name] = active(own)

    def _room_of(self, name: str, room: Callable[[int], bool]) -> Callable[[], bool]:
        return lambda: room(self.kept_mb(name))

    def kept_mb(self, name: str) -> int:
        """How much memory is kept free for environments that other functions have reserved."""
        return sum(
            max(0, other.spec.reserved - other.pool.size) * other.spec.memory_mb
            for other in self.functions.values()
            if other.spec.reserved and other.spec.name != name
        )

    def routes(self) -> Iterator[tuple[ActiveFunction, HttpTrigger]]:
        """All routes with their functions."""
        for function in self.functions.values():
            for trigger in function.spec.triggers:
                if isinstance(trigger, HttpTrigger):
                    yield function, trigger

    def consumers(self) -> Iterator[tuple[QueueSpec, ActiveFunction, Consumer]]:
        """All queues with their consumer."""
        queues = {queue.name: queue for queue in self.blueprint.queues}
        for function in self.functions.values():
            for trigger in function.spec.triggers:
                if isinstance(trigger, QueueTrigger | TaskTrigger):
                    yield queues[trigger.queue], function, trigger
        for workflow in self.blueprint.workflows:
            yield queues[workflow.name], self.workflows[workflow.name], workflow

    def task_queues(self) -> dict[str, str]:
        """Return the queue of each function that workflows may call."""
        return {
            function.name: trigger.queue
            for function in self.blueprint.functions
            for trigger in function.triggers
            if isinstance(trigger, TaskTrigger)
        }

    def hold(self) -> None:
        """Start nothing more: its zygote is gone. Work that comes waits for `Core.take_over`."""
        for function in self.functions.values():
            function.pool.held = True

    def busy(self) -> bool:
        """Whether anything of this release runs or waits."""
        pools = (function.pool for function in self.functions.values())
        return any(pool.busy or pool.pending for pool in pools)


def _serves(spec: FunctionSpec) -> bool:
    return any(isinstance(trigger, HttpTrigger) for trigger in spec.triggers)


def _starter(start: Callable[[str, int], None], memory_mb: int) -> Callable[[str], None]:
    return lambda function: start(function, memory_mb)


def _heard(source: Source) -> str:
    match source:
        case ChangeSource():
            return source.table
        case ObjectSource():
            return source.bucket
        case EventSource() | ScheduleSource():
            return ""  # what publishes has a grant that says so; a schedule hears nothing
        case _:
            assert_never(source)
