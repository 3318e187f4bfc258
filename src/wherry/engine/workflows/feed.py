"""Feeds of workflows: their messages go to the driver, their tasks to the functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wherry import limits
from wherry.engine.feed import Feed
from wherry.engine.settling import record_of
from wherry.engine.work import Task
from wherry.invocation import TaskEvent
from wherry.runtime.keys import message_key, task_key

if TYPE_CHECKING:
    from wherry.blueprint import QueueSpec
    from wherry.engine.feeds import Feeds
    from wherry.engine.releases import ActiveFunction
    from wherry.engine.work import Work
    from wherry.ports import Claimed


class _Body(msgspec.Struct):
    """`ports.TaskBody`, its payload left as it is."""

    execution: int
    call: int
    workflow: str
    name: str
    state: str
    payload: msgspec.Raw
    attempt: int = 1
    waits: bool = False
    entered: int = 0


_body = msgspec.json.Decoder(_Body)


class TaskFeed(Feed):
    """The queue of a function that workflows call."""

    @property
    def patient(self) -> bool:
        return False  # an execution goes on

    def take(self, message: Claimed) -> None:
        work = self.work_of(message)
        self.in_hand[message.id] = work
        if work.task is not None:
            self._feeds.dispatcher.submit(work)
            return
        self._feeds.dispatcher.open += 1
        error = "The message is no task of a workflow."
        self._feeds.failed(work, "no_task", error, False, True, record_of(work, "failed"))
        self._feeds.dispatcher.finish(work, None)

    def work_of(self, message: Claimed) -> Work:
        try:
            body = _body.decode(message.body)
        except (msgspec.DecodeError, RecursionError):
            return super().work_of(message)
        name = self.function.spec.name
        if body.entered:
            key = task_key(name, body.execution, body.entered)
        else:
            key = message_key(name, message.id)
        event = TaskEvent(self.endpoint, body.workflow, body.name, body.state, bytes(body.payload))
        work = self.work(message, event, f"workflow {body.workflow}", key)
        work.task = Task(body.execution, body.call, body.waits)
        return work


class WorkflowFeed(Feed):
    """The queue of a workflow: no function consumes it, but the engine itself."""

    @property
    def patient(self) -> bool:
        return False  # an execution goes on

    def __init__(self, feeds: Feeds, queue: QueueSpec, workflow: ActiveFunction) -> None:
        super().__init__(feeds, queue, workflow, "")
        self.trigger = f"workflow {queue.name}"

    def wanted(self) -> int:
        return limits.HAPPENINGS_HELD

    def take(self, message: Claimed) -> None:
        work = self.work_of(message)
        self.in_hand[message.id] = work
        self._feeds.dispatcher.open += 1
        self._feeds.dispatcher.driver.happened(work)

    def withdraw(self) -> list[Work]:
        found = self._feeds.dispatcher.driver.withdraw(self.queue.name)
        for work in found:
            self._feeds.dispatcher.forget(work)
        return found
