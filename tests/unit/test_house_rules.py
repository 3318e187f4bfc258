"""House rules that a machine can hold: nothing unfinished, no tests that wait or pretend."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import wherry
from tests.unit.source_kit import parsed

ROOT = Path(__file__).parents[2]
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


def files(*folders: str) -> Iterator[Path]:
    """Yield the Python files below folders of the repository."""
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def sources(*folders: str) -> Iterator[tuple[Path, str]]:
    """Yield the same with their text."""
    for path in files(*folders):
        yield path.relative_to(ROOT), path.read_text()


@cache
def telling() -> list[tuple[Path, ast.Import | ast.ImportFrom | FUNCTION]]:
    """The imports and functions of the tests and the examples."""
    return [
        (path.relative_to(ROOT), node)
        for path, tree in parsed(files("tests", "examples"))
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom | FUNCTION)
    ]


def test_nothing_is_left_to_do() -> None:
    """Code says what is; what is missing is not promised in a comment."""
    found = [
        f"{path}:{number} {line.strip()}"
        for path, text in sources("src", "examples", "tests", "bench")
        for number, line in enumerate(text.splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert found == []


def test_tests_do_not_mock_us() -> None:
    """Tests run our code, not an imitation of it."""
    found = [
        str(path)
        for path, node in telling()
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("unittest"))
        or (isinstance(node, ast.Import) and any("mock" in one.name for one in node.names))
    ]
    assert found == []


def test_tests_are_not_skipped_or_expected_to_fail() -> None:
    """A test that does not run proves nothing; what the machine lacks is a reason to skip.

    So `skipif` with its reason is allowed, `skip` and `xfail` as decorators are not.
    """
    found = [
        f"{path}:{number}"
        for path, text in sources("tests", "examples")
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(r"@pytest\.mark\.(skip\b|xfail)", line)
    ]
    assert found == []


def test_every_test_states_its_claim() -> None:
    """A test's name or docstring is one sentence that can be true or false."""
    mute = [
        f"{path}:{node.lineno} {node.name}"
        for path, node in telling()
        if isinstance(node, FUNCTION)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
        and node.name.count("_") < 3
    ]
    assert mute == []


def test_public_functions_say_what_they_do() -> None:
    """Everything that `wherry` offers has a docstring."""
    mute = [
        name
        for name in wherry.__all__
        if callable(getattr(wherry, name)) and not getattr(wherry, name).__doc__
    ]
    assert mute == []


def test_public_names_are_all_there() -> None:
    """Every name of `__all__` can be had, is listed by dir(), and no other name is made up."""
    assert set(wherry.__all__) <= set(dir(wherry))
    assert all(getattr(wherry, name) is not None for name in wherry.__all__)
    assert not hasattr(wherry, "Nonsense")
