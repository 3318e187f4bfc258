"""Which store an engine is on: what is taken, what is refused, and that no password is shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.cli_kit import cli
from wherry.engine.datafolder import DataFolder
from wherry.engine.storeplace import StorePlace, chosen, place_without_engine, remember, settle
from wherry.errors import Refused

HOST = "db.internal:5432/shop"


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        (f"postgres://shop:hush@{HOST}", f"postgres://shop@{HOST}"),
        (f"postgresql://shop@{HOST}", f"postgresql://shop@{HOST}"),
        (
            f"postgres://shop:h%40u@{HOST}?sslmode=require",
            f"postgres://shop@{HOST}?sslmode=require",
        ),
        (f"postgres://{HOST}?user=a&password=hush", f"postgres://{HOST}?user=a"),
        ("postgres://a:hush@/shop?host=/run/pg", "postgres://a@/shop?host=/run/pg"),
        ("postgres://a:hush@one:1,two:2/shop", "postgres://a@one:1,two:2/shop"),
        ("postgres://a:hu:s%40h@[::1]:5432/shop", "postgres://a@[::1]:5432/shop"),
    ],
)
def test_an_address_is_shown_without_its_password(dsn: str, shown: str) -> None:
    """Wherever the password stands in it."""
    place = StorePlace(dsn)
    assert place.shown == shown
    assert place.has_password == (dsn != shown)
    assert repr(place) == f"StorePlace({shown})"


@pytest.mark.parametrize(
    ("fields", "taken"),
    [
        ("?connect_timeout=10", ""),
        (
            "?sslmode=require&channel_binding=prefer&application_name=x",
            "?sslmode=require&application_name=x",
        ),
        ("?channel_binding=require&sslmode=verify-full", "?sslmode=verify-full"),
        ("?sslrootcert=system&channel_binding=require", "?sslrootcert=system"),
        ("?keepalives=1&keepalives_idle=30&host=/run/pg", "?host=/run/pg"),
    ],
)
def test_what_only_libpq_knows_is_left_out_where_nothing_depends_on_it(
    fields: str, taken: str
) -> None:
    """Addresses of managed databases are full of it; asyncpg takes it for settings."""
    place = StorePlace(f"postgres://shop:hush@{HOST}{fields}")
    assert place.dsn == f"postgres://shop:hush@{HOST}{taken}"
    assert place.shown == f"postgres://shop@{HOST}{fields}"


def test_channel_binding_is_not_left_out_where_nothing_else_proves_who_the_server_is() -> None:
    """Who asks for it wants that proof: the certificate is one, too."""
    with pytest.raises(Refused, match="sslmode=verify-full too"):
        StorePlace(f"postgres://shop@{HOST}?sslmode=require&channel_binding=require")


@pytest.mark.parametrize("name", ["sslrootcert", "sslcert", "sslkey", "sslcrl"])
def test_a_file_of_the_address_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    """What the system says of it names none."""
    path = tmp_path / "ca.crt"
    dsn = f"postgres://shop@{HOST}?sslmode=verify-full&{name}={path}"
    with pytest.raises(Refused, match=f"{name}={path}, which cannot be read: No such file"):
        StorePlace(dsn)
    path.touch()
    assert StorePlace(dsn).dsn == dsn


def test_an_error_is_told_without_the_password() -> None:
    """As it was written, and as it is sent."""
    place = StorePlace(f"postgres://shop:h%40sh@{HOST}")
    assert place.told("h%40sh and h@sh are wrong") == "*** and *** are wrong"


@pytest.mark.parametrize("dsn", ["", "shop", "mysql://h/shop", "postgres://h/a#b", "postgres://[h"])
def test_what_is_no_address_is_refused(dsn: str) -> None:
    """With an example, and without what was given: it may hold a password."""
    with pytest.raises(Refused, match="no address") as refused:
        StorePlace(dsn)
    assert "postgres://wherry@db.internal" in str(refused.value)


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgres://shop:{password}@{HOST}"
        for password in (
            "hu/sh",
            "hu?sh",
            "hu#sh",
            "hu@sh",
            "1/hush",
            "a@1/hush",
            "1?hush",
            "[hush",
        )
    ]
    + [f"postgres://{HOST}?password=a&hush", "postgres://hush@a,b:hush/shop"],
)
def test_a_password_that_ends_the_address_early_is_shown_nowhere(dsn: str) -> None:
    """A character that is not encoded makes the rest of it look like a host, a path or a field."""
    for store, variables in ((dsn, {}), ("", {"WHERRY_STORE": dsn})):
        with pytest.raises(Refused, match="in a password write %2F for /") as refused:
            chosen(store, "", variables)
        assert "hu" not in str(refused.value)


def test_a_password_on_the_command_line_is_refused() -> None:
    """Everybody on the machine would see it; the other two ways take it."""
    with pytest.raises(Refused, match="list of processes") as refused:
        chosen(f"postgres://shop:hush@{HOST}", "", {})
    assert "hush" not in str(refused.value)
    place = chosen("", "", {"WHERRY_STORE": f"postgres://shop:hush@{HOST}"})
    assert place is not None
    assert place.dsn == f"postgres://shop:hush@{HOST}"
    assert chosen("", "", {}) is None


def test_the_command_line_counts_before_the_variable() -> None:
    """Who says where the state is means it."""
    place = chosen("postgres://a/b", "", {"WHERRY_STORE": "postgres://c/d"})
    assert place is not None
    assert place.dsn == "postgres://a/b"


def test_a_file_with_an_address_is_its_owners_alone(tmp_path: Path) -> None:
    """One that others can read is refused, and so is one that is not there."""
    file = tmp_path / "store.url"
    file.write_text(f"postgres://shop:hush@{HOST}\n")
    file.chmod(0o640)
    with pytest.raises(Refused, match="chmod 600"):
        chosen("", str(file), {})
    file.chmod(0o600)
    place = chosen("", str(file), {})
    assert place is not None
    assert (place.shown, place.file) == (f"postgres://shop@{HOST}", str(file))
    with pytest.raises(Refused, match="no file"):
        chosen("", str(tmp_path / "none"), {})
    with pytest.raises(Refused, match="Say one"):
        chosen("postgres://a/b", str(file), {})


def test_a_folder_remembers_where_its_state_is(tmp_path: Path) -> None:
    """An engine does not begin an empty state beside it; verbs find it; no password is written."""
    with DataFolder.open(str(tmp_path / "data")) as data:
        assert place_without_engine(data, {}) is None
        settle(data, None)
        secret = StorePlace(f"postgres://shop:hush@{HOST}")
        settle(data, secret)
        assert not os.path.exists(data.elsewhere)  # nothing has begun there yet
        remember(data, secret)
        assert b"hush" not in Path(data.elsewhere).read_bytes()
        assert os.stat(data.elsewhere).st_mode & 0o077 == 0
        with pytest.raises(Refused, match=f"is in postgres://shop@{HOST}"):
            settle(data, None)
        found = place_without_engine(data, {})
        assert found is not None
        assert found.dsn == f"postgres://shop@{HOST}"
        found = place_without_engine(data, {"WHERRY_STORE": secret.dsn})
        assert found is not None
        assert found.dsn == secret.dsn
        assert DataFolder.at(data.root).elsewhere == data.elsewhere
        Path(data.elsewhere).write_bytes(b"{")
        with pytest.raises(Refused, match="damaged"):
            settle(data, None)


def test_a_folder_with_state_of_its_own_is_not_taken_to_another_store(tmp_path: Path) -> None:
    """What is in its database would be there no more."""
    with DataFolder.open(str(tmp_path / "data")) as data:
        Path(data.store).touch()
        with pytest.raises(Refused, match="state of its own"):
            settle(data, StorePlace(f"postgres://{HOST}"))
        assert place_without_engine(data, {"WHERRY_STORE": f"postgres://{HOST}"}) is None


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["--store", f"postgres://a:hush@{HOST}", "--objects-local"], "list of processes"),
        (["--store", "sqlite:///x", "--objects-local"], "no address"),
        (["--store", f"postgres://{HOST}"], "--objects-local"),
        (["--objects-local"], "--store"),
        (["--store", f"postgres://{HOST}", "--objects-local", "--objects", "s3://b"], "s3://b"),
        (["--store-file", "/none/at/all", "--objects-local"], "/none/at/all"),
    ],
)
def test_a_store_is_checked_before_anything_is_started(
    tmp_path: Path, given: list[str], why: str
) -> None:
    """What makes no sense is a misuse, told with the reason; no data folder is made for it."""
    (tmp_path / "app.py").write_text("from wherry import App\napp = App('plain')\n")
    result = cli("run", "--folder", tmp_path, "--data", tmp_path / "data", *given)
    assert result.exit_code == 2
    assert why in " ".join(result.stderr.replace("│", " ").split())
    assert "hush" not in result.stderr
    assert not (tmp_path / "data").exists()


def test_handlers_in_the_engines_process_cannot_wait_for_a_database(tmp_path: Path) -> None:
    """--inline is refused with it, and says why."""
    (tmp_path / "app.py").write_text("from wherry import App\napp = App('plain')\n")
    given = ["--store", f"postgres://{HOST}", "--objects-local", "--inline"]
    result = cli("dev", "--folder", tmp_path, "--data", tmp_path / "data", *given)
    assert result.exit_code == 2
    assert "--inline" in result.stderr
