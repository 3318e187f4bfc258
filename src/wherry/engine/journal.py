"""The journal: records of invocations for the store, and log lines for files and the terminal.

Both leave in batches, a few times a second, so that a request does not pay for them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from wherry import limits
from wherry.handles.logs import finish, hide
from wherry.invocation import ANSWERED
from wherry.platforms.socket import PRINTED_BY
from wherry.ports import Note

if TYPE_CHECKING:
    from wherry.engine.environments import Environment
    from wherry.engine.store import Store
    from wherry.engine.work import Work
    from wherry.errors import Problem
    from wherry.invocation import Failure, Reply
    from wherry.telemetry import Ending, InvocationRecord
    from wherry.world import Clock, Loop

FLUSH_S = 0.05
NOTES_AT_ONCE = 256
PRINTED_LINES = 200  # of one piece of output that become a record each
# Written by hand, because every event has one. A caller's correlation ID is checked at the edge:
# none of the texts needs escaping but the key of an object or an item, in what triggered a run.
_LINE = (
    '{"level":"%s","timestamp":"%s","message":"%s","service":"%s","function_name":"%s",'
    '"correlation_id":"%s","function_request_id":"%s","status":%d,"ending":"%s",'
    '"waited_ms":%.2f,"ran_ms":%.2f,"committed_ms":%.2f,"attempt":%d}\n'
)
_AS_MEANT = frozenset(("ok", "duplicate", "refused"))
SHOWN = limits.LOG_LINE_BYTES // 2  # of a printed line, in bytes


class Journal:
    """Collects what is to be remembered and said.

    Args:
        write: Takes whole lines (bytes) in batches: to a file, to the terminal.
        access: Whether each request and attempt gets a line of its own.
    """

    def __init__(
        self,
        loop: Loop,
        clock: Clock,
        store: Store,
        service: str,
        write: Callable[[bytes], Any],
        access: bool = True,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._store = store
        self.service = service
        self._write = write
        self._access = access
        self._notes: list[InvocationRecord] = []
        self._lines: list[bytes] = []
        self._scheduled = False
        self._refusals = 0  # within a second

    # -- records ---------------------------------------------------------------------------------

    def note(self, record: InvocationRecord) -> None:
        """Remember an invocation that committed nothing."""
        self._notes.append(record)
        if len(self._notes) >= NOTES_AT_ONCE:
            self._send_notes()
        self._schedule()

    def _send_notes(self) -> None:
        notes, self._notes = self._notes, []
        if notes:
            self._store.send("", Note(notes), lambda answer: None)

    # -- lines -----------------------------------------------------------------------------------

    def line(self, work: Work, ending: Ending, reply: Reply | None) -> None:
        """Write the line of an attempt."""
        if not self._access:
            return
        now_s = self._clock.steady_s()
        committed_ms = (now_s - work.ran_from_s) * 1000 - work.ran_ms
        trigger = work.trigger
        if '"' in trigger or "\\" in trigger:
            trigger = trigger.replace("\\", "\\\\").replace('"', '\\"')
        line = _LINE % (
            "INFO" if ending in _AS_MEANT else "WARNING",
            stamp(work.wall_ms(now_s)),
            trigger,
            self.service,
            work.function.spec.name,
            work.correlation_id,
            work.request_id,
            reply.status if reply else 0,
            ending,
            (work.ran_from_s - work.at_s) * 1000,
            work.ran_ms,
            committed_ms if committed_ms > 0.0 else 0.0,
            work.attempt,
        )
        self._lines.append(line.encode())
        if not self._scheduled:
            self._schedule()

    def refused(self, asked: str, status: int, problem: Problem, correlation_id: str) -> None:
        """Write the line of a request that no function is called for; of a flood, the first ones.

        Args:
            asked: Method and path, without the query: that may hold what is secret.
        """
        if not self._access:
            return
        if not self._refusals:
            self._loop.call_later(1.0, self._count_refusals)
        self._refusals += 1
        if self._refusals > limits.REFUSALS_LOGGED:
            return
        why = {"reason": reason} if (reason := problem.extra.get("reason")) else {}
        self.say(
            "INFO" if status < 500 else "WARNING",
            asked,
            correlation_id=correlation_id,
            status=status,
            ending="refused",
            code=problem.code,
            **why,
        )

    def _count_refusals(self) -> None:
        more, self._refusals = self._refusals - limits.REFUSALS_LOGGED, 0
        if more > 0:
            self.say("WARNING", f"{more} more requests were refused within one second")

    def failed(self, work: Work, failure: Failure) -> None:
        """Write what the team needs to know of a failed run; its trace leaves nowhere else."""
        if failure.code == ANSWERED:
            return
        fields: dict[str, Any] = {
            "function_name": work.function.spec.name,
            "correlation_id": work.correlation_id,
            "function_request_id": work.request_id,
            "attempt": work.attempt,
            "code": failure.code,
        }
        if failure.trace:
            fields["exception"] = failure.trace
        self.say("ERROR", f"{failure.error}: {failure.message}", **fields)

    def say(self, level: str, message: str, **fields: Any) -> None:
        """Write a line of the engine's own."""
        record = {
            "level": level,
            "timestamp": stamp(self._clock.now_ms()),
            "message": message,
            "service": self.service,
            **fields,
        }
        self._lines.append(finish(record))
        self._schedule()

    def line_of_handler(self, line: bytes) -> None:
        """Write a line that a handler in this process has logged."""
        self._lines.append(line)
        self._schedule()

    def printed(self, environment: Environment, text: bytes) -> None:
        """An environment has printed: its log lines as they are, anything else wrapped."""
        plain, environment.unsigned = environment.unsigned, []
        for line in text.splitlines(keepends=True):
            if line.startswith(b'{"level":') and line.endswith(b"}\n"):
                self._lines.append(hide(line, encoded=True))
            elif line.startswith(PRINTED_BY):
                self._printed(environment, plain, _whose(line))
                plain = []
            else:
                plain.append(line)
        work, mailbox = environment.work, environment.mailbox
        if mailbox is not None and mailbox.works and len(plain) < PRINTED_LINES:
            environment.unsigned = plain  # it may have gone on to the next run: it will say
        else:
            whose = {} if work is None else _run(work.request_id, work.correlation_id)
            self._printed(environment, plain, whose)
        self._schedule()

    def _printed(self, environment: Environment, lines: list[bytes], whose: dict[str, str]) -> None:
        text = hide(b"".join(lines))  # before it is cut: a secret may have several lines
        if len(lines) > PRINTED_LINES:  # a flood: few long records cost less than many short ones
            lines = [text[start : start + SHOWN] for start in range(0, len(text), SHOWN)]
        else:
            lines = [line for line in text.splitlines() if line.strip()]
        for line in lines:
            shown = line[:SHOWN].decode("utf-8", "replace")
            self.say("INFO", shown, printed=True, function_name=environment.function, **whose)

    # -- flushing --------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_later(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Send and write everything now."""
        self._scheduled = False
        self._send_notes()
        if self._lines:
            lines, self._lines = self._lines, []
            self._write(b"".join(lines))


def _run(request_id: str, correlation_id: str) -> dict[str, str]:
    return {"correlation_id": correlation_id, "function_request_id": request_id}


def _whose(line: bytes) -> dict[str, str]:
    try:
        found = msgspec.json.decode(line, type=dict[str, list[str]])
        request_id, correlation_id = found["printed_by"]
    except (ValueError, msgspec.MsgspecError):  # a handler has printed this itself
        return {}
    return _run(request_id, correlation_id)


_last_second: tuple[int, str] = (0, "")


def stamp(now_ms: int) -> str:
    """Return a time as RFC 3339 with milliseconds, UTC."""
    global _last_second
    second, rest_ms = divmod(now_ms, 1000)
    if _last_second[0] != second:
        from datetime import UTC, datetime

        shown = datetime.fromtimestamp(second, UTC).isoformat()[:19]
        _last_second = (second, shown)
    return f"{_last_second[1]}.{rest_ms:03d}Z"


class LogFiles:
    """Lines in files of bounded size: `app.jsonl`, then `app.jsonl.1` and so on, oldest dropped.

    Where somebody else moves or removes the newest one, what comes then is in a new one.
    """

    def __init__(self, folder: str) -> None:
        self._path = os.path.join(folder, "app.jsonl")
        self._fd = self._opened()

    def _opened(self) -> int:
        os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        return os.open(self._path, flags, 0o600)

    def _renew(self) -> None:
        old, self._fd = self._fd, self._opened()  # without a new one the old one goes on
        os.close(old)

    def write(self, lines: bytes) -> None:
        """Append lines. A full disk, or one that fails, loses them, and nothing else."""
        with suppress(OSError):
            if self._is_elsewhere():
                self._renew()
        with suppress(OSError):
            os.write(self._fd, lines)
        with suppress(OSError):
            if os.fstat(self._fd).st_size > limits.LOG_FILE_BYTES:
                self._rotate()

    def _is_elsewhere(self) -> bool:
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(self._fd))
        except FileNotFoundError:
            return True

    def _rotate(self) -> None:
        for number in range(limits.LOG_FILES - 1, 0, -1):
            older = self._path if number == 1 else f"{self._path}.{number - 1}"
            if os.path.exists(older):
                os.replace(older, f"{self._path}.{number}")
        self._renew()

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
