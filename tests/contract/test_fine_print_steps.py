"""The fine print: a named step commits at once, with its value, and is never run again."""

from __future__ import annotations

from typing import Any

from tests.contract.fine_print import Job, Shelf, Thing, on_every_platform
from wherry import ConditionFailed, limits, new_id

pytestmark = on_every_platform


class Reserving:
    """A consumer that reserves in a named step, and then fails a few times."""

    def __init__(self, failures: int = 0, asks: tuple[str, ...] = ("a",), **queue: Any) -> None:
        self.shelf = Shelf(**queue)
        self.steps: list[str] = []
        self.values: list[Thing] = []
        self.attempts = 0
        shelf = self.shelf

        def reserve(name: str) -> Thing:
            self.steps.append(new_id())
            shelf.things.add(name, count=1)
            return Thing(name, len(self.steps))

        @shelf.app.consume(shelf.jobs, grants=shelf.all)
        def work(job: Job) -> None:
            self.attempts += 1
            name = asks[min(self.attempts, len(asks)) - 1]
            self.values.append(shelf.app.atomic("reserve", reserve, name))
            shelf.things.add("worked", count=1)
            if self.attempts <= failures:
                raise ValueError("not yet")


def test_a_step_commits_at_once_and_its_value_is_returned_to_every_later_run(run: Any) -> None:
    case = Reserving(failures=2)
    with run(case.shelf.app) as backend:
        with backend.acting():
            case.shelf.jobs.send(Job("a"))
        backend.drain()
        assert case.values == [Thing("a", 1)] * 3
        assert len(case.steps) == 1
        assert backend.items(case.shelf.things) == [Thing("a", 1), Thing("worked", 1)]


def test_a_step_stays_where_its_run_fails_for_good(run: Any) -> None:
    case = Reserving(failures=99, max_attempts=2)
    with run(case.shelf.app) as backend:
        with backend.acting():
            case.shelf.jobs.send(Job("a"))
        backend.drain()
        assert backend.items(case.shelf.things) == [Thing("a", 1)]
        assert len(backend.failures()) == 1
        case.attempts = 98
        backend.redrive()
        backend.drain()
        assert len(case.steps) == 1  # a redrive is the same invocation


def test_a_step_is_not_run_again_after_a_lost_conflict_or_a_lost_answer(run: Any) -> None:
    shelf, steps = Shelf(), []

    def reserve() -> int:
        steps.append(1)
        shelf.things.add("held", count=1)
        return len(steps)

    @shelf.app.post("/things", grants=shelf.all)
    def post() -> int:
        held = shelf.app.atomic("reserve", reserve)
        found = shelf.things.get("a") or Thing("a")
        shelf.things.put(Thing("a", found.count + 1))
        return held

    with run(shelf.app) as backend:
        backend.conflict_next(shelf.things, times=3)
        assert backend.post("/things").json() == 1
        assert len(steps) == 1
        backend.crash_after_commit()  # of the step
        assert backend.post("/things").json() == 2
        assert len(steps) == 2
        assert backend.items(shelf.things) == [Thing("a", 2), Thing("held", 2)]


def test_a_step_is_refused_where_a_later_run_asks_with_other_arguments(run: Any) -> None:
    case = Reserving(failures=1, asks=("a", "b"), max_attempts=3)
    with run(case.shelf.app) as backend:
        with backend.acting():
            case.shelf.jobs.send(Job("a"))
        backend.drain()
        (failure,) = backend.failures()
        assert "other arguments" in failure.error
        assert failure.attempts == 2  # a mistake of the app is not tried again
        assert backend.items(case.shelf.things) == [Thing("a", 1)]


def test_arguments_without_an_order_are_the_same_in_any(run: Any) -> None:
    """Another process goes through a set in another order."""
    shelf = Shelf()
    orders = [[0, 8], [8, 0]]
    assert [list(set(one)) for one in orders] == orders  # of this many buckets
    asked: list[set[int]] = []

    @shelf.app.consume(shelf.jobs, grants=shelf.all)
    def work(job: Job) -> None:
        shelf.app.atomic("reserve", asked.append, set(orders.pop(0)))
        if orders:
            raise ValueError("not yet")

    with run(shelf.app) as backend:
        with backend.acting():
            shelf.jobs.send(Job("a"))
        backend.drain()
        assert backend.failures() == []
    assert asked == [{0, 8}]


def test_the_nth_use_of_a_name_is_a_step_of_its_own(run: Any) -> None:
    shelf = Shelf()

    def store(part: int) -> int:
        shelf.things.add("sum", count=part)
        return part

    attempts = []

    @shelf.app.consume(shelf.jobs, grants=shelf.all)
    def work(job: Job) -> None:
        attempts.append(1)
        assert [shelf.app.atomic("chunk", store, part) for part in range(1, 5)] == [1, 2, 3, 4]
        if len(attempts) == 1:
            raise ValueError("not yet")

    with run(shelf.app) as backend:
        with backend.acting():
            shelf.jobs.send(Job("a"))
        backend.drain()
        assert backend.items(shelf.things) == [Thing("sum", 10)]


def test_a_steps_unmet_condition_is_known_before_the_run_goes_on(run: Any) -> None:
    shelf = Shelf()

    def reserve() -> bool:
        shelf.things.put(Thing("a"), if_absent=True)
        return True

    @shelf.app.post("/things", grants=shelf.all)
    def post() -> str:
        try:
            shelf.app.atomic("reserve", reserve)
        except ConditionFailed as unmet:
            return f"{unmet.table} {unmet.key} is taken"
        return "mine"

    with run(shelf.app) as backend:
        assert backend.post("/things").json() == "mine"
        assert backend.post("/things").json() == "things a is taken"


def test_a_step_that_loses_a_conflict_is_run_again_alone(run: Any) -> None:
    shelf, steps, runs = Shelf(), [], []

    def count() -> int:
        found = shelf.things.get("a") or Thing("a")
        steps.append(found.count)
        shelf.things.put(Thing("a", found.count + 1))
        return found.count + 1

    @shelf.app.post("/things", grants=shelf.all)
    def post() -> int:
        runs.append(1)
        return shelf.app.atomic("count", count)

    with run(shelf.app) as backend:
        backend.conflict_next(shelf.things, times=2)
        assert backend.post("/things").json() == 1
    assert (len(runs), len(steps)) == (1, 3)


def test_messages_that_a_step_sends_leave_with_it(run: Any) -> None:
    shelf = Shelf()
    shelf.consume_nothing()

    @shelf.app.post("/things", grants=[shelf.jobs.send])
    def post() -> None:
        shelf.app.atomic("ask", shelf.jobs.send, Job("a"))
        raise ValueError("after the step")

    with run(shelf.app) as backend:
        assert backend.post("/things").status == 500
        assert backend.messages(shelf.jobs) == [Job("a")]


def test_a_step_inside_a_step_is_refused(run: Any) -> None:
    shelf = Shelf()

    def inner() -> int:
        return 1

    @shelf.app.post("/things")
    def post() -> int:
        return shelf.app.atomic("outer", lambda: shelf.app.atomic("inner", inner))

    with run(shelf.app) as backend:
        assert backend.post("/things").status == 500
        assert any("inside another" in line["message"] for line in backend.logs)


def test_the_record_of_a_step_outlives_whatever_may_repeat_it(run: Any) -> None:
    assert limits.APPLIED_S >= limits.MESSAGE_RETENTION_MAX_S + limits.FAILURES_S
    case = Reserving(failures=1, max_attempts=1, retention_s=limits.MESSAGE_RETENTION_MAX_S)
    with run(case.shelf.app) as backend:
        with backend.acting():
            case.shelf.jobs.send(Job("a"))
        backend.drain()
        backend.advance(limits.FAILURES_S - 3_600)
        assert backend.redrive() == 1
        backend.drain()
        assert (case.attempts, len(case.steps)) == (2, 1)
        assert backend.items(case.shelf.things) == [Thing("a", 1), Thing("worked", 1)]
