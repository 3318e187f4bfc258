"""The refund, with wherry's test kit alone: weeks of waiting take no time."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import steps.refund as step
from shop import Line, Order, app, orders
from steps.refund import (
    DAY_S,
    BankBusy,
    BankRefused,
    Outcome,
    Refund,
    Till,
    ask_refund,
    charge_back,
    letters,
    questions,
    refund,
    tell_customer,
    till,
)

from wherry import Caller
from wherry.testing import Backend, call, repeats, running

SMALL, LARGE = 8_900, 89_000


def order(cents: int) -> Order:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    return Order("o-1", "alice", at, [Line("oar", cents // 8_900, 8_900)], cents)


@pytest.fixture
def backend() -> Iterator[Backend]:
    with running(app) as backend:
        yield backend


def ask(backend: Backend, cents: int) -> None:
    """Let alice ask for her money, and everything happen that happens by itself at once."""
    with backend.acting():
        orders.put(order(cents))
    reply = backend.post("/orders/o-1/refund", token=backend.token("alice", roles=["customer"]))
    assert (reply.status, reply.json()) == (202, "o-1")
    backend.drain()


def decide(backend: Backend, answer: str, role: str = "staff") -> int:
    token = backend.token("sam", roles=[role])
    status = backend.post(f"/orders/o-1/refund/decision?answer={answer}", token=token).status
    backend.drain()
    return status


def status(backend: Backend) -> str:
    token = backend.token("alice", roles=["customer"])
    return str(backend.get("/orders/o-1/refund", token=token).json()["status"])


def letter(backend: Backend) -> list[str]:
    return [one.text for one in backend.items(letters)]


PAID = ["Your money has been paid back."]
NOT_PAID = ["We could not pay you back."]


def test_a_small_refund_needs_nobody(backend: Backend) -> None:
    ask(backend, SMALL)
    assert status(backend) == "SUCCEEDED"
    assert letter(backend) == PAID
    assert backend.items(till) == [Till("refunds", 0, SMALL)]


def test_a_large_refund_waits_for_the_staff(backend: Backend) -> None:
    ask(backend, LARGE)
    assert status(backend) == "RUNNING"
    assert backend.items(till) == [Till("refunds", LARGE, 0)]
    assert decide(backend, "pay", role="customer") == 403
    assert decide(backend, "pay") == 204
    assert status(backend) == "SUCCEEDED"
    assert letter(backend) == PAID
    assert decide(backend, "decline") == 404  # it was decided


def test_a_refund_that_is_declined_is_undone(backend: Backend) -> None:
    ask(backend, LARGE)
    decide(backend, "decline")
    assert status(backend) == "SUCCEEDED"
    assert letter(backend) == NOT_PAID
    assert backend.items(till) == [Till("refunds", 0, 0)]


def test_a_refund_that_nobody_decides_on_is_declined_after_a_week(backend: Backend) -> None:
    ask(backend, LARGE)
    backend.advance(7 * DAY_S)
    backend.drain()
    assert letter(backend) == NOT_PAID
    assert backend.items(questions) == []
    assert backend.items(till) == [Till("refunds", 0, 0)]


def test_a_busy_bank_is_asked_again(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[str] = []

    def bank(key: str, order_id: str, cents: int) -> str:
        keys.append(key)
        if len(keys) < 4:
            raise BankBusy
        return "payment 1"

    monkeypatch.setattr(step, "bank", bank)
    ask(backend, SMALL)
    assert len(keys) == 4
    assert letter(backend) == PAID
    assert backend.items(till) == [Till("refunds", 0, SMALL)]


def test_a_bank_that_refuses_is_for_somebody_to_look_at(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bank(key: str, order_id: str, cents: int) -> str:
        raise BankRefused

    monkeypatch.setattr(step, "bank", bank)
    ask(backend, SMALL)
    assert status(backend) == "FAILED"
    assert letter(backend) == NOT_PAID
    assert backend.items(till) == [Till("refunds", 0, 0)]
    (failure,) = backend.failures()
    assert (failure.queue, failure.error) == (
        "refund",
        "NotPaid: The bank did not pay: somebody must.",
    )


def test_who_asks_twice_gets_one_refund(backend: Backend) -> None:
    ask(backend, SMALL)
    ask(backend, SMALL)
    assert backend.items(till) == [Till("refunds", 0, SMALL)]


def test_nobody_gets_the_money_of_others(backend: Backend) -> None:
    with backend.acting():
        orders.put(order(SMALL))
    bob = backend.token("bob", roles=["customer"])
    assert backend.post("/orders/o-1/refund", token=bob).status == 403
    assert backend.post("/orders/o-2/refund", token=bob).status == 404


def test_a_refund_starts_with_what_the_order_says() -> None:
    alice = Caller(subject="alice", roles=("customer",))
    result = call(app, ask_refund, "o-1", caller=alice, items={orders: [order(SMALL)]})
    assert result.effects.started(refund) == {"o-1": Refund("o-1", "alice", SMALL)}


def test_steps_do_the_same_when_they_are_repeated() -> None:
    repeats(app, charge_back, Refund("o-1", "alice", SMALL))
    repeats(app, tell_customer, Outcome("o-1", "alice", True))
