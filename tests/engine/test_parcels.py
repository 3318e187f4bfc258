"""A large payload travels as an object, through a real engine and real environments."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.s3_kit import KEYS, S3
from wherry import limits

from .server_kit import WHERRY, Engine, serving, until


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder."""
    return tmp_path_factory.mktemp("parcels") / "data"


@pytest.fixture(scope="module")
def parcels(data: Path) -> Iterator[Engine]:
    """`apps/parcels.py`, whose consumer takes batches with a claim check."""
    with serving("parcels", data) as engine:
        yield engine


def test_a_payload_beyond_a_message_arrives_whole(parcels: Engine) -> None:
    length = 2 * limits.MESSAGE_BYTES
    assert parcels.client("POST", f"/parcels/large?length={length}").status == 202
    until(
        lambda: parcels.client("GET", "/parcels/large").json()["length"] == length, "it to arrive"
    )


def test_a_payload_of_a_message_that_failed_is_kept_with_it(parcels: Engine, data: Path) -> None:
    length = 2 * limits.MESSAGE_BYTES
    assert parcels.client("POST", f"/parcels/broken?length={length}").status == 202
    until(lambda: parcels.failures("parcels").rows, "it in the inbox")
    (row,) = parcels.failures("parcels").rows
    assert (row.code, row.attempts) == ("handler_failed", 2)
    assert len(row.body) < limits.REFERENCE_BYTES
    assert parcels.client("GET", "/parcels/broken").json()["length"] == 0
    sizes = [one.stat().st_size for one in data.rglob("*") if "parcels-payloads" in one.parts]
    assert max(sizes) > length


@pytest.mark.parametrize("place", ["files", "s3"])
def test_a_person_sees_the_payload_of_a_message_that_failed(
    place: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """While the engine runs, and afterwards; the page of the failure says how."""
    more: dict[str, Any] = {}
    if place == "s3":
        s3: S3 = request.getfixturevalue("s3")
        where = ["--objects", f"s3://{s3.bucket()}", "--objects-endpoint", s3.endpoint]
        more = {"arguments": where, "variables": KEYS}
    payload = {"name": "broken", "text": "x" * 2 * limits.MESSAGE_BYTES}

    def show(engine: Engine, *options: str) -> str:
        command = [*WHERRY, "failures", "show", row.id, *options, "--data", str(engine.root)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    with serving("parcels", tmp_path / "data", **more) as engine:
        engine.client("POST", f"/parcels/broken?length={len(payload['text'])}")
        until(lambda: engine.failures("parcels").rows, "it in the inbox")
        (row,) = engine.failures("parcels").rows
        assert f"wherry failures show {row.id} --payload" in show(engine)
        assert json.loads(show(engine, "--payload")) == payload
        assert engine.stop() == 0
        if place == "files":
            assert json.loads(show(engine, "--payload")) == payload
