"""The SQL of the store on Postgres: all of it can be run, is used, and finds rows by an index."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres_kit import Schema, loop, schema
from wherry import limits
from wherry.platforms.postgres.database import FOLDER, Database
from wherry.platforms.shared.statements import load_statements, texts
from wherry.world import ManualClock

STATEMENTS = load_statements(FOLDER)
WHOLE = {  # small tables, or all of it is what was asked for
    "catalog_changed", "catalog_version", "count_failures", "counts", "free_others", "index_add",
    "indexes_all", "item_get", "names_all", "pauses_all", "pauses_over", "queues_forget",
    "recover", "recover_lost", "redrives_all", "redrives_locked", "release_activate",
    "release_again", "release_delete", "releases_digests", "releases_lately", "releases_list",
    "release_due", "release_stays", "releases_read", "schedules_all",
}  # fmt: skip


@pytest.fixture(scope="module")
def database() -> Iterator[Schema]:
    with schema(ManualClock()) as found:
        yield found


COMMANDS = {"one_snapshot"}  # have no plan


async def planned(database: Database, sql: str) -> list[str]:
    """Return how a statement will be run, whatever its values are."""
    connection = await database.connect()
    try:
        prepared = await connection.prepare(sql)
        nothing = ", ".join("NULL" for _ in prepared.get_parameters())
        await connection.execute(f"PREPARE to_explain AS {sql}")
        values = f"({nothing})" if nothing else ""
        rows = await connection.fetch(f"EXPLAIN (COSTS OFF) EXECUTE to_explain{values}")
        return [row[0] for row in rows]
    finally:
        await connection.close()


@pytest.mark.parametrize("name", sorted(STATEMENTS.keys() - COMMANDS))
def test_a_statement_can_be_run_and_finds_its_rows_without_a_scan(
    database: Schema, name: str
) -> None:
    steps = loop().run(planned(database.store.store.database, STATEMENTS[name]))
    scanned = [step for step in steps if "Seq Scan" in step]
    if name not in WHOLE:
        assert [step for step in scanned if "Seq Scan on catalog" not in step] == []


def test_every_named_statement_is_used() -> None:
    folders = Path(FOLDER), Path(FOLDER).parent / "shared"
    text = "".join(path.read_text() for folder in folders for path in folder.glob("*.py"))
    assert [name for name in STATEMENTS if f'"{name}"' not in text] == []


def test_the_bounds_that_the_functions_hold_to_are_those_of_the_limits() -> None:
    """A function of the database cannot read them from the code."""
    text = "".join(texts(FOLDER, "migrations"))
    for bound in (limits.DEDUP_S * 1000, limits.REFERENCE_BYTES):
        assert re.search(rf"\b{bound}\b", text), bound
