"""The shape of the code: which part may know which other, and how large a part may become."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.unit.source_kit import parsed

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "wherry"

ROWS: list[set[str]] = [
    {"errors", "limits", "world"},
    {"codec", "names", "tickets"},
    {"asl", "drawing", "patterns", "schedules", "statemachine"},
    {"blueprint"},
    {"effects", "telemetry", "paths"},
    {"invocation", "ports"},
    {"platforms.shared"},
    {"handles", "platforms.sql", "platforms.postgres", "platforms.files"},
    {"platforms.s3", "platforms.socket"},
    {"app", "identity", "observe", "registry"},
    {"runtime"},
    {"engine", "openapi"},
    {"testing"},
    {"cli"},
]
"""From the bottom up: a room may import those of the rows below its own, and no other."""

ROW_OF = {room: row for row, rooms in enumerate(ROWS) for room in rooms}
SHIPPED = {room for rooms in ROWS[: ROW_OF["runtime"] + 1] for room in rooms}

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 70


@cache
def files() -> dict[str, tuple[Path, ast.Module]]:
    """Return every module of wherry by its dotted name, parsed."""
    found = {}
    for path, tree in parsed(sorted(SOURCE.rglob("*.py"))):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        found[name] = (path, tree)
    return found


@cache
def nodes(name: str) -> list[ast.AST]:
    """All that a module is made of."""
    return list(ast.walk(files()[name][1]))


def room_of(module: str) -> str:
    """`platforms.sql.items` -> `platforms.sql`; `handles.tables` -> `handles`."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "platforms" else parts[0]


@cache
def imported(name: str) -> tuple[tuple[str, int, bool], ...]:
    """Return what a module imports: the dotted name, the line, whether its own import pays for it.

    Imports inside functions and below `if TYPE_CHECKING:` count like any other; only the last
    word tells them apart.
    """
    return tuple(_imported(name))


def _imported(name: str) -> Iterator[tuple[str, int, bool]]:
    path, tree = files()[name]
    package = f"wherry.{name}".split(".")[: None if path.name == "__init__.py" else -1]
    at_the_top = set(map(id, _at_the_top(tree.body)))
    for node in nodes(name):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno, id(node) in at_the_top
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{source}.{alias.name}", node.lineno, id(node) in at_the_top


def _at_the_top(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                pass
            case ast.If() | ast.Try() | ast.With():
                yield from _at_the_top(node.body)
            case _:
                yield node


def module_named(name: str) -> str | None:
    """Return wherry's module that an imported name is, or is in; None where it is another's."""
    if name != "wherry" and not name.startswith("wherry."):
        return None
    inside = name.partition(".")[2]
    while inside not in files():
        inside = inside.rpartition(".")[0]
    return inside


def test_every_module_has_a_row() -> None:
    """Nothing is added without saying where in the house it belongs."""
    rooms = {room_of(name) for name in files() if name not in ("", "platforms", "__main__")}
    assert rooms - set(ROW_OF) == set()


def test_imports_go_down() -> None:
    """A row imports only the rows below it; rooms of one row do not import each other."""
    wrong = []
    for name, (path, _) in files().items():
        if name in ("", "platforms", "__main__"):
            continue
        room = room_of(name)
        for what, line, _ in imported(name):
            target = module_named(what)
            if target is None:
                continue
            if target == "":
                wrong.append(f"{path}:{line} imports the public names; import from their module")
                continue
            other = room_of(target)
            if other != room and ROW_OF[other] >= ROW_OF[room]:
                wrong.append(f"{path}:{line} {room} imports {other}")
    assert wrong == []


def test_public_names_are_of_the_lower_rows() -> None:
    """What `wherry` itself offers comes from rows 0 to 5: nothing that knows where it runs."""
    rooms = {room_of(target) for what, _, _ in imported("")
             if (target := module_named(what))}  # fmt: skip
    assert rooms <= {room for rooms in ROWS[: ROW_OF["app"] + 1] for room in rooms}


def test_no_module_needs_itself() -> None:
    """No module imports itself over others while it is being imported."""
    graph = {
        name: {
            target
            for what, _, top in imported(name)
            if top and (target := module_named(what)) is not None and target != name
        }
        for name in files()
    }
    # A package's __init__ gathers names of its own modules; those may import each other directly.
    packages = {name for name in graph if any(other.startswith(f"{name}.") for other in graph)}
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            ring = path[path.index(name) :]
            assert set(ring) & packages, " -> ".join((*ring, name))
            return
        if name in done:
            return
        for other in sorted(graph[name]):
            walk(other, (*path, name))
        done.add(name)

    for name in sorted(graph):
        walk(name, ())


def test_files_stay_small() -> None:
    """A file that outgrows a reader's patience is two files."""
    long = {
        str(path.relative_to(ROOT)): lines
        for path, _ in files().values()
        if (lines := path.read_text().count("\n")) > MAX_FILE_LINES
    }
    assert long == {}


def test_functions_stay_small() -> None:
    """A function fits a screen."""
    long = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": lines
        for name, (path, _) in files().items()
        for node in nodes(name)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION_LINES
    }
    assert long == {}


# --- time and chance ----------------------------------------------------------------------------

FORBIDDEN_MODULES = {"time", "random", "secrets"}
FORBIDDEN_CALLS = {
    "asyncio.sleep",
    "date.today",
    "datetime.now",
    "datetime.today",
    "datetime.utcnow",
    "loop.time",
    "os.getrandom",
    "os.urandom",
    "uuid.uuid1",
    "uuid.uuid4",
}
MAY_WAIT = {"engine.server": "it waits for its own end, outside of everything that is tested"}


def dotted(node: ast.expr) -> str:
    """Return `a.b` for the last two names of an attribute chain."""
    match node:
        case ast.Attribute(value=ast.Name(id=owner), attr=name):
            return f"{owner.lstrip('_')}.{name}"
        case ast.Attribute(value=ast.Attribute(attr=owner), attr=name):
            return f"{owner.lstrip('_')}.{name}"
        case _:
            return ""


def test_time_and_chance_come_from_world() -> None:
    """Nobody but world.py looks at a clock or throws dice, so that a test can hold both."""
    wrong = []
    for name, (path, _) in files().items():
        if name == "world":
            continue
        for what, line, _ in imported(name):
            module, _, member = what.rpartition(".")
            if {what.partition(".")[0]} & FORBIDDEN_MODULES or (
                module == "uuid" and member != "UUID"
            ):
                wrong.append(f"{path}:{line} imports {what}")
        for node in nodes(name):
            called = dotted(node.func) if isinstance(node, ast.Call) else ""
            waits = called == "asyncio.sleep" and name in MAY_WAIT
            if called in FORBIDDEN_CALLS and not waits:
                wrong.append(f"{path}:{node.lineno} calls {called}")  # type: ignore[attr-defined]
    assert wrong == []


# --- what an import costs -----------------------------------------------------------------------


def test_no_dataclasses_in_what_ships() -> None:
    """Records of rows 0 to 6 are Structs: forty dataclasses cost a cold start 20 ms."""
    wrong = [
        f"{path}:{line}"
        for name, (path, _) in files().items()
        if room_of(name) in SHIPPED
        for what, line, top in imported(name)
        if what == "dataclasses.dataclass" or (top and what.startswith("dataclasses"))
    ]
    assert wrong == []


HEAVY = [
    "apsw", "argon2", "asyncio", "click", "concurrent.futures", "dataclasses", "email", "fcntl",
    "hashlib", "http", "httptools", "inspect", "joserfc", "json", "logging", "pydantic", "socket",
    "sqlite3", "ssl", "subprocess", "tempfile", "threading", "traceback", "urllib",
]  # fmt: skip


@pytest.fixture(scope="module")
def modules() -> dict[str, list[str]]:
    """What is imported, beyond msgspec, by `import wherry` and by all of its public names."""
    code = (
        "import sys, msgspec, datetime, uuid, decimal, enum\n"
        "before = set(sys.modules)\n"
        "import wherry\n"
        "print(*sorted(set(sys.modules) - before))\n"
        "for name in wherry.__all__: getattr(wherry, name)\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    first, second = run.stdout.splitlines()
    return {"wherry": first.split(), "names": second.split()}


def test_import_wherry_imports_itself_only(modules: dict[str, list[str]]) -> None:
    """`import wherry` alone loads one module."""
    assert modules["wherry"] == ["wherry"]


def test_public_names_cost_little(modules: dict[str, list[str]]) -> None:
    """All that a handler's module needs is a few dozen modules, and none of the heavy ones."""
    tops = {name for name in modules["names"] if not name.startswith("wherry")}
    heavy = {name for name in tops for bad in HEAVY if name == bad or name.startswith(f"{bad}.")}
    assert heavy == set()
    assert len(modules["names"]) <= 42  # Python 3.12 and 3.13 have one or two more of their own


# --- bounds -------------------------------------------------------------------------------------


def test_every_limit_is_used() -> None:
    """A bound that nothing holds to is a promise not kept."""
    stated = {
        target.id
        for node in files()["limits"][1].body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    used = {
        node.attr
        for name in files()
        for node in nodes(name)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "limits"
    }
    taken = {
        what.rpartition(".")[2]
        for name in files()
        for what, _, _ in imported(name)
        if what.startswith("wherry.limits.")
    }
    built_from = {
        node.id
        for node in nodes("limits")
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    assert stated - used - taken - built_from == set()
