"""How turns end that move nothing, or have moved an execution to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wherry.engine.settling import record_of
from wherry.engine.workflows.step import told
from wherry.errors import Passing

if TYPE_CHECKING:
    from wherry.engine.dispatch import Dispatcher
    from wherry.engine.feeds import Feeds
    from wherry.engine.journal import Journal
    from wherry.engine.work import Work
    from wherry.engine.workflows.held import Loaded
    from wherry.engine.workflows.turns import Turn

FAULT = "workflow_fault"  # the code of what went wrong here, not in the workflow
FAULTS = 5  # attempts of a message that meets with one


class Endings:
    """Ends turns for the driver: their messages go, come again, or are a person's to look at."""

    def __init__(self, dispatcher: Dispatcher, feeds: Feeds, journal: Journal) -> None:
        self._dispatcher = dispatcher
        self._feeds = feeds
        self._journal = journal

    def done(self, turns: list[Turn]) -> None:
        """These are in the store."""
        for turn in turns:
            if turn.happened is None:
                self._journal.line(turn.work, turn.ending, None)
            self._dispatcher.finish(turn.work, None)

    def lost(self, turns: list[Turn]) -> None:
        """The messages are no longer ours."""
        for turn in turns:
            self._journal.note(record_of(turn.work, "duplicate", error="the lease was lost"))
            self._dispatcher.finish(turn.work, None)

    def give_back(self, turns: list[Turn], error: str) -> None:
        """The store is in trouble: these come again, with no attempt counted but that of a task."""
        for turn in turns:
            work = turn.work
            record = record_of(work, "failed", error=error)
            counted = work.task is not None and work.unwritable
            if not self._feeds.failed(work, Passing.code, error, True, counted, record):
                self._journal.note(record)
            self._dispatcher.finish(work, None)

    def give_up(self, work: Work, error: str, retry: bool = True, code: str = FAULT) -> None:
        """Something is wrong here: the message is tried again, and ends in the inbox."""
        retry = retry and work.attempt < FAULTS
        record = record_of(work, "failed", error=error)
        self._journal.say("ERROR", error, function_name=work.function.spec.name, code=code)
        if not self._feeds.failed(work, code, error, retry, True, record):
            self._journal.note(record)
        self._dispatcher.finish(work, None)

    def tell(self, loaded: Loaded) -> None:
        """Say in the log that an execution has failed."""
        run = loaded.run
        if run.status in ("FAILED", "TIMED_OUT") and loaded.parent is None:
            self._journal.say(
                "ERROR",
                f"the execution {loaded.name!r} of {loaded.workflow!r} has failed: {told(run)}",
                function_name=loaded.workflow,
                correlation_id=loaded.correlation_id,
                execution=loaded.name,
                status=run.status,
            )
