"""Executions as text: a list, one of them, a history."""

from __future__ import annotations

from typing import Any

import msgspec

from wherry.observe.executions import DATA_CHARS, execution_text, executions_text, history_text
from wherry.ports import ExecutionRow, ExecutionRows
from wherry.statemachine.records import HistoryEvent

NOW_MS = 1_795_265_000_000
TRACE = ["Traceback (most recent call last):\n", '  File "shop.py", line 7\n', "Busy: later\n"]


def row(**fields: Any) -> ExecutionRow:
    values: dict[str, Any] = {
        "id": 7,
        "workflow": "refund",
        "name": "o-1",
        "status": "RUNNING",
        "started_ms": NOW_MS - 90_000,
        "ended_ms": None,
        "input": b'{"cents":5}',
        "output": None,
        "error": None,
        "cause": None,
        "events": 4,
        "correlation_id": "c-1",
        "definition": "d",
        "states": ["Charge back"],
    }
    return ExecutionRow(**(values | fields))


def failed(cause: str) -> ExecutionRow:
    ended = {"status": "FAILED", "ended_ms": NOW_MS - 30_000, "states": []}
    return row(error="Busy", cause=cause, **ended)


def test_a_list_says_where_each_run_is() -> None:
    """A run that goes on by its states, one that failed by its error."""
    cause = msgspec.json.encode({"errorMessage": "later", "stackTrace": TRACE}).decode()
    listed = executions_text(ExecutionRows([row(), failed(cause)], 7), NOW_MS)
    first, second = listed.splitlines()[1:3]
    assert "Charge back" in first
    assert "1 min 30 s ago" in first
    assert second.endswith("Busy: later")
    assert "--after 7" in listed
    assert executions_text(ExecutionRows([], None), NOW_MS) == "There are no such runs."


def test_one_run_has_its_input_and_its_end() -> None:
    """What it got, what it gave, how long it took."""
    ended = row(status="SUCCEEDED", ended_ms=NOW_MS, output=b"[1]", states=[], redrives=2)
    shown = execution_text(ended, NOW_MS)
    assert '  "cents": 5' in shown
    assert "after 1 min 30 s" in shown
    assert "redriven    2 times" in shown
    assert "output (3 bytes)" in shown
    assert "  t-1  Ask" in execution_text(row(), NOW_MS, waiting={"t-1": "Ask"})


def test_a_functions_failure_is_its_message_and_its_trace() -> None:
    """The cause of a function is JSON on AWS; people read the lines in it."""
    cause = msgspec.json.encode({"errorMessage": "later", "stackTrace": TRACE}).decode()
    shown = execution_text(failed(cause), NOW_MS)
    assert '  later\n  Traceback (most recent call last):\n    File "shop.py", line 7' in shown
    assert "errorMessage" not in shown
    assert "  it rains" in execution_text(failed("it rains"), NOW_MS)


def test_data_of_an_event_is_cut_and_cannot_command_a_terminal() -> None:
    """A line stays a line, whatever a function returned."""
    event = HistoryEvent(1, 0, "ExecutionStarted", NOW_MS, {"input": "\x1b[2J" + "x" * 1_000})
    line = history_text([event]).splitlines()[-1]
    assert "\x1b" not in line
    assert len(line) < DATA_CHARS + 40
    assert history_text([]) == "Nothing has happened yet."
