"""A database as its administrator has made it: its encoding, what its user may, what is set for all
who connect, and what is in front of it."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from tests.engine.shared_kit import Guarded, Pooler, Sharing, asked
from tests.postgres_kit import database, loop, server
from wherry.cli.moving.target import Target
from wherry.errors import Refused
from wherry.platforms.postgres.database import SETTINGS, Database
from wherry.platforms.postgres.migrating import TIMEOUTS
from wherry.platforms.postgres.store import PostgresStore, open_store
from wherry.ports import GetState, PutState, State
from wherry.world import Chance, SystemClock


def opened(dsn: str) -> PostgresStore:
    return loop().run(open_store(dsn, SystemClock(), Chance(), size=2))


def works(store: PostgresStore) -> bool:
    """Whether it keeps what it is given. It is closed then."""
    try:
        loop().run(store.answer("", PutState("kept", b"value")))
        return bool(loop().run(store.answer("", GetState("kept"))) == State(b"value"))
    finally:
        loop().run(store.close())


def test_a_schema_that_was_made_for_its_user_is_taken_where_he_may_make_none() -> None:
    assert works(opened(database("CREATE SCHEMA wherry AUTHORIZATION {user}")))


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_keep_every_text_is_refused(encoding: str) -> None:
    """An error with a character that it lacks could not be written down, and the message of it
    would be held until its lease ends."""
    may = "GRANT CREATE ON DATABASE {user} TO {user}"
    options = f"ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
    with pytest.raises(Refused, match=f"is {encoding}.*ENCODING 'UTF8'"):
        opened(database(may, options=options))


def test_no_timeout_of_its_user_ends_a_move() -> None:
    """It is idle while content of objects goes to S3, and reads whole tables."""
    set_all = [f"ALTER ROLE {{user}} SET {name} = '10s'" for name in TIMEOUTS]
    may = "GRANT CREATE ON DATABASE {user} TO {user}"
    dsn = database(may, *set_all)

    async def settings() -> set[str]:
        place = Database(dsn, "wherry_moving", 1, SystemClock(), Chance())
        target = await Target.open(place, "wherry")
        try:
            rows = "SELECT setting FROM pg_settings WHERE name = ANY ($1)"
            found = await target._connection.fetch(rows, TIMEOUTS)
            assert len(found) == len(TIMEOUTS)
            return {row[0] for row in found}
        finally:
            await target.close()

    assert loop().run(settings()) == {"0"}


def test_a_store_behind_a_pooler_has_the_settings_of_every_other() -> None:
    """A pooler in session mode lets them be set, and refuses them as parameters of a connection."""
    user = database("CREATE SCHEMA wherry AUTHORIZATION {user}").partition("@")[0]
    name = user.rpartition("/")[2]
    pooler = Pooler(server())
    store = opened(f"{user}@{pooler.address}/{name}?sslmode=disable")

    async def settings() -> dict[str, str]:
        connection = await store.database.connect()
        try:
            assert await connection.fetchval("SELECT current_schema()") == "wherry"
            rows = "SELECT name, setting FROM pg_settings WHERE name = ANY ($1)"
            return dict(await connection.fetch(rows, [*SETTINGS]))
        finally:
            await connection.close()

    assert loop().run(settings()) == SETTINGS
    assert works(store)
    pooler.close()


def test_a_pooler_in_transaction_mode_is_refused_before_anything_is_made() -> None:
    """The locks of who makes the schema, and the notifications, would be lost behind it."""
    user = database("CREATE SCHEMA wherry AUTHORIZATION {user}")
    address, name = user.partition("@")[0], user.partition("@")[0].rpartition("/")[2]
    pooler = Sharing(server())
    shared = f"{address}@{pooler.address}/{name}?sslmode=disable"

    async def move() -> None:
        place = Database(shared, "wherry_moving", 1, SystemClock(), Chance())
        await Target.open(place, "wherry")

    with pytest.raises(Refused, match=r"transaction mode is in front of it.*pool_mode = session"):
        opened(shared)
    with pytest.raises(Refused, match="transaction mode"):
        loop().run(move())
    pooler.close()
    assert asked(user, "SELECT count(*) FROM pg_tables WHERE schemaname = 'wherry'") == [(0,)]
    assert works(opened(user))


def test_system_as_root_certificate_is_whom_the_machine_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As libpq has it: it is no file of that name."""
    guarded = Guarded(server(), tmp_path)
    address = f"postgres://a@{guarded.address}/b?sslmode=verify-full&sslrootcert=system"
    with pytest.raises(ssl.SSLCertVerificationError):
        opened(address)
    monkeypatch.setenv("SSL_CERT_FILE", str(guarded.certificate))
    with pytest.raises(Exception, match=Guarded.TOLD):
        opened(address)
    guarded.close()
