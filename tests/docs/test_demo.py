"""`make demo` ends well."""

from __future__ import annotations

import os
import sys

from tests.docs.pages import ROOT, run_whole


def test_the_demo_goes_as_it_should() -> None:
    """Its driver checks every step of the story and exits with 0."""
    command = [sys.executable, str(ROOT / "examples/shop/demo.py")]
    code, said = run_whole(command, env={**os.environ, "NO_COLOR": "1"})
    assert code == 0, said[-6000:]
    assert "All of it was as it should be" in said
