"""Who waits for a slow expression, and what the death of each kind of process does."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress

from wherry import limits
from wherry.statemachine.overtime import TIMEOUT
from wherry.statemachine.records import Begin, Succeeded

from .workers_kit import (
    PASS,
    SOON_S,
    TASK,
    Asking,
    begun,
    machine,
    with_worker,
)

ENDLESS = "($f := function() { $f() }; $f())"
PERHAPS = {"Type": "Pass", "Output": "{% $states.input.endless ? " + ENDLESS + " : 1 %}"}


async def overrun(asking: Asking, key: int) -> None:
    run, _ = await asking.move(begun(machine(PERHAPS), {"endless": True}), Begin(), key=key)
    assert run.error == "States.QueryEvaluationError"
    assert TIMEOUT in (run.cause or "")


async def appears(asking: Asking, number: int) -> list[int]:
    """Wait until there are so many processes."""
    async with asyncio.timeout(SOON_S):
        while len(asking.pids) < number:
            await asyncio.sleep(0)
    return asking.pids


def test_an_endless_expression_delays_others_until_it_is_first_broken_off() -> None:
    """Then the usual processes are free, even while the one for slow definitions stands still."""
    endless, innocent = machine(PERHAPS), machine(PASS)

    async def scene(asking: Asking) -> None:
        slow = [
            asking.send(begun(endless, {"endless": True}), [Begin()], key) for key in range(1, 5)
        ]
        assert len(asking.pids) == limits.EXPRESSION_PROCESSES
        other = asking.also(innocent)
        waiting = other.send(begun(innocent, {"n": 1}), [Begin()], 10)
        *usual, last = await appears(asking, limits.EXPRESSION_PROCESSES + 1)
        os.kill(last, signal.SIGSTOP)
        run, _ = await asyncio.wait_for(waiting, SOON_S)
        assert run.output == {"n": 2}
        for key in range(11, 20):
            run, _ = await other.move(begun(innocent, {"n": key}), Begin(), key=key)
            assert run.output == {"n": key + 1}
        assert asking.pids[: len(usual)] == usual
        with suppress(ProcessLookupError):
            os.kill(last, signal.SIGCONT)
        run, _ = await asyncio.wait_for(slow[2], SOON_S)
        assert run.error == "States.QueryEvaluationError"

    with_worker(endless, scene)


def test_a_definition_that_overran_stays_where_slow_ones_are() -> None:
    definition = machine(PERHAPS)

    async def scene(asking: Asking) -> None:
        run, _ = await asking.move(begun(definition, {}), Begin(), key=1)
        assert run.output == 1
        await overrun(asking, 2)
        (usual,) = asking.pids
        os.kill(usual, signal.SIGSTOP)
        for key in range(3, 9):
            run, _ = await asking.move(begun(definition, {}), Begin(), key=key)
            assert run.output == 1
        assert len(asking.pids) == 2

    with_worker(definition, scene)


def test_a_run_goes_on_where_slow_ones_are_after_its_expression_was_broken_off() -> None:
    catch = [{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "B"}]
    definition = machine({**TASK, "Output": "{% " + ENDLESS + " %}", "Catch": catch}, TASK)
    definition["States"]["B"] = {"Type": "Task", "Resource": "g", "End": True}

    async def scene(asking: Asking) -> None:
        run, (commands,) = await asking.move(begun(definition, {"n": 1}), Begin())
        run, (commands,) = await asking.move(run, Succeeded(commands.calls[0].id, 1))
        (call,) = commands.calls
        assert call.resource == "g"
        assert len(asking.pids) == 1
        run, _ = await asking.move(run, Succeeded(call.id, 2))
        assert (run.status, run.output) == ("SUCCEEDED", 2)
        assert len(asking.pids) == 2

    with_worker(definition, scene)


def test_the_death_of_the_slow_process_delays_and_fails_nobody_else() -> None:
    definition, innocent = machine(TASK), machine(PASS)

    async def scene(asking: Asking) -> None:
        other = asking.also(machine(PERHAPS))
        await overrun(other, 1)
        await asyncio.wait_for(other.send(begun(machine(PERHAPS), {}), [Begin()], 2), SOON_S)
        usual, slow = asking.pids
        run, (commands,) = await asking.move(begun(definition, {"n": 1}), Begin(), key=3)
        os.kill(slow, signal.SIGSTOP)
        answers = [other.send(begun(machine(PERHAPS), {}), [Begin()], key) for key in (4, 5)]
        os.kill(slow, signal.SIGKILL)
        ended = [(await asyncio.wait_for(answer, SOON_S))[0] for answer in answers]
        assert [one.status for one in ended] == ["FAILED", "SUCCEEDED"]
        assert asking.pids[0] == usual
        assert asking.pids[1] != slow
        run, _ = await asking.move(run, Succeeded(commands.calls[0].id, 7), key=3)
        assert run.output == 7
        run, _ = await asking.also(innocent).move(begun(innocent, {"n": 1}), Begin(), key=6)
        assert run.output == {"n": 2}
        assert len(asking.told) == 1

    with_worker(definition, scene)


def test_a_run_whose_process_is_busy_goes_on_in_another_and_stays_there() -> None:
    definition = machine(TASK, TASK)

    async def scene(asking: Asking) -> None:
        begin = [await asking.move(begun(definition, {"n": 1}), Begin(), key=key) for key in (1, 2)]
        (first,) = asking.pids
        os.kill(first, signal.SIGSTOP)
        (one, (its,)), (two, (commands,)) = begin
        busy = asking.send(one, [Succeeded(its.calls[0].id, {"n": 2})], 1)
        moved, (commands,) = await asking.move(
            two, Succeeded(commands.calls[0].id, {"n": 3}), key=2
        )
        assert len(asking.pids) == 2
        moved, _ = await asking.move(moved, Succeeded(commands.calls[0].id, "end"), key=2)
        assert (moved.status, moved.output) == ("SUCCEEDED", "end")
        os.kill(first, signal.SIGCONT)
        one, (its,) = await asyncio.wait_for(busy, SOON_S)
        one, _ = await asking.move(one, Succeeded(its.calls[0].id, "too"), key=1)
        assert (one.status, one.output) == ("SUCCEEDED", "too")

    with_worker(definition, scene)
