"""Figures: samples of ours and of the floor, put together over the rounds, held against goals."""

from __future__ import annotations

import statistics
from typing import Literal

import msgspec


class Goal(msgspec.Struct, frozen=True):
    """What a figure must reach: its median, or the median of its ratios to the floor."""

    of: Literal["value", "ratio"]
    sense: Literal["at least", "below"]
    bound: float

    def met(self, value: float) -> bool:
        return value >= self.bound if self.sense == "at least" else value < self.bound

    def text(self) -> str:
        sign = ">=" if self.sense == "at least" else "<"
        return f"{sign} {number(self.bound)}" + (" x floor" if self.of == "ratio" else "")


class Figure(msgspec.Struct, frozen=True):
    """One row of the table. The ratio is the median of ours / floor, round by round."""

    unit: str
    min: float
    median: float
    max: float
    floor: float | None
    ratio: float | None
    floor_min: float | None
    floor_max: float | None
    ratio_min: float | None
    ratio_max: float | None
    target: str
    met: bool | None


class Kind(msgspec.Struct, frozen=True):
    unit: str
    goal: Goal | None = None


def ratio_at_least(bound: float) -> Goal:
    return Goal("ratio", "at least", bound)


def at_least(bound: float) -> Goal:
    return Goal("value", "at least", bound)


def below(bound: float) -> Goal:
    return Goal("value", "below", bound)


KINDS = {
    "orders_per_s": Kind("orders/s", ratio_at_least(0.35)),
    "jobs_to_orders": Kind("jobs/order", at_least(1.0)),
    "orders_ms_p50_32": Kind("ms"),
    "orders_ms_p99_32": Kind("ms"),
    "layout_orders_per_s": Kind("orders/s"),
    "layout_order_ms_p50": Kind("ms"),
    "trivial_requests_per_s": Kind("requests/s", ratio_at_least(0.45)),
    "order_ms_p50": Kind("ms", Goal("ratio", "below", 1.8)),
    "order_ms_p99": Kind("ms"),
    "orders_per_s_4": Kind("orders/s"),
    "orders_per_s_16": Kind("orders/s"),
    "orders_per_s_64": Kind("orders/s"),
    "enqueue_to_start_ms_p50": Kind("ms", below(2.5)),
    "enqueue_to_start_ms_p99": Kind("ms", below(6)),
    "paced_request_ms_p99": Kind("ms"),
    "cold_environment_ms_p50": Kind("ms", below(5)),
    "warm_environment_ms_p50": Kind("ms"),
    "start_to_first_200_ms": Kind("ms", below(350)),
    "idle_pss_mb": Kind("MB", below(70)),
    "import_wherry_ms": Kind("ms", below(8)),
    "read_ms_p50": Kind("ms", below(0.25)),
    "waiting_handlers_per_s": Kind("requests/s", at_least(150)),
    "waiting_handlers_pss_mb": Kind("MB", below(600)),
    "backlog_memory_mb": Kind("MB", below(50)),
    "backlog_claim_ratio": Kind("x", below(2)),
    "jobs_per_s": Kind("jobs/s", at_least(3_000)),
    "lone_jobs_per_s": Kind("jobs/s"),
    "delivery_ms_p50": Kind("ms", below(4)),
    "delivery_ms_p99": Kind("ms", below(12)),
    "event_deliveries_per_s": Kind("deliveries/s", at_least(1_500)),
    "hot_counter_per_s": Kind("requests/s", at_least(300)),
    "hot_add_per_s": Kind("requests/s"),
    "distinct_adds_per_s": Kind("requests/s"),
    "hot_add_ratio": Kind("x", at_least(0.9)),
    "drain_per_s": Kind("jobs/s"),
    "drain_of_million_per_s": Kind("jobs/s"),
    "drain_of_million_ratio": Kind("x", at_least(0.8)),
    "million_memory_mb": Kind("MB", below(300)),
    "million_claim_ms_p99": Kind("ms", below(50)),
    "jobs_alone_per_s": Kind("jobs/s"),
    "jobs_beside_redrive_per_s": Kind("jobs/s"),
    "jobs_beside_redrive_ratio": Kind("x", at_least(0.8)),
    "redriven": Kind("failures"),
    "workflow_ten_tasks_ms_p50": Kind("ms", below(8)),
    "workflow_ten_tasks_per_s": Kind("workflows/s", at_least(260)),
    "workflow_ten_passes_ms_p50": Kind("ms", below(3)),
    "workflow_ten_passes_per_s": Kind("workflows/s", at_least(1_000)),
    "workflow_map_ms_per_item_100": Kind("ms"),
    "workflow_map_ms_per_item_1000": Kind("ms"),
    "workflow_map_ms_per_item_10000": Kind("ms"),
    "workflow_map_mb_100": Kind("MB"),
    "workflow_map_mb_1000": Kind("MB"),
    "workflow_map_mb_10000": Kind("MB"),
    "orders_on_postgres_per_s": Kind("orders/s", at_least(1_800)),
    "lone_orders_on_postgres_per_s": Kind("orders/s"),
    "jobs_on_postgres_per_s": Kind("jobs/s", at_least(1_500)),
    "two_engines_ratio": Kind("x", at_least(1.0)),
    "postgres_delivery_ms_p50": Kind("ms", below(6)),
    "postgres_delivery_ms_p99": Kind("ms", below(20)),
    "held_jobs_ratio": Kind("x", at_least(0.9)),
    "after_held_jobs_ratio": Kind("x"),
    "ordered_jobs_per_s": Kind("jobs/s"),
    "held_ordered_jobs_ratio": Kind("x", at_least(0.9)),
    "after_held_ordered_jobs_ratio": Kind("x"),
    "dead_messages": Kind("rows"),
    "dead_messages_held": Kind("rows"),
    "drain_jobs_per_s": Kind("jobs/s"),
    "disk_append_ms": Kind("ms"),
    "sqlite_commit_ms": Kind("ms"),
    "peer_trivial_requests_per_s": Kind("requests/s"),
    "peer_orders_per_s": Kind("orders/s"),
    "peer_jobs_to_orders": Kind("jobs/order"),
    "peer_drain_jobs_per_s": Kind("jobs/s"),
    "peer_order_ms_p50": Kind("ms"),
    "peer_orders_on_postgres_per_s": Kind("orders/s"),
    "peer_jobs_to_orders_on_postgres": Kind("jobs/order"),
    "peer_lone_orders_on_postgres_per_s": Kind("orders/s"),
    "peer_jobs_on_postgres_per_s": Kind("jobs/s"),
    "peer_enqueue_to_start_ms_p50": Kind("ms"),
    "peer_enqueue_to_start_ms_p99": Kind("ms"),
}


class Samples(msgspec.Struct):
    """What the rounds gave for one figure, in the order of the rounds."""

    ours: list[float] = []
    floor: list[float] = []


def figure(name: str, samples: Samples) -> Figure:
    """Put the rounds of one figure together. `samples.ours` must not be empty.

    Ratios pair ours with the floor of the same round, so that a disturbance of the machine which
    lasts longer than a round hits both.
    """
    kind = KINDS[name]
    ratios = [ours / floor for ours, floor in zip(samples.ours, samples.floor, strict=False)]
    median = statistics.median(samples.ours)
    ratio = statistics.median(ratios) if ratios else None
    judged = median if kind.goal is None or kind.goal.of == "value" else ratio
    return Figure(
        unit=kind.unit,
        min=min(samples.ours),
        median=median,
        max=max(samples.ours),
        floor=statistics.median(samples.floor) if samples.floor else None,
        ratio=ratio,
        floor_min=min(samples.floor, default=None),
        floor_max=max(samples.floor, default=None),
        ratio_min=min(ratios, default=None),
        ratio_max=max(ratios, default=None),
        target=kind.goal.text() if kind.goal else "",
        met=kind.goal.met(judged) if kind.goal and judged is not None else None,
    )


def number(value: float | None) -> str:
    """Three significant digits at least, thousands apart: 14,200, 2.85, 0.0431."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


COLUMNS = ("name", "unit", "min", "median", "max", "floor", "ratio", "target", "met")


def table(figures: dict[str, Figure]) -> str:
    """The figures as aligned text, one row each."""
    rows = [list(COLUMNS)]
    for name, each in figures.items():
        numbers = [number(each.min), number(each.median), number(each.max), number(each.floor)]
        spread = f"{number(each.ratio)} ({number(each.ratio_min)}-{number(each.ratio_max)})"
        met = {None: "", True: "yes", False: "NO"}[each.met]
        ratio = "-" if each.ratio is None else spread
        rows.append([name, each.unit, *numbers, ratio, each.target, met])
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return "\n".join(_aligned(row, widths) for row in rows)


def _aligned(row: list[str], widths: list[int]) -> str:
    cells = []
    for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
        cells.append(cell.rjust(width) if 2 <= column <= 5 else cell.ljust(width))
    return "  ".join(cells).rstrip()
