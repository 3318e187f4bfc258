"""What runs when a schedule is looked at late, and how a window spreads what fires together."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.schedules_kit import ms
from wherry import limits
from wherry.schedules import All, Due, Latest, Missed, Skip, due, firings, jittered

START_MS = ms("2026-11-01")
DAILY = "cron(0 3 * * ? *)"
HOURLY = "rate(1 hour)"
HOUR_MS, DAY_MS = 3_600_000, 86_400_000


def looked(expression: str, handled: str | None, now: str, policy: Missed) -> Due:
    handled_ms = None if handled is None else ms(handled)
    return due(expression, "UTC", handled_ms, ms(now), START_MS, policy)


POLICIES: list[Missed] = [Latest(), Skip(), All(at_most=10)]


@pytest.mark.parametrize("policy", POLICIES)
def test_on_time_every_policy_runs_the_one_firing(policy: Missed) -> None:
    at = ms("2026-11-21 03:00")
    on_time = Due(run=(at,), skipped=0, handled_ms=at)
    assert looked(DAILY, "2026-11-20 03:00", "2026-11-21 03:00", policy) == on_time
    assert looked(DAILY, "2026-11-20 03:00", "2026-11-21 03:00:59", policy) == on_time


@pytest.mark.parametrize("policy", POLICIES)
def test_between_two_firings_nothing_is_due(policy: Missed) -> None:
    at = ms("2026-11-21 03:00")
    nothing = Due(run=(), skipped=0, handled_ms=at)
    assert looked(DAILY, "2026-11-21 03:00", "2026-11-21 03:00", policy) == nothing
    assert looked(DAILY, "2026-11-21 03:00", "2026-11-22 02:59:59", policy) == nothing


@pytest.mark.parametrize("policy", POLICIES)
def test_a_clock_that_was_set_back_repeats_nothing(policy: Missed) -> None:
    handled = Due(run=(), skipped=0, handled_ms=ms("2026-11-21 03:00"))
    assert looked(DAILY, "2026-11-21 03:00", "2026-11-19 03:00", policy) == handled
    assert looked("rate(1 minute)", "2026-11-21 03:00", "2026-11-01", policy) == handled


@pytest.mark.parametrize("policy", POLICIES)
def test_the_first_look_at_a_rate_runs_it(policy: Missed) -> None:
    first = Due(run=(START_MS,), skipped=0, handled_ms=START_MS)
    assert looked(HOURLY, None, "2026-11-01", policy) == first


def test_the_first_look_before_a_cron_fires_runs_nothing() -> None:
    assert looked(DAILY, None, "2026-11-01", Latest()).run == ()
    assert looked(DAILY, None, "2026-11-01 03:00", Latest()).run == (ms("2026-11-01 03:00"),)


@pytest.mark.parametrize(
    ("policy", "run", "skipped"),
    [
        (Latest(), ["2026-11-21 03:00"], 3),
        (Skip(), [], 4),
        (All(at_most=10), ["2026-11-18 03:00", "2026-11-19 03:00", "2026-11-20 03:00",
                           "2026-11-21 03:00"], 0),
        (All(at_most=4), ["2026-11-18 03:00", "2026-11-19 03:00", "2026-11-20 03:00",
                          "2026-11-21 03:00"], 0),
        (All(at_most=3), ["2026-11-19 03:00", "2026-11-20 03:00", "2026-11-21 03:00"], 1),
        (All(at_most=1), ["2026-11-21 03:00"], 3),
    ],
)  # fmt: skip
def test_after_four_days_down_the_policy_says_what_runs(
    policy: Missed, run: list[str], skipped: int
) -> None:
    found = looked(DAILY, "2026-11-17 03:00", "2026-11-21 12:00", policy)
    assert found == Due(
        run=tuple(ms(one) for one in run), skipped=skipped, handled_ms=ms("2026-11-21 03:00")
    )


def test_skip_still_runs_the_firing_of_this_minute() -> None:
    found = looked("cron(* * * * ? *)", "2026-11-21 11:00", "2026-11-21 12:00:30", Skip())
    assert found.run == (ms("2026-11-21 12:00"),)
    assert found.skipped == 59
    late = looked(DAILY, "2026-11-20 03:00", "2026-11-21 03:01", Skip())
    assert late == Due(run=(), skipped=1, handled_ms=ms("2026-11-21 03:00"))


def test_an_at_that_was_missed_runs_late_unless_it_is_to_be_skipped() -> None:
    at = "at(2026-11-05T12:00:00)"
    assert looked(at, None, "2026-11-21", Latest()).run == (ms("2026-11-05 12:00"),)
    assert looked(at, None, "2026-11-21", All(at_most=5)).run == (ms("2026-11-05 12:00"),)
    assert looked(at, None, "2026-11-21", Skip()) == Due((), 1, ms("2026-11-05 12:00"))
    assert looked(at, "2026-11-05 12:00", "2026-11-21", Latest()).run == ()


def test_an_at_of_before_the_start_is_not_run() -> None:
    assert looked("at(2026-10-01T12:00:00)", None, "2026-11-21", Latest()).run == ()


def test_a_clock_years_ahead_does_not_count_every_minute() -> None:
    """Two centuries of minutes: the last is found and the skipped are counted up to a bound."""
    found = looked("cron(* * * * ? *)", "2026-11-21", "2198-01-01", Latest())
    assert found == Due(
        run=(ms("2198-01-01"),),
        skipped=limits.SCHEDULE_SKIPPED_COUNTED,
        handled_ms=ms("2198-01-01"),
    )
    many = looked("rate(1 minute)", None, "2198-01-01", All(at_most=limits.SCHEDULE_MISSED_MAX))
    assert len(many.run) == limits.SCHEDULE_MISSED_MAX
    assert many.run[-1] - many.run[0] == (limits.SCHEDULE_MISSED_MAX - 1) * 60_000


@pytest.mark.parametrize("at_most", [0, -1, limits.SCHEDULE_MISSED_MAX + 1])
def test_all_has_a_bound(at_most: int) -> None:
    with pytest.raises(ValueError, match=f"at_most is {at_most}; 1 to 1000 are allowed"):
        All(at_most=at_most)


@settings(deadline=None)
@given(
    expression=st.sampled_from([DAILY, HOURLY, "cron(0/20 9-11 ? * MON-FRI *)", "rate(7 minutes)"]),
    looks=st.lists(st.integers(0, 3 * DAY_MS), min_size=1, max_size=8),
    policy=st.sampled_from([*POLICIES, All(at_most=2)]),
)
def test_however_it_is_looked_at_each_firing_is_run_or_skipped_once(
    expression: str, looks: list[int], policy: Missed
) -> None:
    now, handled, skipped = START_MS, None, 0
    run: list[int] = []
    counted = True  # a look counts what it skips up to a bound
    for wait_ms in looks:
        now += wait_ms
        found = due(expression, "UTC", handled, now, START_MS, policy)
        handled, skipped = found.handled_ms, skipped + found.skipped
        run += found.run
        counted = counted and found.skipped < limits.SCHEDULE_SKIPPED_COUNTED
    expected = list(firings(expression, "UTC", START_MS - 1, now, START_MS))
    assert run == sorted(set(run))
    assert set(run) <= set(expected)
    assert len(run) + skipped <= len(expected)
    assert len(run) + skipped == len(expected) or not counted


# --- the flexible time window ---------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 10**13), st.integers(1, limits.SCHEDULE_WINDOW_MAX_S), st.text(max_size=40))
def test_a_firing_stays_within_its_window(firing_ms: int, window_s: int, key: str) -> None:
    at = jittered(firing_ms, window_s, key)
    assert firing_ms <= at < firing_ms + window_s * 1000
    assert at == jittered(firing_ms, window_s, key)


def test_without_a_window_a_firing_is_on_time() -> None:
    assert jittered(123_456, 0, "nightly") == 123_456


def test_a_key_has_the_same_place_in_every_window_on_every_machine() -> None:
    """The number is that of a digest, not of this process."""
    assert jittered(0, 900, "nightly") == jittered(DAY_MS, 900, "nightly") - DAY_MS == 189_572
    assert jittered(0, 900, "hourly") != jittered(0, 900, "nightly")


def test_many_schedules_are_spread_evenly() -> None:
    """Of 6,000 schedules in a window of a minute each second has about a hundred."""
    seconds = [jittered(0, 60, f"shop/{number}") // 1000 for number in range(6_000)]
    counts = [seconds.count(second) for second in range(60)]
    assert 50 < min(counts) <= max(counts) < 150


@pytest.mark.parametrize("window_s", [-1, limits.SCHEDULE_WINDOW_MAX_S + 1])
def test_a_window_has_bounds(window_s: int) -> None:
    with pytest.raises(ValueError, match=f"window_s is {window_s}; 0 to 86400 are allowed"):
        jittered(0, window_s, "nightly")
