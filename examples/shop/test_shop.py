"""The shop's tests, with wherry's test kit alone: no server, no waiting."""

from collections.abc import Iterator

import pytest
from shop import (
    ExportJob,
    NewLine,
    NewOrder,
    app,
    create_order,
    export_jobs,
    exports,
    orders,
    process_export_job,
)

from wherry import Caller
from wherry.testing import Backend, call, running

ALICE = Caller(subject="alice", roles=("customer",))
TWO_OARS = {"lines": [{"sku": "oar", "count": 2}]}


@pytest.fixture
def backend() -> Iterator[Backend]:
    with running(app) as backend:
        yield backend


@pytest.fixture
def alice(backend: Backend) -> str:
    return backend.token("alice", roles=["customer"])


def test_an_order_is_priced_saved_and_shown(backend: Backend, alice: str) -> None:
    placed = backend.post("/orders", json=TWO_OARS, token=alice)
    assert placed.status == 201
    order = placed.json()
    assert order["total_cents"] == 17_800
    shown = backend.get(f"/orders/{order['order_id']}", token=alice)
    assert shown.json() == {"order": order, "export_url": None}


def test_everything_wrong_with_an_order_is_listed(backend: Backend, alice: str) -> None:
    wrong = {"lines": [{"sku": "oar", "count": 0}, {"sku": "anchor", "count": 1}], "gift": True}
    refused = backend.post("/orders", json=wrong, token=alice)
    assert refused.status == 422
    assert {fault["at"] for fault in refused.json()["faults"]} == {
        "$.lines[0].count",
        "$.lines[1].sku",
        "$.gift",
    }


def test_one_idempotency_key_is_one_order(backend: Backend, alice: str) -> None:
    key = {"Idempotency-Key": "first-order"}
    first, second = (
        backend.post("/orders", json=TWO_OARS, token=alice, headers=key) for _ in range(2)
    )
    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize(
    ("who", "role", "status"),
    [("alice", "customer", 200), ("bob", "customer", 403), ("carol", "staff", 200)],
)
def test_orders_are_seen_by_their_customer_and_by_staff(
    backend: Backend, alice: str, who: str, role: str, status: int
) -> None:
    order = backend.post("/orders", json=TWO_OARS, token=alice).json()
    token = backend.token(who, roles=[role])
    assert backend.get(f"/orders/{order['order_id']}", token=token).status == status


def test_nobody_orders_without_a_token(backend: Backend) -> None:
    assert backend.post("/orders", json=TWO_OARS).status == 401


def test_an_order_that_is_not_there_is_not_found(backend: Backend, alice: str) -> None:
    assert backend.get("/orders/nothing", token=alice).status == 404


def test_an_export_holds_all_orders_of_the_customer(backend: Backend, alice: str) -> None:
    bob = backend.token("bob", roles=["customer"])
    backend.post("/orders", json=TWO_OARS, token=alice)
    backend.post("/orders", json=TWO_OARS, token=bob)
    order = backend.post("/orders", json=TWO_OARS | {"export": True}, token=alice).json()
    backend.drain()
    url = backend.get(f"/orders/{order['order_id']}", token=alice).json()["export_url"]
    head, *rows = backend.get(url).body.decode().splitlines()
    assert head == "order_id,created_at,articles,total_cents"
    assert len(rows) == 2
    assert rows[-1].startswith(order["order_id"])
    assert rows[-1].endswith(",2,17800")


def test_an_export_of_many_orders_is_whole(backend: Backend, alice: str) -> None:
    for _ in range(120):  # more than a page of a query
        backend.post("/orders", json=TWO_OARS, token=alice)
    order = backend.post("/orders", json=TWO_OARS | {"export": True}, token=alice).json()
    backend.drain()
    url = backend.get(f"/orders/{order['order_id']}", token=alice).json()["export_url"]
    assert len(backend.get(url).body.splitlines()) == 1 + 121


def test_an_export_that_fails_waits_and_comes_back(backend: Backend, alice: str) -> None:
    with backend.fail(exports):
        order = backend.post("/orders", json=TWO_OARS | {"export": True}, token=alice).json()
        backend.drain()  # with all its retries: the clock is the test's
    (failure,) = backend.failures()
    assert failure.attempts == 3
    assert backend.get(f"/orders/{order['order_id']}", token=alice).json()["export_url"] is None
    backend.redrive(failure)
    backend.drain()
    assert backend.get(f"/orders/{order['order_id']}", token=alice).json()["export_url"]
    assert backend.failures() == []


def test_a_picture_is_uploaded_with_its_ticket(backend: Backend, alice: str) -> None:
    picture = b"\x89PNG, let us say"
    asked = {"media_type": "image/png", "size_bytes": len(picture)}
    ticket = backend.post("/assets", json=asked, token=alice).json()
    assert ticket["key"].startswith("alice/")
    assert backend.put(ticket["url"], picture, headers=ticket["headers"]).status == 200
    again = backend.put(ticket["url"], picture, headers=ticket["headers"])
    assert again.status == 412  # what is there is never replaced


def test_only_pictures_are_taken(backend: Backend, alice: str) -> None:
    asked = {"media_type": "text/html", "size_bytes": 10}
    assert backend.post("/assets", json=asked, token=alice).status == 422


def test_an_order_and_its_job_are_one_step() -> None:
    new = NewOrder([NewLine("oar", 1)], export=True)
    result = call(app, create_order, new, caller=ALICE)
    assert result.value.total_cents == 8_900
    assert result.effects.puts(orders) == [result.value]
    assert result.effects.sent(export_jobs) == [ExportJob("alice", result.value.order_id)]


def test_without_export_there_is_no_job() -> None:
    result = call(app, create_order, NewOrder([NewLine("oar", 1)]), caller=ALICE)
    assert result.effects.sent(export_jobs) == []


def test_an_export_is_one_file_named_after_the_order_that_asked() -> None:
    result = call(app, process_export_job, ExportJob("nobody", "some-order"))
    (file,) = result.effects.objects(exports)
    assert (file.key, file.media_type) == ("some-order.csv", "text/csv")


def test_a_job_that_dies_leaves_nothing_and_is_done_once(backend: Backend, alice: str) -> None:
    order = backend.post("/orders", json=TWO_OARS | {"export": True}, token=alice).json()
    backend.crash_before_commit()
    backend.duplicate(export_jobs)
    backend.drain()
    assert backend.object(exports, f"{order['order_id']}.csv") is not None
    assert backend.failures() == []
