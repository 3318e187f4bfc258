"""The bench's arithmetic: samples, ratios, goals, the table."""

import pytest

from bench.figures import KINDS, Goal, Samples, figure, number, table
from bench.stats import percentile


def test_a_percentile_is_the_least_sample_that_so_many_do_not_exceed() -> None:
    samples = [float(each) for each in range(100, 0, -1)]
    assert [percentile(samples, each) for each in (1, 50, 99, 100)] == [1, 50, 99, 100]
    assert percentile([7.0], 50) == 7.0


@pytest.mark.parametrize(("samples", "percent"), [([], 50), ([1.0], 0), ([1.0], 101)])
def test_a_percentile_of_nothing_or_out_of_range_is_refused(
    samples: list[float], percent: float
) -> None:
    with pytest.raises(ValueError, match=r"samples|percentile"):
        percentile(samples, percent)


def test_a_ratio_pairs_ours_with_the_floor_of_the_same_round() -> None:
    row = figure("orders_per_s", Samples(ours=[40, 10, 60], floor=[100, 20, 100]))
    assert (row.min, row.median, row.max) == (10, 40, 60)
    assert (row.floor, row.floor_min, row.floor_max) == (100, 20, 100)
    assert (row.ratio, row.ratio_min, row.ratio_max) == (0.5, 0.4, 0.6)


def test_a_goal_on_the_ratio_is_judged_by_the_ratio() -> None:
    assert figure("orders_per_s", Samples(ours=[35], floor=[100])).met is True
    assert figure("orders_per_s", Samples(ours=[34], floor=[100])).met is False
    assert figure("order_ms_p50", Samples(ours=[1.8], floor=[1])).met is False


def test_a_goal_on_the_value_is_judged_by_the_median() -> None:
    assert figure("idle_pss_mb", Samples(ours=[60, 69, 200])).met is True
    assert figure("idle_pss_mb", Samples(ours=[70])).met is False


def test_a_ratio_goal_without_a_floor_is_neither_met_nor_missed() -> None:
    assert figure("orders_per_s", Samples(ours=[1])).met is None


def test_a_goal_says_what_it_wants() -> None:
    assert Goal("ratio", "at least", 0.35).text() == ">= 0.35 x floor"
    assert Goal("value", "below", 350).text() == "< 350"


def test_every_figure_that_must_be_reported_is_known() -> None:
    promised = """orders_per_s jobs_to_orders trivial_requests_per_s order_ms_p50
        enqueue_to_start_ms_p50 enqueue_to_start_ms_p99 cold_environment_ms_p50
        start_to_first_200_ms idle_pss_mb import_wherry_ms read_ms_p50 waiting_handlers_per_s"""
    assert set(promised.split()) <= KINDS.keys()


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (14213.4, "14,213"), (2.853, "2.85"), (0.0431, "0.0431")]
)
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert number(value) == text


def test_the_table_has_a_row_for_each_figure_under_one_head() -> None:
    rows = table({"idle_pss_mb": figure("idle_pss_mb", Samples(ours=[80.0]))}).splitlines()
    assert rows[0].split() == [
        "name",
        "unit",
        "min",
        "median",
        "max",
        "floor",
        "ratio",
        "target",
        "met",
    ]
    assert rows[1].split() == ["idle_pss_mb", "MB", "80", "80", "80", "-", "-", "<", "70", "NO"]
