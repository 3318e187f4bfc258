"""`make demo` ends well."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.docs.pages import ROOT


def test_the_demo_goes_as_it_should() -> None:
    """Its driver checks every step of the story and exits with 0."""
    run = subprocess.run(
        [sys.executable, str(ROOT / "examples/shop/demo.py")],
        capture_output=True, text=True, timeout=120, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr
    assert "All of it was as it should be" in run.stdout
