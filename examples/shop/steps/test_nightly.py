"""The nightly reconciliation, with wherry's test kit alone."""

from datetime import UTC, datetime

from shop import Line, Order, app, exports, orders
from steps.nightly import reconcile_exports

from wherry import Firing
from wherry.testing import running

NIGHT = Firing("reconcile_exports", datetime(2026, 11, 22, 2, tzinfo=UTC))


def order(order_id: str) -> Order:
    return Order(order_id, "alice", NIGHT.at, [Line("oar", 1, 8_900)], 8_900)


def test_files_of_orders_that_are_gone_are_deleted() -> None:
    with running(app) as backend:
        with backend.acting():
            orders.put(order("kept"))
            exports.put("kept.csv", b"kept", media_type="text/csv")
            exports.put("gone.csv", b"gone", media_type="text/csv")
        with backend.acting():
            reconcile_exports(NIGHT)
        assert backend.object(exports, "kept.csv") is not None
        assert backend.object(exports, "gone.csv") is None


def test_a_night_deletes_no_more_than_one_commit_takes() -> None:
    with running(app) as backend:
        for first in (0, 40):
            with backend.acting():
                for number in range(first, first + 40):
                    exports.put(f"{number}.csv", b"", media_type="text/csv")
        for left in (30, 0):
            with backend.acting():
                reconcile_exports(NIGHT)
            with backend.acting():
                assert len(exports.list()) == left


def test_a_night_passes_by_itself() -> None:
    with running(app) as backend:
        with backend.acting():
            exports.put("gone.csv", b"gone", media_type="text/csv")
        backend.advance(86_400)
        assert backend.object(exports, "gone.csv") is None
