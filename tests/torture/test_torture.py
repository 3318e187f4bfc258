"""A short torture: one life with every kind of fault that this machine lets us have.

Longer: `make torture MINUTES=10`; again: `make torture SEED=7 LIFE=0`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from .__main__ import main

CLIENTS = "3"  # enough to meet each fault with requests under way; what they cost grows with them
SEED = os.environ.get("WHERRY_SEED", "20261121")
GIVEN = ["--seed", SEED, "--life", "0", "--clients", CLIENTS, "--json"]


def test_whatever_happens_every_order_and_its_effect_are_there_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kills of all, also at system calls, pauses, a full disk, cut power, clocks that jump."""
    status = main([*GIVEN, "--folder", str(tmp_path)])
    printed, progress = capsys.readouterr()
    print(progress)
    assert status == 0, progress
    told = json.loads(printed)
    idle = [kind for kind, one in told["kinds"].items() if not one["rounds"] and not one["skipped"]]
    assert idle == []
    assert told["accepted"] > 100
    assert told["accepted"] + told["refused"] + told["unknown"] == told["asked"]
    assert told["effects_once"] + told["failure_inbox"] == told["present"]
    assert told["lost"] == told["twice"] == told["attempts_beyond_the_bound"] == 0
