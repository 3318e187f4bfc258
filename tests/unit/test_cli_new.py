"""`wherry new`: the smallest app, and that it works."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.unit.cli_kit import cli, ok
from tests.unit.source_kit import APPS_CACHE


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_new_app_is_whole(here: Path) -> None:
    """App, tests, Makefile, project file, .gitignore and README, all with its name."""
    told = ok("new", "my-notes")
    folder = here / "my-notes"
    assert sorted(path.name for path in folder.iterdir()) == [
        ".gitignore", "Makefile", "README.md", "app.py", "pyproject.toml", "test_app.py",
    ]  # fmt: skip
    assert "cd my-notes" in told
    assert "wherry dev" in told
    assert all("{{" not in path.read_text() for path in folder.iterdir())
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert project["project"]["name"] == "my-notes"
    ignored = (folder / ".gitignore").read_text().split()
    assert {".wherry/", "*.secret", ".env", ".venv/"} <= set(ignored)


def test_who_has_no_wherry_on_the_path_is_told_how_to_get_it(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Called as `.venv/bin/wherry`, the next steps begin with the line that makes them work."""
    activate = here / "venv" / "bin" / "activate"
    activate.parent.mkdir(parents=True)
    activate.touch()
    monkeypatch.setattr(sys, "prefix", str(here / "venv"))
    monkeypatch.setenv("PATH", str(here))
    assert f"  . {activate}  find wherry" in ok("new", "one")
    (here / "wherry").write_text("#!/bin/sh\n")
    (here / "wherry").chmod(0o755)
    assert "activate" not in ok("new", "two")


def test_a_new_app_is_sound(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`wherry check` in the new folder finds nothing: one route, one job."""
    ok("new", "hello")
    monkeypatch.chdir(here / "hello")
    assert "hello: no errors (2 functions, 1 table, 1 queue)" in ok("check")


def test_a_new_apps_code_is_clean(here: Path) -> None:
    """The template is formatted, without lint, and typed: it is the first example anybody sees."""
    ok("new", "hello")
    folder = str(here / "hello")
    for command in (
        ["ruff", "format", "--isolated", "--check", folder],
        ["ruff", "check", "--isolated", "--select", "E,F,I,B,UP", folder],
        ["mypy", "--strict", "--config-file=", "--cache-dir", APPS_CACHE, f"{folder}/app.py"],
    ):
        run = subprocess.run(
            [sys.executable, "-m", *command], capture_output=True, text=True, cwd=folder
        )
        assert run.returncode == 0, run.stdout + run.stderr


def test_a_new_apps_tests_pass(here: Path) -> None:
    """What `wherry new` writes is tested, with the team's test kit, and passes."""
    ok("new", "hello")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        capture_output=True,
        text=True,
        cwd=here / "hello",
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "3 passed" in run.stdout


def test_nothing_is_overwritten(here: Path) -> None:
    """A folder with something in it, or a file, is left as it is; an empty folder is taken."""
    (here / "full").mkdir()
    (here / "full" / "app.py").write_text("mine")
    (here / "file").write_text("mine")
    (here / "empty").mkdir()
    for name in ("full", "file"):
        result = cli("new", name)
        assert result.exit_code == 1
        assert "nothing is overwritten" in result.stderr
    assert (here / "full" / "app.py").read_text() == "mine"
    ok("new", "empty")


@pytest.mark.parametrize("name", ["", "Shop", "1st", "a b", "../up", "a/b", "x" * 64, "-x", "é"])
def test_names_are_checked(here: Path, name: str) -> None:
    """A name is lower-case letters, digits, - and _; anything else is a misuse."""
    assert cli("new", "--", name).exit_code == 2
    assert list(here.iterdir()) == []
