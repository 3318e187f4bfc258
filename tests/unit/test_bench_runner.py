"""The bench's runner: what is chosen, how floor and ours take turns, what failures do."""

from pathlib import Path

import pytest

from bench.__main__ import Asked, chosen, measured
from bench.context import Bench, Measure
from bench.load import BenchError

ASKED = Asked(quick=True, only=[], rounds=2, seconds=1, generator="own")


@pytest.fixture(autouse=True)
def on_a_folder_of_the_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WHERRY_BENCH_DIR", str(tmp_path))
    monkeypatch.setattr("bench.folders.MOUNTS", tmp_path / "no-mounts")


def measure(name: str, figure: str, calls: list[str], *, fails: bool = False) -> Measure:
    def ours(bench: Bench) -> dict[str, float]:
        assert list(bench.folder.iterdir()) == []
        calls.append(f"{name} ours")
        if fails and len(calls) > 2:
            raise BenchError("no such server")
        return {figure: 2.0}

    def floor(bench: Bench) -> dict[str, float]:
        calls.append(f"{name} floor")
        return {figure: 4.0}

    return Measure(name, "a test", (figure,), ours, floor)


def test_floor_and_ours_take_turns_on_fresh_folders() -> None:
    calls: list[str] = []
    results = measured([measure("orders", "orders_per_s", calls)], ASKED)
    assert calls == ["orders floor", "orders ours"] * 2
    assert results.figures["orders_per_s"].ratio == 0.5


def test_a_measure_that_fails_is_named_and_the_others_go_on() -> None:
    failing = measure("orders", "orders_per_s", [], fails=True)
    results = measured([failing, measure("trivial", "trivial_requests_per_s", [])], ASKED)
    assert list(results.figures) == ["trivial_requests_per_s"]
    assert results.not_measured == {"orders": "no such server"}


def test_measures_are_chosen_by_their_name_or_a_figures() -> None:
    both = (
        measure("orders", "orders_per_s", []),
        measure("trivial", "trivial_requests_per_s", []),
    )
    assert [each.name for each in chosen(both, [])] == ["orders", "trivial"]
    assert [each.name for each in chosen(both, ["orders"])] == ["orders"]
    assert [each.name for each in chosen(both, ["trivial_requests_per_s"])] == ["trivial"]
    with pytest.raises(BenchError, match="no such measure: ordres"):
        chosen(both, ["ordres"])
