"""`wherry schemas`: recording the types, and what `wherry check` says of a changed one."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.cli_kit import cli, ok, ok_json

APP = """
from wherry import App, Struct

class Order(Struct):
    order_id: str
    {field}

class Job(Struct):
    order_id: str

{before}
app = App("plain")
orders = app.table(Order, key="order_id"{options})
jobs = app.queue(Job)

@app.get("/orders/{{order_id}}", grants=[orders.read, jobs.send])
def look(order_id: str) -> Order | None:
    return orders.get(order_id)

@app.consume(jobs)
def work(job: Job) -> None: ...
"""
UPGRADE = """
def newer(old: dict) -> dict:
    return {"order_id": old["order_id"], "article": old["sku"]}
"""


def write(folder: Path, field: str, before: str = "", options: str = "") -> Path:
    """Write the app's code; return its folder."""
    (folder / "app.py").write_text(APP.format(field=field, before=before, options=options))
    return folder


def test_without_a_folder_nothing_is_refused(tmp_path: Path) -> None:
    """One line says how to begin; for production it is a warning."""
    folder = write(tmp_path, "sku: str")
    result = cli("check", "--folder", folder)
    assert result.exit_code == 0
    assert "wherry schemas update" in result.stderr
    assert "warning" not in result.stdout
    prod = cli("check", "--folder", folder, "--stage", "prod")
    assert prod.exit_code == 0
    assert "schemas_missing" in prod.stdout
    assert cli("schemas", "check", "--folder", folder).exit_code == 0


def test_a_table_with_another_key_is_an_error_until_its_file_is_deleted(tmp_path: Path) -> None:
    """Its items would not be found, whatever upgrade= makes of them."""
    folder = write(tmp_path, "sku: str")
    ok("schemas", "update", "--folder", folder)
    assert json.loads((folder / "schemas/tables/orders.json").read_text())["keyed"] == (
        "key=order_id (text)"
    )
    write(tmp_path, "sku: str", options=', sort="sku"')
    for verb in (("check",), ("schemas", "check"), ("schemas", "update")):
        result = cli(*verb, "--folder", folder)
        assert result.exit_code == 1
        assert "schema_rekeyed" in result.stdout
        assert "now declared with key=order_id (text), sort=sku (text)" in result.stdout
    (folder / "schemas/tables/orders.json").unlink()
    ok("schemas", "update", "--folder", folder)
    ok("check", "--folder", folder)


def test_a_file_from_before_keys_were_recorded_takes_the_key_that_there_is(tmp_path: Path) -> None:
    """It is no new form."""
    folder = write(tmp_path, "sku: str")
    ok("schemas", "update", "--folder", folder)
    file = folder / "schemas/tables/orders.json"
    new = file.read_text()
    file.write_text(new.replace('  "keyed": "key=order_id (text)",\n', ""))
    assert "recorded without its key" in cli("schemas", "check", "--folder", folder).stdout
    ok("schemas", "update", "--folder", folder)
    assert file.read_text() == new


def test_an_app_that_stores_nothing_needs_no_folder(tmp_path: Path) -> None:
    """Nothing is said of it."""
    (tmp_path / "app.py").write_text('from wherry import App\napp = App("none")\n')
    assert "schemas" not in cli("check", "--folder", tmp_path, "--stage", "prod").output
    assert "Nothing is stored" in ok("schemas", "--folder", tmp_path)


def test_types_are_recorded_once(tmp_path: Path) -> None:
    """A file for each; a second time nothing is to be done."""
    folder = write(tmp_path, "sku: str")
    assert "not recorded" in ok("schemas", "list", "--folder", folder)
    assert "orders.json: form 1 (new)" in ok("schemas", "update", "--folder", folder)
    assert "Nothing has changed." in ok("schemas", "update", "--folder", folder)
    recorded = json.loads((folder / "schemas/tables/orders.json").read_text())
    assert recorded["schema"]["required"] == ["order_id", "sku"]
    assert "not recorded" not in ok("schemas", "list", "--folder", folder)


def test_a_type_that_grew_is_recorded_as_its_next_form(tmp_path: Path) -> None:
    """Until then it is a warning, for production an error; the form before stays in the file."""
    ok("schemas", "update", "--folder", write(tmp_path, "sku: str"))
    folder = write(tmp_path, 'sku: str\n    note: str = ""')
    assert "`note` is new and has a default" in ok("check", "--folder", folder)
    assert cli("check", "--folder", folder, "--stage", "prod").exit_code == 1
    (written,) = ok_json("schemas", "update", "--folder", folder)
    assert (written["form"], written["changes"]) == (
        2,
        ["`note` is new and has a default, ''"],
    )
    recorded = json.loads((folder / "schemas/tables/orders.json").read_text())
    assert [one["form"] for one in recorded["earlier"]] == [1]
    assert ok_json("check", "--folder", folder, "--stage", "prod") == []


def test_a_type_that_breaks_is_refused_and_not_recorded(tmp_path: Path) -> None:
    """By check, by schemas check, and by update, which then writes nothing at all."""
    ok("schemas", "update", "--folder", write(tmp_path, "sku: str"))
    folder = write(tmp_path, "article: str")
    before = (folder / "schemas/tables/orders.json").read_bytes()
    for verb in (["check"], ["schemas", "check"], ["schemas", "update"]):
        result = cli(*verb, "--folder", folder)
        assert result.exit_code == 1
        assert "`article` is new and has no default" in result.stdout
        assert "look would fail on items that are stored" in result.stdout
    assert (folder / "schemas/tables/orders.json").read_bytes() == before
    found = json.loads(cli("schemas", "check", "--folder", folder, "--json").stdout)
    (finding,) = found["findings"]
    assert finding["code"] == "schema_breaks"
    (orders,) = [one for one in found["types"] if one["name"] == "orders"]
    assert (orders["state"], orders["readers"]) == ("breaks", ["look"])
    assert orders["changes"][0]["path"] == "article"


def test_an_upgrade_lets_it_be_recorded(tmp_path: Path) -> None:
    """The old form stays below the new one, for as long as items may have it."""
    ok("schemas", "update", "--folder", write(tmp_path, "sku: str"))
    folder = write(tmp_path, "article: str", UPGRADE, ", upgrade=newer")
    assert "orders.json: form 2" in ok("schemas", "update", "--folder", folder)
    assert ok_json("schemas", "check", "--folder", folder)["findings"] == []
    (orders,) = [one for one in ok_json("schemas", "--folder", folder) if one["kind"] == "table"]
    assert (orders["form"], orders["state"]) == (2, "same")


def test_another_name_of_a_class_adds_no_form(tmp_path: Path) -> None:
    """What is stored is what it was."""
    folder = write(tmp_path, "sku: str")
    ok("schemas", "update", "--folder", folder)
    text = (folder / "app.py").read_text()
    (folder / "app.py").write_text(
        text.replace("Order", "Purchase").replace('key="', 'name="orders", key="')
    )
    assert ok_json("check", "--folder", folder) == []
    assert "Nothing has changed." in ok("schemas", "update", "--folder", folder)


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    """With its path, and where to get it from."""
    folder = write(tmp_path, "sku: str")
    ok("schemas", "update", "--folder", folder)
    (folder / "schemas/tables/orders.json").write_text("{")
    result = cli("schemas", "check", "--folder", folder)
    assert result.exit_code == 1
    assert "tables/orders.json cannot be read" in result.stderr
