"""A large payload travels as an object, through a real engine and real environments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wherry import limits

from .server_kit import Engine, serving, until


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
