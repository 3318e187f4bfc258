"""The stores that engines of tests have: SQLite in their folders, or a Postgres of the worker's.

A test that says `@both_stores` runs on both in every run of the suite; all others run on SQLite, or
on Postgres where `WHERRY_TEST_STORE=postgres` asks for it (`make test STORE=postgres`). A test that
says `@sqlite_alone(why)` is skipped there.
"""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

CHOSEN = os.environ.get("WHERRY_TEST_STORE", "sqlite")
if CHOSEN not in ("sqlite", "postgres"):
    raise ValueError(f"WHERRY_TEST_STORE={CHOSEN} is neither sqlite nor postgres")
ON_POSTGRES = CHOSEN == "postgres"
BOTH = ["postgres"] if ON_POSTGRES else ["sqlite", "postgres"]
both_stores = pytest.mark.parametrize("store", BOTH, indirect=True, scope="module")

_current = CHOSEN
_numbers = itertools.count(1)
_databases: dict[Path, str] = {}  # of a data folder: an engine that starts again finds its state


def sqlite_alone(why: str) -> pytest.MarkDecorator:
    """What a test claims is not to be had on Postgres, or is not the engine's doing there."""
    return pytest.mark.skipif(ON_POSTGRES, reason=why)


def arguments_for(root: Path, others: list[str]) -> list[str]:
    """Return what the command line says of the store of an engine on this data folder.

    Args:
        others: What it says besides.
    """
    if _current == "sqlite" or "--store" in others or "--store-file" in others:
        return []
    if root not in _databases:
        _databases[root] = _new_database()
    here = [] if "--objects" in others else ["--objects-local"]
    return ["--store", _dsn(_databases[root]), *here]


def engines_on(store: str) -> Iterator[str]:
    """Let engines that are made from now on have this store, until their tests are done."""
    global _current
    before, _current = _current, store
    made = set(_databases)
    yield store
    _current = before
    for root in set(_databases) - made:
        with suppress(Exception):  # an engine that others share is still there
            _asked(f"DROP DATABASE {_databases[root]}")
            del _databases[root]


def _dsn(name: str) -> str:
    from tests.postgres_kit import server

    return f"postgres://wherry@/{name}?host={server().folder}"


def _asked(sql: str) -> list[Any]:
    from tests.engine.shared_kit import asked

    return asked(_dsn("postgres"), sql)


def _new_database() -> str:
    name = f"engine_{os.getpid()}_{next(_numbers)}"
    _asked(f"CREATE DATABASE {name} TEMPLATE {_migrated()}")
    return name


@cache
def _migrated() -> str:
    """Return a database with wherry's tables in it, to be copied."""
    from tests.postgres_kit import loop
    from wherry.platforms.postgres.store import open_store
    from wherry.world import Chance, ManualClock

    name = f"engine_{os.getpid()}_0"
    _asked(f"CREATE DATABASE {name}")

    async def migrate() -> None:
        store = await open_store(_dsn(name), ManualClock(), Chance(0))
        await store.close()

    loop().run(migrate())
    return name
