"""Schedules in the test kit: time is what the test says it is."""

from __future__ import annotations

from datetime import UTC, datetime

from wherry import App, Firing, Struct
from wherry.testing import running


class Night(Struct):
    day: str
    count: int = 0


def an_app(missed: str = "latest") -> App:
    app = App("nights")
    nights = app.table(Night, key="day")

    @app.schedule("cron(0 3 * * ? *)", timezone="Europe/Berlin", grants=[nights.write])
    def reconcile(firing: Firing) -> None:
        nights.add(firing.at.date().isoformat(), count=1)

    app.nights = nights  # type: ignore[attr-defined]
    return app


def test_a_schedule_fires_at_its_moments_while_time_passes() -> None:
    """Three days are three firings, each once, each on its day."""
    app = an_app()
    with running(app, start=datetime(2026, 1, 1, 12, tzinfo=UTC)) as backend:
        backend.advance(3 * 86_400)
        items = backend.items(app.nights)  # type: ignore[attr-defined]
    assert [(item.day, item.count) for item in items] == [
        ("2026-01-02", 1),
        ("2026-01-03", 1),
        ("2026-01-04", 1),
    ]


def test_what_was_missed_is_made_up_for_once() -> None:
    """A clock that jumps over nights: the latest of them is made up for."""
    app = an_app()
    with running(app, start=datetime(2026, 1, 1, 12, tzinfo=UTC)) as backend:
        backend.clock.advance(3 * 86_400)
        backend.advance(60)
        items = backend.items(app.nights)  # type: ignore[attr-defined]
    assert [(item.day, item.count) for item in items] == [("2026-01-04", 1)]
