"""`wherry check`, `blueprint`, `openapi`: and which app is meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli_kit import cli, ok, ok_json
from wherry.cli.target import find_target
from wherry.errors import Refused

GOOD = '''
from wherry import App
print("imported")
app = App("plain")
@app.get("/notes")
def notes() -> str:
    """List them."""
    return ""
'''
TWICE = GOOD + '@app.get("/notes")\ndef again() -> str: return ""\n'


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


# -- which app -------------------------------------------------------------------------------------


def test_what_was_named_is_meant(tmp_path: Path) -> None:
    """A module, a module and a name, or a file's path."""
    assert find_target("shop:backend", str(tmp_path)) == "shop:backend"
    assert find_target("shop.py", str(tmp_path)) == "shop"
    assert find_target("sub/shop.py:app", str(tmp_path)) == "sub.shop:app"


def test_the_project_says_which(tmp_path: Path) -> None:
    """`app` below [tool.wherry] counts before what lies around."""
    write(tmp_path, "app.py", GOOD)
    write(tmp_path, "pyproject.toml", '[tool.wherry]\napp = "shop:backend"\n')
    assert find_target("", str(tmp_path)) == "shop:backend"


def test_the_app_in_app_py_is_meant(tmp_path: Path) -> None:
    """`app.py` counts before other modules, whatever its App is called."""
    write(tmp_path, "other.py", GOOD)
    write(tmp_path, "app.py", "import wherry\nbackend: wherry.App = wherry.App('x')\n")
    assert find_target("", str(tmp_path)) == "app:backend"


def test_the_only_app_is_meant(tmp_path: Path) -> None:
    """One App in the folder's modules needs no name; tests do not count."""
    write(tmp_path, "shop.py", GOOD)
    write(tmp_path, "test_shop.py", GOOD)
    write(tmp_path, "tools.py", "def app(): return App('x')\n")
    assert find_target("", str(tmp_path)) == "shop:app"


def test_several_apps_are_not_guessed(tmp_path: Path) -> None:
    """Where there is a choice all are named, and how to choose."""
    write(tmp_path, "one.py", GOOD)
    write(tmp_path, "two.py", GOOD)
    with pytest.raises(Refused, match=r"one:app, two:app.*\[tool.wherry\]"):
        find_target("", str(tmp_path))


def test_a_folder_without_an_app_says_so(tmp_path: Path) -> None:
    """Nothing to run is told with the way to begin; a project file that is no TOML as well."""
    with pytest.raises(Refused, match="wherry new"):
        find_target("", str(tmp_path))
    write(tmp_path, "pyproject.toml", "[tool.wherry\n")
    with pytest.raises(Refused, match="no TOML"):
        find_target("", str(tmp_path))
    write(tmp_path, "pyproject.toml", "[tool.wherry]\napp = 3\n")
    with pytest.raises(Refused, match="no text"):
        find_target("", str(tmp_path))


# -- check -----------------------------------------------------------------------------------------


def test_a_sound_app_is_fine(tmp_path: Path) -> None:
    """No finding: exit code 0, and what there is."""
    write(tmp_path, "app.py", GOOD)
    assert "plain: no errors (1 function)" in ok("check", "--folder", tmp_path)


def test_findings_have_place_and_fix(tmp_path: Path) -> None:
    """Each error with file, line and what to do; exit code 1."""
    write(tmp_path, "app.py", TWICE)
    result = cli("check", "--folder", tmp_path)
    assert result.exit_code == 1
    assert "app.py:9: error:" in result.stdout
    assert "plain: 1 error" in result.stdout
    found = json.loads(cli("check", "--folder", tmp_path, "--json").stdout)
    assert [one["severity"] for one in found] == ["error"]
    assert found[0]["fix"]


def test_production_asks_for_more(tmp_path: Path) -> None:
    """--stage prod finds the development issuer; dev does not mind it."""
    write(tmp_path, "app.py", GOOD + 'app.auth("users", roles=["user"])\n')
    ok("check", "--folder", tmp_path)
    result = cli("check", "--folder", tmp_path, "--stage", "prod")
    assert result.exit_code == 1
    assert "development_issuer" in result.stdout


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def broken(:\n", "SyntaxError"),
        ("import no_such_module\n", "No module named 'no_such_module'"),
        ("def f():\n    raise ValueError('mine')\nf()\n", "ValueError: mine"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
        ("app = 3\n", "has no App named 'app'"),
    ],
)
def test_code_that_cannot_be_imported_is_shown(tmp_path: Path, text: str, told: str) -> None:
    """A fault in the team's code is shown from its own first line on, without our frames."""
    write(tmp_path, "app.py", text)
    result = cli("check", "app:app", "--folder", tmp_path)
    assert result.exit_code == 1
    assert told in result.stderr
    assert "importlib" not in result.stderr
    assert "wherry/cli" not in result.stderr


def test_what_modules_print_does_not_spoil_the_output(tmp_path: Path) -> None:
    """The blueprint on standard output is JSON, whatever the app prints when it is imported."""
    write(tmp_path, "app.py", GOOD)
    result = cli("blueprint", "--folder", tmp_path)
    assert json.loads(result.stdout)["app"] == "plain"
    assert "imported" in result.stderr


def test_the_digest_follows_the_app(tmp_path: Path) -> None:
    """A line that moves changes nothing; a route that is added does."""
    write(tmp_path, "app.py", GOOD)
    digest = ok("blueprint", "--digest", "--folder", tmp_path)
    write(tmp_path, "app.py", "\n\n" + GOOD)
    assert ok("blueprint", "--digest", "--folder", tmp_path) == digest
    write(tmp_path, "app.py", TWICE.replace('"/notes")\ndef again', '"/more")\ndef again'))
    assert ok("blueprint", "--digest", "--folder", tmp_path) != digest


def test_openapi_is_printed(tmp_path: Path) -> None:
    """The document that the gateway serves, without a server."""
    write(tmp_path, "app.py", GOOD)
    document = json.loads(ok("openapi", "--folder", tmp_path))
    assert document["openapi"].startswith("3.1")
    assert "/notes" in document["paths"]


def test_a_folder_that_cannot_be_asked_does_not_hide_findings(tmp_path: Path) -> None:
    """Where the data is no store of ours the app is checked all the same, with a word."""
    write(tmp_path, "app.py", GOOD)
    data = tmp_path / "data"
    data.mkdir()
    (data / "store.sqlite").write_bytes(b"no database" * 100)
    result = cli("check", "--folder", tmp_path, "--data", data)
    assert result.exit_code == 0
    assert "is not looked at" in result.stderr
    assert ok_json("check", "--folder", tmp_path) == []


def test_a_schedule_whose_moments_are_over_is_a_warning(tmp_path: Path) -> None:
    """It would be accepted, and nothing would ever come of it."""
    path = write(
        tmp_path,
        "app.py",
        GOOD
        + '@app.schedule("at(2020-01-01T00:00:00)")\ndef once() -> None: ...\n'
        + '@app.schedule("rate(1 day)")\ndef daily() -> None: ...\n',
    )
    (found,) = ok_json("check", f"{path.stem}:app", "--folder", tmp_path)
    assert (found["code"], found["severity"]) == ("schedule_over", "warning")
    assert "at(2020-01-01T00:00:00)" in found["message"]
