"""What versions leave behind that were replaced."""

from __future__ import annotations

from pathlib import Path

from wherry.runtime.process.trees import children

from .server_kit import running, serving, until

APP = """
from wherry import App

app = App("steps")

@app.get("/")
def look() -> int:
    return VERSION
"""


def test_no_process_of_a_replaced_version_is_left_not_even_a_zombie(tmp_path: Path) -> None:
    """The engine reaps environments whose zygote ended before them."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "steps.py").write_text(APP.replace("VERSION", "0"))
    with serving("steps", tmp_path / "data", folder=code) as engine:
        for version in range(1, 5):
            assert engine.client("GET", "/").json() == version - 1
            (code / "steps.py").write_text(APP.replace("VERSION", str(version)))
            engine.call("reload")
        until(lambda: len(engine.status()["zygotes"]) == 1, "the end of the old versions")
        until(lambda: all(map(running, children(engine.pid))), "none but what runs")
