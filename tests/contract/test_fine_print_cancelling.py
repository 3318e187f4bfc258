"""The fine print: a message that waits is cancelled by an effect, with the commit."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.fine_print import Job, Shelf, Thing, on_every_platform

pytestmark = on_every_platform


class Reminders:
    """A queue whose messages are cancelled by a route."""

    def __init__(self) -> None:
        self.shelf = Shelf(max_attempts=2, retry_base_s=60, retry_max_s=60)
        self.other = self.shelf.app.queue(Thing, name="other")
        self.worked: list[str] = []
        self.how = ""
        shelf = self.shelf

        @shelf.app.consume(shelf.jobs)
        def work(job: Job) -> None:
            self.worked.append(job.name)
            if self.how == "broken":
                raise ValueError("no")

        @shelf.app.consume(self.other)
        def nothing(thing: Thing) -> None:
            pass

        @shelf.app.post("/send", grants=[shelf.jobs.send])
        def send(name: str, delay_s: float = 60) -> str:
            return shelf.jobs.send(Job(name), delay_s=delay_s)

        @shelf.app.post("/cancel", grants=[*shelf.all, shelf.jobs.send, self.other.send])
        def cancel(message: str, times: int = 1) -> None:
            shelf.things.get("x")
            for _ in range(times):
                (self.other if self.how == "other" else shelf.jobs).cancel(message)
            shelf.things.put(Thing("x"), if_absent=self.how == "condition")
            if self.how == "raise":
                raise ValueError("no")


def sent(backend: Any, name: str, delay_s: float = 60) -> str:
    id: str = backend.post("/send", query={"name": name, "delay_s": delay_s}).json()
    return id


def cancelled(backend: Any, message: str, times: int = 1) -> int:
    status: int = backend.post("/cancel", query={"message": message, "times": times}).status
    return status


def test_a_cancelled_message_never_runs_and_its_neighbours_do(run: Any) -> None:
    case = Reminders()
    with run(case.shelf.app) as backend:
        ids = [sent(backend, name) for name in "abc"]
        assert cancelled(backend, ids[1], times=3) == 204
        assert [job.name for job in backend.messages(case.shelf.jobs)] == ["a", "c"]
        assert cancelled(backend, ids[1]) == 204  # idempotent
        backend.drain()
        assert case.worked == ["a", "c"]
        assert backend.failures() == []


@pytest.mark.parametrize("how", ["raise", "condition", "died"])
def test_a_run_that_does_not_commit_cancels_nothing(run: Any, how: str) -> None:
    case = Reminders()
    with run(case.shelf.app) as backend:
        with backend.acting():
            case.shelf.things.put(Thing("x"))
        message = sent(backend, "a")
        case.how = how
        if how == "died":
            backend.crash_before_commit()
        assert cancelled(backend, message) >= 400
        backend.drain()
        assert case.worked == ["a"]


def test_a_rerun_and_a_lost_answer_cancel_it_as_well(run: Any) -> None:
    case = Reminders()
    with run(case.shelf.app) as backend:
        message = sent(backend, "a")
        backend.conflict_next(case.shelf.things, times=2)
        backend.crash_after_commit()
        assert cancelled(backend, message) == 204
        backend.drain()
        assert case.worked == []


def test_what_is_done_has_failed_or_never_was_stays_as_it_is(run: Any) -> None:
    case = Reminders()
    with run(case.shelf.app) as backend:
        done = sent(backend, "done")
        backend.drain()
        case.how = "broken"
        failed = sent(backend, "failed")
        backend.drain()
        for message in (done, failed, "no-such-message"):
            assert cancelled(backend, message) == 204
        assert [failure.id for failure in backend.failures()] == [failed]
        case.how = ""
        backend.redrive()
        backend.drain()
        assert case.worked == ["done", "failed", "failed", "failed"]


def test_a_message_between_two_attempts_is_cancelled(run: Any) -> None:
    case = Reminders()
    with run(case.shelf.app) as backend:
        case.how = "broken"
        message = sent(backend, "a", delay_s=0)
        backend.advance(1)
        assert case.worked == ["a"]
        assert cancelled(backend, message) == 204
        backend.drain()
        assert case.worked == ["a"]
        assert backend.failures() == []


def test_a_handler_that_cancels_its_own_message_is_done_with_it(run: Any) -> None:
    shelf, ids = Shelf(), list[str]()

    @shelf.app.consume(shelf.jobs, grants=[*shelf.all, shelf.jobs.send])
    def work(job: Job) -> None:
        shelf.jobs.cancel(ids[0])
        shelf.things.add(job.name, count=1)

    with run(shelf.app) as backend:
        with backend.acting():
            ids.append(shelf.jobs.send(Job("a")))
        backend.drain()
        assert [thing.count for thing in backend.items(shelf.things)] == [1]


def test_what_one_run_sends_and_cancels_is_not_sent(run: Any) -> None:
    shelf = Shelf()
    shelf.consume_nothing()

    @shelf.app.post("/go", grants=[shelf.jobs.send])
    def go() -> None:
        first, _ = shelf.jobs.send.many([Job("a"), Job("b")])
        shelf.jobs.cancel(first)
        shelf.jobs.cancel(first)

    with run(shelf.app) as backend:
        assert backend.post("/go").status == 204
        assert [job.name for job in backend.messages(shelf.jobs)] == ["b"]


def test_a_queue_cancels_only_its_own_messages(run: Any) -> None:
    case = Reminders()
    with run(case.shelf.app) as backend:
        message = sent(backend, "a")
        case.how = "other"
        assert cancelled(backend, message) == 204
        backend.drain()
        assert case.worked == ["a"]


def test_cancelling_needs_the_grant_to_send(run: Any) -> None:
    shelf = Shelf()
    shelf.consume_nothing()

    @shelf.app.post("/go")
    def go() -> None:
        shelf.jobs.cancel("any")

    with run(shelf.app) as backend:
        assert backend.post("/go").json()["code"] == "grant_missing"
        assert "Add jobs.send" in str(backend.logs)


@pytest.mark.parametrize("message", ["", "x" * 256])
def test_what_is_no_id_of_a_message_is_refused(run: Any, message: str) -> None:
    case = Reminders()
    with run(case.shelf.app) as backend:
        assert cancelled(backend, message) == 500


def test_the_timeline_tells_who_cancelled_and_what_became_of_the_message(run: Any) -> None:
    case = Reminders()
    with run(case.shelf.app) as backend:
        reply = backend.post("/send", query={"name": "a"})
        message = reply.json()
        assert "is due in" in backend.timeline(reply.headers["x-correlation-id"])
        end = backend.post("/cancel", query={"message": message})
        assert "it was cancelled" in backend.timeline(reply.headers["x-correlation-id"])
        assert f"cancel jobs {message}" in backend.timeline(end.headers["x-correlation-id"])
