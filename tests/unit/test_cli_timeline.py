"""`wherry timeline`, `queues`, `releases`, `tables`: what the store remembers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli_kit import Data, cli, ok, ok_json
from wherry.codec import key_bytes
from wherry.effects import PutItem

INDEX = ', indexes={"by_customer": "customer_id"}'


@pytest.fixture
def data(tmp_path: Path) -> Data:
    data = Data(tmp_path / "data")
    data.commit("c-first", marks=["put orders/o-1"])
    data.fail("c-second", "m-1")
    return data


def test_a_timeline_is_one_page(data: Data) -> None:
    """Request, effects, attempts and what waits in the inbox."""
    page = ok("timeline", "c-second", "--data", data.path)
    assert "POST /orders  create_order" in page
    assert "└─ queue export_jobs  export" in page
    assert "ValueError: no" in page
    assert "wherry failures show m-1" in page


def test_the_beginning_of_an_id_is_enough(data: Data) -> None:
    """One that begins several is not guessed: the newest of them are named."""
    page = ok("timeline", "c-f", "--data", data.path)
    assert "correlation ID c-first" in page
    several = cli("timeline", "c-", "--data", data.path)
    assert several.exit_code == 1
    assert "2 correlation IDs begin with 'c-'" in several.stderr
    assert "They are: c-second, c-first." in several.stderr
    for number in range(5):
        data.commit(f"c-{number}")
    many = cli("timeline", "c-", "--data", data.path)
    assert "The newest are: c-4, c-3, c-2, c-1, c-0." in many.stderr


def test_an_unknown_id_is_told_with_its_neighbours(data: Data) -> None:
    """A mistyped ID exits with 1 and names the ones that are near."""
    result = cli("timeline", "c-frist", "--data", data.path)
    assert result.exit_code == 1
    assert "Did you mean c-first?" in result.stderr


def test_without_an_id_there_is_a_choice(data: Data) -> None:
    """The newest requests are listed, one line each."""
    listed = ok("timeline", "--data", data.path)
    assert listed.count("POST /orders") == 2
    assert "1 job, failed" in listed
    assert len(ok_json("timeline", "--limit", "1", "--data", data.path)) == 1


def test_a_timeline_for_programs_has_names(data: Data) -> None:
    """With --json the records, what waits, and what failed."""
    found = ok_json("timeline", "c-second", "--data", data.path)
    assert found["correlation_id"] == "c-second"
    assert [one["ending"] for one in found["records"]] == ["ok", "failed"]
    assert [one["id"] for one in found["failures"]] == ["m-1"]


def test_output_that_is_no_terminal_has_no_colours(data: Data) -> None:
    """What is piped is plain text."""
    assert "\x1b" not in ok("timeline", "c-second", "--data", data.path)


# -- queues, releases, tables ----------------------------------------------------------------------


def test_queues_show_what_failed(data: Data) -> None:
    """One line for each queue."""
    assert ok("queues", "--data", data.path).splitlines()[1].split() == [
        "export_jobs", "0", "0", "1", "-",
    ]  # fmt: skip
    assert ok_json("queues", "--data", data.path)[0]["failed"] == 1


def test_queues_show_who_paused_what_and_since_when(data: Data) -> None:
    """Also for programs; without a pause nothing is said."""
    assert "paused" not in ok("queues", "--data", data.path)
    ok("pause", "export", "--data", data.path)
    page = ok("queues", "--data", data.path)
    assert "export_jobs (paused)" in page
    assert "export is paused since" in page
    assert "wherry resume export" in page
    [pause] = ok_json("queues", "--data", data.path)[0]["pauses"]
    assert pause["function"] == "export"
    assert pause["actor"]


def test_a_function_that_only_requests_call_cannot_be_paused(data: Data) -> None:
    """It would be called paused, and be called."""
    result = cli("pause", "create_order", "--data", data.path)
    assert result.exit_code == 1
    assert "'create_order' is called by requests alone" in result.stderr
    assert ok("resume", "create_order", "--data", data.path) == "'create_order' was not paused.\n"


def test_releases_are_listed(data: Data) -> None:
    """The versions that ran, the newest first."""
    data.release(INDEX)
    rows = ok_json("releases", "--data", data.path)
    assert len(rows) == 2
    assert rows[0]["activated_ms"] >= rows[1]["activated_ms"]
    assert rows[0]["digest"] in ok("releases", "--data", data.path).splitlines()[1]


def test_a_table_that_is_declared_no_more_is_listed_while_it_has_items(data: Data) -> None:
    """Its class was renamed; nobody reaches what it holds."""
    data.commit("c-third", PutItem("orders", key_bytes("o-1"), b"", b'{"order_id":"o-1"}'))
    data.release(', name="renamed"')
    lines = ok("tables", "list", "--data", data.path).splitlines()
    [line] = [line for line in lines if line.startswith("orders")]
    assert "not declared, 1 item(s)" in line
    shown = ok_json("tables", "list", "--data", data.path)
    assert shown[-1] == {"name": "orders", "declared": False, "items": 1}
    assert shown[0]["declared"] is True


def test_an_index_that_was_added_is_filled(data: Data) -> None:
    """`tables list` and `check` say that it is not ready; `tables reindex` makes it so."""
    put = [
        PutItem("orders", key_bytes(f"o-{number}"), b"", b'{"order_id":"o","customer_id":"c"}')
        for number in range(3)
    ]
    data.commit("c-third", *put)
    (data.code / "shop.py").write_text(
        (data.code / "shop.py").read_text().replace('key="order_id"', f'key="order_id"{INDEX}')
    )
    new = ok("check", "shop:app", "--folder", data.code, "--data", data.path)
    assert "index_added" in new

    data.release(INDEX)
    assert "to be filled" in ok("tables", "list", "--data", data.path)
    unready = ok("check", "shop:app", "--folder", data.code, "--data", data.path)
    assert "wherry tables reindex orders" in unready

    told = ok("tables", "reindex", "orders", "--data", data.path)
    assert told == "Index by_customer of orders is ready.\n"
    assert ok_json("tables", "list", "--data", data.path)[0]["indexes"][0]["ready"] is True
    again = ok("tables", "reindex", "orders", "by_customer", "--data", data.path)
    assert again == "Nothing is to be filled.\n"


def test_tables_and_indexes_that_are_not_there_are_told(data: Data) -> None:
    """A mistyped table or index exits with 1 and names those that there are."""
    table = cli("tables", "reindex", "order", "--data", data.path)
    assert table.exit_code == 1
    assert "Did you mean orders?" in table.stderr
    index = cli("tables", "reindex", "orders", "by_x", "--data", data.path)
    assert index.exit_code == 1
    assert "has no index 'by_x'" in index.stderr
