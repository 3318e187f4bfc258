"""The graph of an app: which function may put messages into which queue, and who gets them.

It is read from grants: what a function is not granted it cannot cause. A route of a bundle may
cause whatever the bundle may. A workflow is a step too: who may start it leads on to it, and it to
the functions that its states call.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from wherry import limits
from wherry.blueprint.parts import Grant
from wherry.blueprint.records import (
    Blueprint,
    ChangeSource,
    EventSource,
    FunctionSpec,
    HttpTrigger,
    ObjectSource,
    QueueSpec,
    QueueTrigger,
    ScheduleSource,
    Source,
    TaskTrigger,
    WorkflowSpec,
)
from wherry.paths.cycles import cycles
from wherry.paths.records import Cycle, Entry, Link, Step
from wherry.paths.workflows import Calls, calls_of

_SENDING = {("queue", "send"), ("workflow", "start"), ("workflow", "redrive")}


class Graph:
    """What can follow what.

    `steps`: of each queue that has a consumer. `links`: of each function, in the order of its
    grants. `entries`: routes, schedules, then what none of them reaches. `cyclic`: queues on a
    cycle.
    """

    __slots__ = ("cycles", "cyclic", "entries", "links", "steps")

    def __init__(self, blueprint: Blueprint) -> None:
        calls = calls_of(blueprint)
        self.steps: dict[str, Step] = dict(_consumed(blueprint, calls))
        self.links: dict[str, tuple[Link, ...]] = {
            one.name: tuple(self._links(one, blueprint, calls))
            for group in (blueprint.functions, blueprint.workflows)
            for one in group
        }
        self.cycles: tuple[Cycle, ...] = tuple(cycles(self.steps, self.links))
        self.cyclic = frozenset(queue for cycle in self.cycles for queue in cycle.queues)
        self.entries: tuple[Entry, ...] = tuple(self._entries(blueprint))

    def after(self, step: Step) -> tuple[Link, ...]:
        """Return where the function of a step may put messages."""
        return self.links[step.function]

    def endless(self, step: Step) -> bool:
        """Whether a step is on a cycle."""
        return step.inbox in self.cyclic

    def _links(
        self, one: FunctionSpec | WorkflowSpec, blueprint: Blueprint, calls: Calls
    ) -> Iterator[Link]:
        found: dict[str, list[str]] = {}
        if isinstance(one, WorkflowSpec):
            found.update({name: list(states) for name, states in calls.states[one.name].items()})
        for grant in one.grants:
            queues = [source.queue for source in blueprint.sources if causes(grant, source)]
            if (grant.kind, grant.action) in _SENDING:
                queues.append(grant.resource)
            for queue in queues:
                by = found.setdefault(queue, [])
                if str(grant) not in by:
                    by.append(str(grant))
        for queue, by in found.items():
            if queue in self.steps:
                yield Link(queue=queue, by=tuple(by))

    def _entries(self, blueprint: Blueprint) -> Iterator[Entry]:
        reached: set[str] = set()
        for function in blueprint.functions:
            routes = tuple(
                f"{one.method} {one.path}"
                for one in function.triggers
                if isinstance(one, HttpTrigger)
            )
            if routes:
                first = Step(
                    name=routes[0],
                    function=function.name,
                    reruns=_reruns(function),
                    place=function.place,
                )
                yield Entry(kind="route", names=routes, first=first)
                self._reach(first, reached)
        timed: dict[str, list[str]] = {}
        for source in blueprint.sources:
            if isinstance(source, ScheduleSource) and source.queue in self.steps:
                timed.setdefault(source.queue, []).append(source.name)
        for queue, names in timed.items():
            yield Entry(kind="schedule", names=tuple(names), first=self.steps[queue])
            self._reach(self.steps[queue], reached)
        fed = {link.queue for links in self.links.values() for link in links}
        workflows = {one.name for one in blueprint.workflows}
        for queue in sorted(self.steps, key=lambda name: name in fed):  # a cycle has no beginning
            if queue not in reached:
                yield Entry(
                    kind="workflow" if queue in workflows else "queue",
                    names=(queue,),
                    first=self.steps[queue],
                )
                self._reach(self.steps[queue], reached)

    def _reach(self, first: Step, reached: set[str]) -> None:
        waiting = [first]
        while waiting:
            step = waiting.pop()
            if step.inbox is not None:
                reached.add(step.inbox)
            waiting += [
                self.steps[link.queue] for link in self.after(step) if link.queue not in reached
            ]
            reached.update(link.queue for link in self.after(step))


def causes(grant: Grant, source: Source) -> bool:
    """Whether the grant allows what makes the source put a message into its queue."""
    match source:
        case EventSource():
            return grant.kind == "event" and grant.resource == source.event
        case ObjectSource():
            actions = ("create", "write") if source.kind == "created" else ("delete", "write")
            return (
                grant.kind == "bucket"
                and grant.resource == source.bucket
                and grant.action in actions
            )
        case ChangeSource():
            return grant == Grant(kind="table", resource=source.table, action="write")
        case ScheduleSource():
            return False
        case _:
            assert_never(source)


def _consumed(blueprint: Blueprint, calls: Calls) -> Iterator[tuple[str, Step]]:
    queues = {queue.name: queue for queue in blueprint.queues}
    for workflow in blueprint.workflows:
        attempts, wait_s = calls.tried.get(("workflow", workflow.name), (1, 0.0))
        yield (
            workflow.name,
            Step(
                name=workflow.name,
                function=workflow.name,
                attempts=attempts,
                wait_s=wait_s,
                inbox=workflow.name,
                place=workflow.place,
            ),
        )
    for function in blueprint.functions:
        for trigger in function.triggers:
            if isinstance(trigger, TaskTrigger):
                attempts, wait_s = calls.tried.get(("function", function.name), (1, 0.0))
                yield (
                    trigger.queue,
                    Step(
                        name=trigger.queue,
                        function=function.name,
                        attempts=attempts,
                        reruns=_reruns(function),
                        wait_s=wait_s,
                        inbox=trigger.queue,
                        task=True,
                        place=function.place,
                    ),
                )
            if isinstance(trigger, QueueTrigger) and trigger.queue in queues:
                queue = queues[trigger.queue]
                yield (
                    queue.name,
                    Step(
                        name=queue.name,
                        function=function.name,
                        attempts=queue.max_attempts,
                        reruns=_reruns(function),
                        wait_s=_wait_s(queue),
                        inbox=queue.name,
                        blocks=queue.on_failure == "block",
                        place=function.place,
                    ),
                )


def _wait_s(queue: QueueSpec) -> float:
    """Return the waits between all attempts; what outlives its retention is not tried again."""
    wait_s, total_s = queue.retry_base_s, 0.0
    for _ in range(queue.max_attempts - 1):
        total_s += min(wait_s, queue.retry_max_s)
        if total_s >= queue.retention_s:
            return float(queue.retention_s)
        wait_s = min(2 * wait_s, queue.retry_max_s)
    return total_s


def _reruns(function: FunctionSpec) -> int:
    """Return how often one attempt may run again: only who has read a table can lose a conflict."""
    reads = any(grant.kind == "table" and grant.action == "read" for grant in function.grants)
    changes = any(grant.action != "read" for grant in function.grants)
    return limits.CONFLICT_RERUNS if reads and (changes or function.reads == "checked") else 0
