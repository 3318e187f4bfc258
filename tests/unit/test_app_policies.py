"""Policies: collected per table, and called with caller and item whatever their order."""

# mypy: disable-error-code="empty-body"
from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct

from wherry.app import App, Caller
from wherry.errors import AppInvalid, Forbidden, Refused


class Order(Struct):
    customer_id: str
    order_id: str


class Note(Struct):
    id: str


ALICE = Caller(subject="alice")


def app_with_tables() -> App:
    app = App("shop")
    app.table(Order, key="customer_id", sort="order_id")
    app.table(Order, name="old_orders", key="customer_id", sort="order_id")
    app.table(Note, key="id")
    return app


def test_a_policy_holds_for_every_table_of_its_item_type() -> None:
    app = app_with_tables()

    @app.policy
    def own_orders_only(order: Order, caller: Caller) -> bool:
        return order.customer_id == caller.subject

    app.freeze()
    assert set(app.policies) == {"orders", "old_orders"}
    (policy,) = app.policies["orders"]
    assert policy(ALICE, Order("alice", "1")) is True
    assert policy(ALICE, Order("bob", "1")) is False
    assert policy.__name__ == "own_orders_only"
    assert own_orders_only(Order("bob", "1"), ALICE) is False


def test_a_policy_that_raises_needs_no_answer() -> None:
    app = app_with_tables()

    @app.policy
    def no_notes(caller: Caller, note: Note) -> None:
        if caller.subject != "bob":
            raise Forbidden("Only bob reads notes.")

    app.freeze()
    (policy,) = app.policies["notes"]
    assert policy(Caller(subject="bob"), Note("1")) is True
    with pytest.raises(Forbidden, match="Only bob"):
        policy(ALICE, Note("1"))


def test_a_policy_that_forgets_to_answer_says_no() -> None:
    app = app_with_tables()

    @app.policy
    def forgetful(caller: Caller, note: Note) -> bool:
        if note.id == "1":
            return True
        return None  # type: ignore[return-value]

    app.freeze()
    assert app.policies["notes"][0](ALICE, Note("2")) is False


def test_an_answer_that_is_neither_true_nor_false_allows_nothing() -> None:
    """A text is no yes, nor is a coroutine that nobody has run."""
    app = app_with_tables()

    @app.policy
    def wordy(caller: Caller, note: Note) -> bool:
        return "no"  # type: ignore[return-value]

    app.freeze()
    with pytest.raises(Refused, match="'wordy' gave a str, and may give True or False"):
        app.policies["notes"][0](ALICE, Note("1"))


def test_a_policy_holds_for_what_its_type_is_made_to() -> None:
    class Urgent(Note): ...

    app = app_with_tables()
    app.table(Urgent, name="urgent", key="id")

    @app.policy
    def nobody(caller: Caller, note: Note) -> bool:
        return False

    app.freeze()
    assert set(app.policies) == {"notes", "urgent"}


def test_a_route_without_a_caller_to_a_table_with_a_policy_is_a_warning() -> None:
    app = App("shop")
    notes = app.table(Note, key="id")

    @app.policy
    def own(caller: Caller, note: Note) -> bool: ...

    @app.get("/notes/{id}", grants=[notes.read])
    def read(id: str) -> str: ...

    app.freeze()
    found = [one for one in app.warnings if one.code == "policy_without_caller"]
    assert [one.message.partition(" has ")[0] for one in found] == ["GET /notes/{id}"]


def without_caller(order: Order) -> bool: ...
def of_no_table(caller: Caller, thing: int) -> bool: ...
def without_answer(caller: Caller, order: Order): ...  # type: ignore[no-untyped-def]
def of_three(caller: Caller, order: Order, more: int) -> bool: ...
async def waiting(caller: Caller, order: Order) -> bool: ...
def answers_text(caller: Caller, order: Order) -> str: ...
def of_unknown(caller: Caller, order: Missing) -> bool: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    "policy",
    [without_caller, of_no_table, without_answer, of_three, waiting, answers_text, of_unknown],
)
def test_what_is_no_policy_is_a_finding(policy: Any) -> None:
    app = app_with_tables()
    app.policy(policy)
    with pytest.raises(AppInvalid) as failure:
        app.freeze()
    (finding,) = failure.value.findings
    assert finding.code == "policy_invalid"
    assert policy.__name__ in finding.message
