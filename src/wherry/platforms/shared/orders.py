"""What handlers ask of executions: to start one, to stop or redrive one, to end a task of one.

Each is checked with the conditions of its commit, and becomes a message to the workflow's queue.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from wherry import limits
from wherry.codec import from_json, to_json
from wherry.effects import EndTask, RedriveExecution, SendMessage, StartExecution, StopExecution
from wherry.platforms.shared.declared import Declared
from wherry.platforms.shared.origins import Origin, Standing
from wherry.platforms.shared.plans import Order, Plan, Wanted
from wherry.platforms.shared.steps import STATUSES, Steps
from wherry.ports import Happened, Rejected, Unmet

RUNNING, SUCCEEDED = STATUSES.index("RUNNING"), STATUSES.index("SUCCEEDED")
_NOT_FAILED = {RUNNING: "running", SUCCEEDED: "succeeded"}


class Orders:
    """Starts, stops, redrives, and ends of tasks that wait for their token."""

    def __init__(self, catalog: Declared, steps: Steps) -> None:
        self._catalog = catalog
        self._steps = steps

    # -- checking ----------------------------------------------------------------------------

    def check(self, plan: Plan) -> Unmet | Rejected | None:
        """Find what each is on; return what does not hold."""
        for wanted in plan.orders:
            effect = wanted.effect
            match effect:
                case StartExecution():
                    if effect.workflow not in self._catalog.workflows:
                        return Rejected(f"There is no workflow {effect.workflow!r}.")
                    found = self._steps.named(effect.workflow, effect.name)
                    step = wanted.origin is not None
                    if found is not None:
                        why = self._other(found, effect, step)
                        if why:
                            return _unmet(effect, effect.name, why)
                case StopExecution() | RedriveExecution():
                    found = self._steps.named(effect.workflow, effect.name)
                    if found is None:
                        return _unmet(effect, effect.name, "absent")
                    why = ""
                    if isinstance(effect, RedriveExecution):
                        why = _not_redrivable(found, self._steps.now_ms())
                    if why:
                        return _unmet(effect, effect.name, why)
                case EndTask():
                    found = self._waiting(effect)
                    if found is None:
                        return _unmet(effect, "token", "")
                    if self._steps.workflow_of(found) != effect.workflow:
                        return _unmet(effect, "token", "foreign")
                case _:
                    assert_never(effect)
            wanted.found = found
        return None

    def _other(self, found: Standing, effect: StartExecution, step: bool) -> str:
        """Return why an execution is not the one that is to be started; "" where it is.

        It is where it began with this input (in whatever order its keys are). A step of another
        execution (`step`) gets AWS's answer: one that has ended is not the same.
        """
        input = self._steps.input_of(found.id)
        if (found.parent, found.parent_call) != (effect.parent, effect.parent_call):
            return "nested"
        if step and found.status != RUNNING:
            return "ended"
        same = input is not None and (
            input == effect.input or from_json(input) == from_json(effect.input)
        )
        return "" if same else "input"

    def _waiting(self, effect: EndTask) -> Standing | None:
        number = self._steps.waiting_for(effect.token)
        found = None if number is None else self._steps.find(number)
        return None if found is None or found.status != RUNNING else found

    # -- applying ----------------------------------------------------------------------------

    def apply(self, plan: Plan, record: Origin) -> None:
        """Write what was checked; what is to be sent is added to the plan."""
        for wanted in plan.orders:
            self._apply(wanted, wanted.origin or record, plan)

    def _apply(self, wanted: Wanted, origin: Origin, plan: Plan) -> None:
        effect, found = wanted.effect, wanted.found
        if isinstance(effect, StartExecution):
            if found is None:
                self._start(effect, origin, plan)
            return
        assert found is not None
        match effect:
            case StopExecution():
                if found.status != RUNNING:
                    return
                happened = Happened(found.id, "stop", error=effect.error, cause=effect.cause)
            case RedriveExecution():
                happened = Happened(found.id, "redrive")
            case EndTask():
                happened = _ended(found.id, effect)
                if effect.kind != "heartbeat":  # it ends once
                    self._steps.put("token_delete", effect.token)
            case _:
                assert_never(effect)
        queue = self._catalog.queue(effect.workflow)
        assert queue is not None
        message = SendMessage(effect.workflow, effect.id, to_json(happened))
        plan.send(message, queue, found.thread)

    def _start(self, effect: StartExecution, origin: Origin, plan: Plan) -> None:
        name, steps = effect.name, self._steps
        workflow, first = self._catalog.workflows[effect.workflow], plan.firsts.get(effect.id)
        definition = steps.define(workflow)
        old = steps.bearer(effect.workflow, name)
        if old is not None:  # it was kept for its time, and waits for the sweep
            steps.put("execution_unlist", old)
        steps.begin(
            effect.workflow, name, definition, effect.input, origin, effect.id, plan,
            parent=effect.parent, call=effect.parent_call,
            first=first.step if first and first.definition == workflow.digest else None,
        )  # fmt: skip


def _not_redrivable(found: Standing, now_ms: int) -> str:
    """Return why an execution cannot be redriven, by `statemachine.redriving`'s rules; "": it can.

    Its history lies in the store; what ends it there would only show when it has been redriven.
    """
    if found.status in _NOT_FAILED:
        return _NOT_FAILED[found.status]
    if found.events >= limits.STATE_EVENTS - 1:
        return "full"
    if now_ms - found.started_ms >= 1000 * limits.STATE_STANDARD_S:
        return "old"
    late = now_ms - (found.ended_ms or now_ms) > 1000 * limits.STATE_REDRIVE_S
    return "late" if late else ""


def _ended(execution: int, effect: EndTask) -> Happened:
    match effect.kind:
        case "succeeded":
            output = msgspec.Raw(effect.output)
            return Happened(execution, "token_succeeded", token=effect.token, output=output)
        case "failed":
            why = (effect.error, effect.cause)
            return Happened(
                execution, "token_failed", token=effect.token, error=why[0], cause=why[1]
            )
        case _:
            return Happened(execution, "heartbeat", token=effect.token)


def _unmet(effect: Order, key: str, why: str) -> Unmet:
    return Unmet(f"workflow {effect.workflow}", key, why)
