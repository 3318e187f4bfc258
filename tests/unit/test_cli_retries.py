"""`wherry retries`, and what of it `wherry check` warns of."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli_kit import cli, ok, ok_json

SHOP = """
from wherry import App, Struct

class Job(Struct):
    order_id: str

app = App("shop")
orders = app.table(Job, key="order_id", name="orders")
exports = app.queue(Job, name="exports", max_attempts={exports})
mails = app.queue(Job, name="mails", max_attempts={mails})

@app.get("/orders", grants=[orders.read])
def look() -> None: ...

@app.post("/orders", grants=[orders.write, exports.send])
def create(job: Job) -> None: ...

@app.consume(exports, grants=[orders.read, mails.send])
def export(job: Job) -> None: ...

@app.consume(mails, grants=[{more}])
def mail(job: Job) -> None: ...
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path)


def write(folder: Path, exports: int = 3, mails: int = 5, more: str = "") -> Path:
    text = SHOP.format(exports=exports, mails=mails, more=more)
    (folder / "app.py").write_text(text)
    return folder


def test_each_step_stands_below_what_causes_it(folder: Path) -> None:
    """With its attempts, their product, its re-runs, its time and where a failure waits."""
    lines = ok("retries", "--folder", folder).splitlines()
    assert [" ".join(line.split()) for line in lines[:4]] == [
        "path attempts most re-runs last after when it fails for good",
        "POST /orders > create 1 1 - - nothing is kept, the caller is told",
        "└─ exports.send > export 3 3 5 3.00 s failure inbox: exports",
        "└─ mails.send > mail 5 15 - 18.0 s failure inbox: mails",
    ]
    assert lines[3].startswith("   └─ ")
    assert lines[-1] == "1 more route causes nothing further."


def test_programs_get_the_paths(folder: Path) -> None:
    """--json: every path with its layers and bounds, cycles, findings."""
    found = ok_json("retries", "--folder", folder)
    assert (found["complete"], found["cycles"], found["findings"]) == (True, [], [])
    assert [(path["entry"], path["most_attempts"]) for path in found["paths"]] == [
        ("GET /orders", 1),
        ("POST /orders", 15),
    ]
    last = found["paths"][1]["layers"][-1]
    assert last["by"] == ["mails.send"]
    assert last["step"]["inbox"] == "mails"


def test_a_sound_app_is_not_warned(folder: Path) -> None:
    """`wherry check` says nothing of paths that are bounded."""
    assert ok_json("check", "--folder", folder) == []


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ({"exports": 100, "mails": 11}, "retries_multiply", "multiply to 1,100"),
        ({"more": "exports.send"}, "endless_path", "export (mails.send) > mail (exports.send)"),
    ],
)
def test_what_has_no_sound_bound_is_warned_of(
    tmp_path: Path, change: dict[str, int | str], code: str, told: str
) -> None:
    """Both verbs tell it, and neither fails for it."""
    write(tmp_path, **change)  # type: ignore[arg-type]
    shown = ok("retries", "--folder", tmp_path)
    assert f"[{code}]" in shown
    assert told in shown
    assert ("no bound" in shown) == (code == "endless_path")
    assert [one["code"] for one in ok_json("check", "--folder", tmp_path)] == [code]
    assert [one["code"] for one in ok_json("retries", "--folder", tmp_path)["findings"]] == [code]


def test_an_app_that_nothing_calls_is_said_to_be_one(tmp_path: Path) -> None:
    """No routes, no queues: a sentence, not an empty table."""
    (tmp_path / "app.py").write_text('from wherry import App\napp = App("empty")\n')
    assert ok("retries", "--folder", tmp_path) == "empty has no functions that anything calls.\n"


def test_an_app_with_errors_is_refused(tmp_path: Path) -> None:
    """What is wrong comes first; there is no graph of an app that cannot run."""
    write(tmp_path, exports=0)
    result = cli("retries", "--folder", tmp_path)
    assert result.exit_code == 1
    assert "max_attempts=0" in result.stderr


def test_the_page_shows_what_is_printed() -> None:
    """The table in docs/operating.md is that of the example shop."""
    root = Path(__file__).parents[2]
    table = ok("retries", "shop:app", "--folder", root / "examples" / "shop").partition("\n\n")[0]
    assert table in (root / "docs" / "operating.md").read_text()
