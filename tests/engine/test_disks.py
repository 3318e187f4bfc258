"""Disks that are full, folders and ports that are taken, and the plug pulled."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from .fault_kit import cut_power, disk_image, fill, mounted
from .server_kit import Engine, Reply, serving, until
from .stores_kit import sqlite_alone

ELSEWHERE = "the disk under a Postgres is not the engine's"


def place(engine: Engine, order_id: str) -> Reply:
    return engine.client("POST", "/orders", {"order_id": order_id})


@sqlite_alone(ELSEWHERE)
def test_a_full_disk_refuses_writes_serves_reads_and_is_forgotten(tmp_path: Path) -> None:
    """507 while there is no room, nothing half-done; it goes on by itself when there is."""
    with (
        mounted(tmp_path / "disk", "mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs") as disk,
        serving("ledger", disk / "data", output=tmp_path / "log") as engine,
    ):
        assert place(engine, "before").status == 201
        until(lambda: engine.drained("jobs"), "an empty queue")
        fill(disk / "filler")
        statuses = set()
        accepted = []
        for number in range(400):  # what the log has room for is still taken
            reply = place(engine, f"full-{number}")
            statuses.add(reply.status)
            if reply.status == 201:
                accepted.append(number)
            elif number > 20:
                assert reply.code == "store_full"
                assert int(reply.headers["retry-after"]) > 0
                break
        assert statuses <= {201, 507, 503}
        assert 507 in statuses
        assert engine.client("GET", "/orders/before").json() == 1
        assert engine.client("GET", "/healthz").status == 200
        until(lambda: "the store is full: what writes" in engine.said(), "a word of it in the log")
        assert engine.client("GET", "/readyz").status == 200  # reads go on
        (disk / "filler").unlink()
        until(lambda: place(engine, "after").status in (201, 409), "room again")
        until(lambda: engine.drained("jobs"), "an empty queue")
        until(lambda: "the store has room again" in engine.said(), "a word of that, too")
        assert engine.said().count("the store is full: what writes") == 1
        for number in accepted:
            assert engine.client("GET", f"/orders/full-{number}").json() == 1
        total = engine.client("GET", "/total").json()
        assert total["placed"] == total["done"] == len(accepted) + 2
        assert engine.stop() == 0


def test_a_second_engine_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    """It names the process that owns the folder, which is not disturbed."""
    with serving("ledger", tmp_path / "data") as first:
        second = Engine("ledger", tmp_path / "data", output=tmp_path / "second.log")
        second.launch()
        try:
            assert second.wait() == 1
        finally:
            second.close()
        assert f"in use by process {first.pid}" in second.said()
        assert place(first, "one").status == 201


def test_a_stopped_owner_still_owns_its_folder(tmp_path: Path) -> None:
    """An engine that is paused has not gone: nobody takes its folder."""
    with serving("ledger", tmp_path / "data") as first:
        os.kill(first.pid, signal.SIGSTOP)
        second = Engine("ledger", tmp_path / "data", output=tmp_path / "second.log")
        second.launch()
        try:
            assert second.wait() == 1
        finally:
            second.close()
            os.kill(first.pid, signal.SIGCONT)
        assert place(first, "one").status == 201


def test_a_busy_port_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """The engine ends with 1 and says which address is taken and what to do."""
    engine = Engine("ledger", tmp_path / "data")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", engine.port))
        taken.listen()
        engine.launch()
        try:
            assert engine.wait() == 1
        finally:
            engine.close()
    assert f"127.0.0.1:{engine.port} cannot be listened on" in engine.said()
    assert "--port" in engine.said()


@sqlite_alone(ELSEWHERE)
def test_a_damaged_store_is_told_once_and_the_engine_ends(tmp_path: Path) -> None:
    """Its process is not started again and again: the next one would find the same."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "store.sqlite").write_bytes(b"no database" * 1_000)
    engine = Engine("ledger", data)
    try:
        engine.launch()
        assert engine.wait() == 1
        assert engine.said().count("is damaged") == 1
        assert "does not answer" not in engine.said()
        assert "Traceback" not in engine.said()
        assert "ended and was started again" not in engine.said()
    finally:
        engine.close()


@sqlite_alone(ELSEWHERE)
def test_a_power_cut_loses_no_accepted_order(tmp_path: Path) -> None:
    """What was acknowledged before the plug is pulled is there afterwards, each once."""
    image = disk_image(tmp_path / "image")
    accepted: list[str] = []
    for life in range(3):
        folder = tmp_path / f"life-{life}"
        with mounted(folder, "mount", "-o", "loop", str(image)):
            engine = Engine("ledger", folder / "data", output=tmp_path / "log")
            try:
                engine.start()
                until(lambda: engine.drained("jobs"), "an empty queue")  # noqa: B023
                for order_id in accepted:
                    assert engine.client("GET", f"/orders/{order_id}").json() == 1
                total = engine.client("GET", "/total").json()
                assert total["placed"] == total["done"] == len(accepted)
                if life == 2:
                    assert engine.stop() == 0
                    return
                for number in range(60):
                    order_id = f"p-{life}-{number}"
                    assert place(engine, order_id).status == 201
                    accepted.append(order_id)
                cut_power(folder)
                assert place(engine, "too-late").status in (500, 503, 507)
            finally:
                engine.close()
