"""A short torture of two engines on one Postgres. Longer: `make torture STORE=postgres`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .__main__ import main
from .test_torture import GIVEN

FAULTS = (
    "kill engine",
    "kill postmaster",
    "pause engine",
    "partition, late delivery",
    "connections exhausted",
)


def test_whatever_happens_to_engines_and_their_database_every_effect_is_there_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An engine that dies, sleeps past its leases or is cut off; a Postgres that dies, or is full;
    clocks that are minutes apart."""
    only = [word for fault in FAULTS for word in ("--only", fault)]
    status = main([*GIVEN, "--store", "postgres", *only, "--folder", str(tmp_path)])
    printed, progress = capsys.readouterr()
    print(progress)
    assert status == 0, progress
    told = json.loads(printed)
    assert [kind for kind in FAULTS if not told["kinds"][kind]["rounds"]] == []
    assert told["accepted"] > 50
    assert told["accepted"] + told["refused"] + told["unknown"] == told["asked"]
    assert told["effects_once"] + told["failure_inbox"] == told["present"]
    assert told["lost"] == told["twice"] == told["attempts_beyond_the_bound"] == 0
