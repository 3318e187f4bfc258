"""`wherry token`, `accounts`, `secrets`: without an engine."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from tests.unit.cli_kit import Data, cli, ok, ok_json
from wherry.engine.broker import Secrets
from wherry.engine.gateway.callers import StoreState
from wherry.errors import Refused
from wherry.identity import DevelopmentIssuer, Verifier
from wherry.world import Chance, SystemClock

URL = "http://127.0.0.1:8000"


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return Data(tmp_path / "data")


def test_a_token_is_good_for_the_next_engine(data: Data) -> None:
    """Without an engine the key in the folder signs, and an engine at that URL takes it."""
    token = ok("token", "--subject", "alice", "--role", "staff", "--data", data.path).strip()
    clock = SystemClock()
    issuer = DevelopmentIssuer(
        f"{URL}/_issuer/customers",
        "customers",
        ("customer", "staff"),
        StoreState("customers", lambda request: data.ask(request)[0]),
        clock=clock,
        chance=Chance(),
    )
    claims = Verifier(issuer.url, ["customers"], clock=clock, fetch=issuer.fetch).verify(token)
    assert (claims.subject, claims.roles) == ("alice", ("staff",))


def test_a_token_may_be_made_before_the_first_start(data: Data, tmp_path: Path) -> None:
    """With TARGET the app's own auths count, and the folder is made."""
    folder = tmp_path / "fresh"
    command = ["token", "--subject", "alice", "--role", "staff", "--data", str(folder)]
    assert cli(*command).exit_code == 1
    assert not folder.exists()
    token = ok(*command, "shop:app", "--folder", data.code)
    assert token.count(".") == 2
    assert (folder / "store.sqlite").exists()


def test_a_token_has_an_existing_role_and_a_bounded_life(data: Data) -> None:
    """A role that is none is refused with those that are; a life beyond a day is a misuse."""
    wrong = cli("token", "--subject", "alice", "--role", "king", "--data", data.path)
    assert wrong.exit_code == 1
    assert "customer" in wrong.stderr
    arguments = ["token", "--subject", "alice", "--lifetime-s", "86401", "--data", str(data.path)]
    assert cli(*arguments).exit_code == 2
    assert ok_json("token", "--subject", "a", "--data", data.path)["expires_in"] == 3_600
    assert cli("token", "--data", data.path).exit_code == 2


def test_an_account_is_made_with_its_roles(data: Data) -> None:
    """The password comes over standard input; a weak one is refused with what is wrong."""
    command = ["accounts", "add", "bob", "--role", "staff", "--data", str(data.path)]
    weak = cli(*command, stdin="short\n")
    assert weak.exit_code == 1
    assert "$.password" in weak.stderr
    assert "bob has an account" in ok(*command, stdin="correct horse battery\n")
    taken = cli(*command, stdin="correct horse battery\n")
    assert taken.exit_code == 1
    assert "taken" in taken.stderr


# -- secrets ---------------------------------------------------------------------------------------


def test_a_secret_is_set_for_the_engine_only(tmp_path: Path) -> None:
    """The value comes over standard input into a 0600 file, from which the engine reads it."""
    folder = tmp_path / "data"
    ok("secrets", "set", "payment-key", "--data", folder, stdin="s3cret\n")
    path = folder / "secrets" / "payment-key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert Secrets(str(folder / "secrets"), {}).get("payment-key") == "s3cret"
    ok("secrets", "set", "payment-key", "--data", folder, stdin="rotated")
    assert path.read_text() == "rotated"
    Data(folder)  # an engine takes the folder over


def test_a_secret_that_cannot_be_written_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk without room: the error names the file, and nothing of the new value is left."""
    ok("secrets", "set", "key", "--data", tmp_path / "data", stdin="old")

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = cli("secrets", "set", "key", "--data", tmp_path / "data", stdin="new")
    assert result.exit_code == 1
    path = tmp_path / "data" / "secrets" / "key"
    assert f"{path} cannot be written (No space left on device): it is as it was" in result.stderr
    assert [one.name for one in path.parent.iterdir()] == ["key"]
    assert path.read_text() == "old"


def test_a_secret_in_a_variable_is_text(tmp_path: Path) -> None:
    """Bytes that are none are refused as they are in a file, and not shown."""
    variables = {"WHERRY_SECRET_A_KEY": "s3crät", "WHERRY_SECRET_B_KEY": "s3cr\udcfft"}
    variables["WHERRY_SECRET_BLANK"] = ""
    secrets = Secrets(str(tmp_path), variables)
    assert secrets.get("a-key") == "s3crät"
    assert secrets.get("c-key") is secrets.get("blank") is None
    with pytest.raises(Refused, match="'b-key' is not UTF-8") as refused:
        secrets.get("b-key")
    assert "s3cr" not in str(refused.value)


def test_secrets_are_listed_without_values(tmp_path: Path) -> None:
    """Names only, and which file others could read."""
    assert ok("secrets", "list", "--data", tmp_path) == "No secret is set.\n"
    for name in ("b-key", "a-key"):
        ok("secrets", "set", name, "--data", tmp_path, stdin="s3cret")
    (tmp_path / "secrets" / "b-key").chmod(0o644)
    listed = ok("secrets", "list", "--data", tmp_path)
    assert "s3cret" not in listed
    assert listed.index("a-key") < listed.index("b-key")
    assert "chmod 600" in listed
    assert ok_json("secrets", "list", "--data", tmp_path) == [
        {"name": "a-key", "private": True},
        {"name": "b-key", "private": False},
    ]


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "", "a.new", "x" * 64])
def test_a_secrets_name_makes_no_path(tmp_path: Path, name: str) -> None:
    """A name that could lead elsewhere is a misuse, and nothing is written."""
    assert cli("secrets", "set", name, "--data", tmp_path / "d", stdin="x").exit_code == 2
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("value", [b"", b"\n", b"\xff\xfe", b"x" * 65_537])
def test_values_that_are_no_secrets_are_refused(tmp_path: Path, value: bytes) -> None:
    """Nothing, bytes that are no text, and more than a secret may hold."""
    assert cli("secrets", "set", "key", "--data", tmp_path / "d", stdin=value).exit_code == 1
    assert not (tmp_path / "d" / "secrets" / "key").exists()
