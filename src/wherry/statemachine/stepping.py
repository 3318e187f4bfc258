"""One call of `advance`: frames take their turns until all of them wait.

A frame is copied before it is first changed, so that the run that was passed in stays as it was.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from wherry import limits
from wherry.statemachine import faults
from wherry.statemachine.context import StateScope
from wherry.statemachine.faults import StatesError, too_large
from wherry.statemachine.functions import Draw
from wherry.statemachine.history import WHOLE, error_details
from wherry.statemachine.records import (
    Call,
    Commands,
    Frame,
    HistoryEvent,
    Run,
    Status,
)
from wherry.statemachine.text import size_bytes, to_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.statemachine.machine import Machine
    from wherry.statemachine.states import State

_SURELY_WITHIN = limits.STATE_DATA_BYTES // 4  # characters, of up to four bytes
_MOST_EVENTS = limits.STATE_EVENTS - 1  # and one with which it ends
_FULL = f"The execution reached the maximum number of history events ({limits.STATE_EVENTS})."


class HistoryFull(Exception):
    """The next event would be the last one that a history may have."""


class Walk:
    """A run on its way."""

    def __init__(
        self, machine: Machine, run: Run, now_ms: int, draw: Draw, reuse: bool = False
    ) -> None:
        self.machine = machine
        self.run = run = run if reuse else _copied(run)
        self.now_ms = now_ms
        self.draw = draw
        self.commands = Commands()
        self.queue = deque(run.ready)
        run.ready = []
        self._texts: dict[int, tuple[str, Any]] = {}  # with the value, so that its id stays its own
        self._before: tuple[dict[int, Frame], dict[str, Any]] | None = None
        self._bounded = run.type == "STANDARD"

    # --- frames -------------------------------------------------------------------------------

    def touch(self, number: int) -> Frame:
        """Return a frame that may be changed."""
        frame = self.run.frames[number]
        if number not in self.commands.frames:
            self.commands.frames.add(number)
            frame = self.run.frames[number] = replace(frame)
            if frame.join is not None:
                frame.join = replace(frame.join)
        return frame

    def add_frame(
        self, block: int, entry: Any, parent: Frame | None = None, slot: int = 0
    ) -> Frame:
        """Make a frame that enters a block's first state."""
        number = self.run.next_frame
        self.run.next_frame += 1
        frame = Frame(
            id=number,
            block=block,
            state=self.machine.blocks[block].start_at,
            input=entry,
            parent=None if parent is None else parent.id,
            slot=slot,
        )
        self.run.frames[number] = frame
        self.commands.frames.add(number)
        return frame

    def remove(self, frame: Frame) -> None:
        """Forget a frame, and stop what it waits for."""
        self.close_call(frame, stop=True)
        self.run.variables_bytes -= sum(frame.sizes.values())
        del self.run.frames[frame.id]
        self.commands.frames.add(frame.id)

    def state_of(self, frame: Frame) -> State:
        """Return the state that a frame is in."""
        return self.machine.blocks[frame.block].states[frame.state]

    def scope(self, frame: Frame) -> StateScope:
        """Return what the frame's expressions see."""
        return StateScope(self, frame, with_retries=self.state_of(frame).retriable)

    def put_cell(self, name: str, value: Any) -> None:
        """Keep something large beside the frames."""
        self.run.cells[name] = value
        self.commands.cells.add(name)

    def take_cell(self, name: str) -> Any:
        """Return something that was kept, and forget it."""
        self.commands.cells.add(name)
        return self.run.cells.pop(name)

    # --- texts and events ---------------------------------------------------------------------

    def text(self, value: Any) -> str:
        """Return a value as JSON; a value met again is not written again."""
        known = self._texts.get(id(value))
        if known is None:
            known = self._texts[id(value)] = to_text(value), value
        return known[0]

    def bounded(self, value: Any, what: str, terminal: bool = True) -> str:
        """Return a value as JSON.

        Raises:
            StatesError: It is larger than 256 KiB; `what` names what returned it.
        """
        text = self.text(value)
        if len(text) > _SURELY_WITHIN and size_bytes(text) > limits.STATE_DATA_BYTES:
            raise too_large(what, terminal)
        return text

    def record(
        self, kind: str, previous: int, details: dict[str, Any] | None = None, last: bool = False
    ) -> int:
        """Add an event to the history; return its number. There is always room for the last."""
        run = self.run
        if run.events >= _MOST_EVENTS and self._bounded and not last:
            raise HistoryFull
        number = run.events = run.events + 1
        event = HistoryEvent(number, previous, kind, self.now_ms, details)
        self.commands.history.append(event)
        return number

    def note(self, frame: Frame, kind: str, details: dict[str, Any] | None = None) -> None:
        """Add an event that follows the frame's last one."""
        frame.last = self.record(kind, frame.last, details)

    # --- calls --------------------------------------------------------------------------------

    def next_call(self) -> int:
        """Return the number of a new call."""
        self.run.next_call += 1
        return self.run.next_call

    def open_call(self, frame: Frame, call: Call) -> None:
        """Ask for a call, whose answer comes to the frame."""
        self.run.calls[call.id] = frame.id
        if call.token is not None:
            self.run.tokens[call.token] = frame.id
        self.commands.calls.append(call)

    def close_call(self, frame: Frame, stop: bool = False) -> None:
        """Expect no answer any more; `stop` also ends what still runs."""
        if frame.call is not None:
            if self.run.calls.pop(frame.call, None) is not None and stop:
                self.commands.stopped.append(frame.call)
            frame.call = None
        if frame.token is not None:
            self.run.tokens.pop(frame.token, None)
            frame.token = None
        frame.submitted = False
        if frame.join is not None and stop:
            mine = [call for call, owner in self.run.calls.items() if owner == frame.id]
            for call in mine:
                del self.run.calls[call]
            self.commands.stopped += mine
        frame.timeout_s = frame.timeout_ms = frame.beat_s = frame.beat_ms = None

    # --- the walk -----------------------------------------------------------------------------

    def drain(self) -> None:
        """Let frames take their turns, each one state at a time, in the order they got ready."""
        run, queue = self.run, self.queue
        for _ in range(limits.STATE_STEPS):
            if not queue or run.status != "RUNNING":
                return
            number = queue.popleft()
            if number in run.frames:
                self._turn(self.touch(number))
        run.ready = list(queue)  # nothing where it has ended

    def _turn(self, frame: Frame) -> None:
        state, phase = self.state_of(frame), frame.phase
        if phase == "enter":
            self.guarded(frame, state.enter)
        elif phase == "started":
            self.guarded(frame, state.started)
        else:
            self.guarded(frame, state.attempt)

    def guarded(self, frame: Frame, step: Callable[..., None], *about: Any) -> None:
        """Do a step of a frame: `step(walk, frame, *about)`; an error makes its state fail."""
        try:
            try:
                step(self, frame, *about)
            except StatesError as error:
                self.fail(frame, error)
            except RecursionError:
                self.fail(frame, faults.runtime("The data is nested too deeply."))
        except HistoryFull:
            self.end_failed(StatesError(faults.RUNTIME, _FULL, final=True), frame.last)

    def ended(self, frame: Frame, output: Any) -> None:
        """A frame has come to the end of its block."""
        if frame.parent is not None:
            parent = self.touch(frame.parent)
            self.guarded(parent, self.state_of(parent).branch_done, frame, output)
            return
        details = {"output": self.text(output), "outputDetails": WHOLE}
        self.record("ExecutionSucceeded", frame.last, details, last=True)
        self.run.output = output
        self._close("SUCCEEDED")

    # --- failure ------------------------------------------------------------------------------

    def fail(self, frame: Frame, error: StatesError) -> None:
        """A state fails: it is retried, caught, or its block fails with it."""
        state = self.state_of(frame)
        self.close_call(frame, stop=True)
        if frame.join is not None:
            self._hold()
            self.cut(frame, frame.last)
        frame.due_ms = None
        error = error.within(state.name, frame.entered)
        self._evaluation_failed(frame, error)
        if error.is_runtime:
            self.end_failed(error, frame.last)
            return
        for number, retrier in enumerate(state.retriers):
            if state.may_retry(error, retrier):
                if frame.retried[number] < retrier.attempts:
                    self._retry(frame, number)
                    return
                break
        state.failed(self, frame)
        catcher = state.catcher_of(error)
        if catcher is not None:
            try:
                output, assigned = state.caught(self.scope(frame), frame.input, catcher, error)
                state.leave(self, frame, output, assigned, catcher.next)
                self._before = None
                return
            except StatesError as second:
                error = second.within(state.name, frame.entered)
                self._evaluation_failed(frame, error)
                if error.is_runtime:
                    self.end_failed(error, frame.last)
                    return
                state.failed(self, frame)
        self._fail_block(frame, error)

    def _evaluation_failed(self, frame: Frame, error: StatesError) -> None:
        if not error.location:
            return
        details = {
            **error_details(error.error, error.cause),
            "location": error.location,
            "state": frame.state,
        }
        self.note(frame, "EvaluationFailed", details)
        error.location = ""

    def _retry(self, frame: Frame, number: int) -> None:
        retrier = self.state_of(frame).retriers[number]
        delay_ms = retrier.delay_ms(frame.retried[number], self.draw)
        frame.retried = [n + (at == number) for at, n in enumerate(frame.retried)]
        frame.retries += 1
        frame.join = self._before = None
        frame.phase = "retry"
        if delay_ms == 0:
            self.queue.append(frame.id)
        else:
            frame.due_ms = self.now_ms + delay_ms

    def _fail_block(self, frame: Frame, error: StatesError) -> None:
        if frame.parent is None:
            self.end_failed(error, frame.last)
            return
        self._hold()
        parent = self.touch(frame.parent)
        self.state_of(parent).branch_failed(self, parent, frame, error)

    def _hold(self) -> None:
        """Remember how all stood before branches are ended: a redrive goes on from there."""
        if self._before is None and self._bounded:
            self._before = dict(self.run.frames), dict(self.run.cells)

    def cut(self, parent: Frame, previous: int) -> None:
        """End the branches of a frame; each state that was on its way leaves an event."""
        for child in [one for one in self.run.frames.values() if one.parent == parent.id]:
            self.state_of(parent).branch_cut(self, child, previous)
            self.cut(child, previous)
            self.record(f"{self.state_of(child).kind}StateAborted", previous)
            self.remove(self.touch(child.id))
        for cell in [name for name in self.run.cells if name.startswith(f"{parent.id}.")]:
            self.take_cell(cell)

    # --- the end ------------------------------------------------------------------------------

    def end_failed(self, error: StatesError, previous: int) -> None:
        """End the run with an error."""
        details = error_details(error.error, error.cause)
        self.record("ExecutionFailed", previous, details, last=True)
        self.run.error, self.run.cause = error.error, error.cause
        self._close("FAILED")

    def end_timed_out(self) -> None:
        """End the run that took longer than it may."""
        self.record("ExecutionTimedOut", 0, {"error": faults.TIMEOUT}, last=True)
        self._close("TIMED_OUT")

    def end_aborted(self, error: str | None, cause: str | None) -> None:
        """End the run because somebody said so."""
        self.record("ExecutionAborted", 0, error_details(error, cause), last=True)
        self.run.error, self.run.cause = error, cause
        self._close("ABORTED")

    def _close(self, status: Status) -> None:
        run, commands = self.run, self.commands
        run.status = status
        run.ended_ms = self.now_ms
        run.deadline_ms = None
        commands.stopped += list(run.calls)
        commands.finished = True
        if status == "SUCCEEDED" or not self._bounded:
            commands.frames |= set(run.frames)
            commands.cells |= set(run.cells)
            run.frames, run.cells = {}, {}
        elif self._before is not None:
            run.frames, run.cells = self._before
        run.calls, run.tokens, run.ready = {}, {}, []
        self.queue.clear()


def _copied(run: Run) -> Run:
    frames, cells = dict(run.frames), dict(run.cells)
    return replace(run, frames=frames, cells=cells, calls=dict(run.calls), tokens=dict(run.tokens))
