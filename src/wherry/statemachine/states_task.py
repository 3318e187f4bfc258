"""Task: a call, its answer or its token, and the times within which they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wherry import limits
from wherry.statemachine import faults
from wherry.statemachine.faults import StatesError
from wherry.statemachine.functions import uuid4
from wherry.statemachine.history import WHOLE, error_details
from wherry.statemachine.jsonata import compile_query
from wherry.statemachine.quantities import Quantity
from wherry.statemachine.records import Call, Frame, Submitted
from wherry.statemachine.resources import Resource
from wherry.statemachine.states import Compiling, State
from wherry.statemachine.templates import compile_template

if TYPE_CHECKING:
    from wherry.statemachine.stepping import Walk


class TaskState(State):
    """Scheduled, started, and ended by an answer, a token, an error or a timeout."""

    kind = "Task"
    retriable = True

    def __init__(
        self, name: str, fields: dict[str, Any], jsonata: bool, compiling: Compiling
    ) -> None:
        super().__init__(name, fields, jsonata, compiling)
        self.resource = Resource(fields["Resource"])
        family = self.resource.family
        self._about = self.resource.named({}) or None  # what its events without a text say
        self._sized = self.resource.service if family == "Task" else self.resource.text
        self._timeout = Quantity(fields, "TimeoutSeconds", jsonata)
        self._heartbeat = Quantity(fields, "HeartbeatSeconds", jsonata)
        self._credentials: Any = None
        if "Credentials" in fields:
            value = fields["Credentials"]
            if jsonata:
                query = compile_query(value, "Credentials")
                self._credentials = lambda scope, raw: query.evaluate(scope, {"input": raw})
            else:
                self._credentials = compile_template(value)
        computed = self._credentials is not None or self._timeout.computed
        self._plain = self.flow.plain and not (computed or self._heartbeat.computed)

    def attempt(self, walk: Walk, frame: Frame) -> None:
        if self.resource.waits_for_token:
            frame.token = _new_token(walk)
        arguments, credentials = frame.input, None
        timeout_s, heartbeat_s = self._timeout.literal, self._heartbeat.literal
        if not self._plain:
            scope = walk.scope(frame)
            effective = self.flow.effective(scope, frame.input)
            arguments = self.flow.arguments(scope, frame.input, effective)
            if self._credentials is not None:
                credentials = self._credentials(scope, effective)
            timeout_s = self._timeout.read(scope, frame.input, effective)
            heartbeat_s = self._heartbeat.read(scope, frame.input, effective)
        call = Call(
            id=walk.next_call(),
            kind="task",
            state=self.name,
            resource=self.resource.text,
            arguments=arguments,
            attempt=frame.retries + 1,
            token=frame.token,
            credentials=credentials,
            timeout_s=timeout_s,
            heartbeat_s=heartbeat_s,
        )
        self._scheduled(walk, frame, call)
        frame.call = call.id
        frame.phase = "task" if self.resource.family == "Activity" else "started"
        walk.open_call(frame, call)
        if frame.phase == "started" and walk.queue:
            walk.queue.append(frame.id)  # others go first
        elif frame.phase == "started":
            self.started(walk, frame)

    def _scheduled(self, walk: Walk, frame: Frame, call: Call) -> None:
        text = walk.bounded(call.arguments, self._sized)
        details: dict[str, Any]
        if self.resource.family == "Task":
            details = self.resource.named(
                {"region": walk.run.arn.split(":")[3], "parameters": text}
            )
        else:
            details = {"resource": self.resource.text, "input": text, "inputDetails": WHOLE}
        if call.timeout_s is not None:
            details["timeoutInSeconds"] = call.timeout_s
        if call.heartbeat_s is not None and self.resource.family != "LambdaFunction":
            details["heartbeatInSeconds"] = call.heartbeat_s
        if call.credentials is not None and isinstance(call.credentials, dict):
            details["taskCredentials"] = {"roleArn": call.credentials.get("RoleArn")}
        walk.note(frame, f"{self.resource.family}Scheduled", details)
        frame.timeout_s, frame.beat_s = call.timeout_s, call.heartbeat_s

    def started(self, walk: Walk, frame: Frame) -> None:
        self._start(walk, frame, self._about)

    def taken(self, walk: Walk, frame: Frame, worker: str) -> None:
        """A worker took an activity's task: its times begin."""
        self._start(walk, frame, {"workerName": worker} if worker else {})

    def _start(self, walk: Walk, frame: Frame, details: dict[str, Any] | None) -> None:
        walk.note(frame, f"{self.resource.family}Started", details)
        frame.phase = "task"
        if frame.timeout_s is not None:
            frame.timeout_ms = walk.now_ms + 1000 * frame.timeout_s
        if frame.beat_s is not None:
            frame.beat_ms = walk.now_ms + 1000 * frame.beat_s

    def due(self, walk: Walk, frame: Frame) -> None:
        beat = frame.beat_ms is not None and (
            frame.timeout_ms is None or frame.beat_ms < frame.timeout_ms
        )
        details = self.resource.named({"error": faults.TIMEOUT})
        walk.note(frame, f"{self.resource.family}TimedOut", details)
        raise StatesError(faults.TIMEOUT, None, also=faults.HEARTBEAT_TIMEOUT if beat else "")

    def submitted(self, walk: Walk, frame: Frame, event: Submitted) -> None:
        self._submitted(walk, frame, event.output)

    def _submitted(self, walk: Walk, frame: Frame, output: Any) -> None:
        text = walk.bounded(output, self._sized, terminal=False)
        details = self.resource.named({"output": text, "outputDetails": WHOLE})
        walk.note(frame, "TaskSubmitted", details)
        frame.submitted = True

    def answered(self, walk: Walk, frame: Frame, call: int, output: Any) -> None:
        if frame.token is not None:
            walk.run.calls.pop(call, None)
            frame.call = None
            if self.resource.family == "Task":
                self._submitted(walk, frame, output)
            return
        self.succeeded(walk, frame, output)

    def succeeded(self, walk: Walk, frame: Frame, output: Any) -> None:
        """The task has its result."""
        try:
            text = walk.bounded(output, self._sized, terminal=False)
        except StatesError as error:
            self.refused(walk, frame, 0, error)
            return
        details = self.resource.named({"output": text, "outputDetails": WHOLE})
        walk.note(frame, f"{self.resource.family}Succeeded", details)
        walk.close_call(frame)
        self.finish(walk, frame, output)

    def refused(self, walk: Walk, frame: Frame, call: int, error: StatesError) -> None:
        details = self.resource.named(error_details(error.error, error.cause))
        unsubmitted = bool(self.resource.pattern) and not frame.submitted
        kind = "Submit" if unsubmitted else ""
        walk.note(frame, f"{self.resource.family}{kind}Failed", details)
        raise error

    def beat(self, walk: Walk, frame: Frame) -> None:
        """A worker says that it is alive."""
        if frame.beat_s is not None:
            frame.beat_ms = walk.now_ms + 1000 * frame.beat_s


def task_error(error: str | None, cause: str | None) -> StatesError:
    """Return what a call, or SendTaskFailure, said as an error."""
    return StatesError(
        None if error is None else error[: limits.STATE_ERROR_LENGTH],
        None if cause is None else cause[: limits.STATE_CAUSE_LENGTH],
        final=True,
    )


def _new_token(walk: Walk) -> str:
    return uuid4(walk.draw)
