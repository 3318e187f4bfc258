"""The bench's tools: texts of wrk and of /proc, folders on real disks, the verdict of a soak."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.floors.http import HEAD_201, Connection
from bench.folders import file_system
from bench.generator import encode_request, run_plan
from bench.load import BenchError, Load, Plan, Request, read_wrk, wrk_script
from bench.processes import parent_of, pss_kb
from bench.soak import Slice, Work, judge, sizes_mb


def test_what_wrk_says_at_its_end_is_read_as_a_load() -> None:
    load = read_wrk(
        "Running 1s test\n  1 threads\n\n"
        '{"requests":100,"status":3,"socket":2,"duration_us":2000000,'
        '"p50_us":1500,"p99_us":9000,"max_us":10000}\n'
    )
    assert load == Load("wrk", 97, 5, 2.0, 1.5, 9.0, 10.0)
    assert load.per_s == 48.5


def test_a_request_for_wrk_is_quoted() -> None:
    script = wrk_script(Request("/orders", '{"a":"b"}', 80, {"Authorization": "Bearer x"}))
    assert 'wrk.body = "{\\"a\\":\\"b\\"}"' in script
    assert 'wrk.headers["Authorization"] = "Bearer x"' in script
    assert "function done(" in script


def test_the_generators_request_has_its_length_in_bytes() -> None:
    head, _, body = encode_request(Request("/orders", '"é"', 8080)).partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"POST /orders HTTP/1.1"
    assert b"Content-Length: 4" in head.splitlines()
    assert body == '"é"'.encode()


@pytest.mark.parametrize("rate_per_s", [0, 200])
def test_the_generator_counts_good_and_bad_answers(rate_per_s: float) -> None:
    answered = 0

    def handle(connection: Connection, body: bytes) -> None:
        nonlocal answered
        answered += 1
        refused = b"HTTP/1.1 503 Busy\r\nContent-Length: %d\r\n\r\n"
        connection.reply(refused if answered == 2 else HEAD_201, body)

    async def against_a_server() -> Load:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(handle), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        load = await run_plan(Plan(Request("/", "again", port), 2, 0.1, rate_per_s))
        server.close()
        return load

    load = asyncio.run(against_a_server())
    assert load.bad == 1
    assert load.first_bad == "503 again"
    assert 1 <= load.good <= answered - 1


def test_the_parent_of_a_process_with_an_odd_name_is_found() -> None:
    assert parent_of("42 (a ) b) S 7 42 42 0 -1") == 7


def test_the_proportional_set_size_is_read() -> None:
    assert pss_kb("5500-7ff rw-p\nRss:  9 kB\nPss:   1234 kB\nPss_Dirty: 5 kB\n") == 1234


def test_the_file_system_of_a_folder_is_that_of_its_nearest_mount() -> None:
    mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/a\\040b xfs rw 0 0\n"
    assert file_system(Path("/home/me"), mounts) == "ext4"
    assert file_system(Path("/tmp/x"), mounts) == "tmpfs"
    assert file_system(Path("/tmp/a b/c"), mounts) == "xfs"


def soaked(
    sizes: Sequence[float], turns: tuple[Work, Work], rows: Sequence[int] = (10_000,) * 9
) -> list[Slice]:
    """A life of nine slices; in the last three the old and the young one took these turns."""
    old, young = turns
    return [
        Slice(
            number,
            number,
            old,
            young if number >= 6 else None,
            {"store.db": size, "logs": number},
            3,
            {"a": row},
            64,
            99,
        )
        for number, (size, row) in enumerate(zip(sizes, rows, strict=True))
    ]


EVEN = (Work(100, 1.0), Work(100, 1.0))
FLAT = [40.0] * 9


def test_a_soak_is_steady_when_nothing_grows_and_the_clean_up_is_cheap() -> None:
    verdict = judge(soaked([10, 20, 30, 40, 40, 40, 40, 40, 40], EVEN))
    assert (verdict.cost, verdict.slower, verdict.steady) == (0, 0, True)
    assert set(verdict.growth.values()) == {0.0}


def test_a_soak_that_grows_or_slows_or_costs_more_is_not_steady() -> None:
    growing = judge(soaked([float(100 * each) for each in range(1, 10)], EVEN))
    assert growing.growth["files MB"] == pytest.approx(9 / 7 - 1)
    slowing = judge(soaked(FLAT, (Work(90, 1.0), Work(100, 1.0))))
    assert slowing.slower == pytest.approx(0.1)
    costly = judge(soaked(FLAT, (Work(100, 1.1), Work(100, 1.0))))
    assert costly.cost == pytest.approx(0.1)
    hoarding = judge(soaked(FLAT, EVEN, [100_000 * each for each in range(10, 19)]))
    assert [one.steady for one in (growing, slowing, costly, hoarding)] == [False] * 4


def test_a_machine_that_becomes_slower_is_not_called_a_cost_of_the_clean_up() -> None:
    slices = soaked(FLAT, (Work(50, 2.0), Work(50, 2.0)))
    verdict = judge([*soaked(FLAT, EVEN)[:6], *slices[6:]])
    assert (verdict.cost, verdict.slower) == (0, 0)


def test_a_soak_of_few_slices_is_not_judged() -> None:
    with pytest.raises(BenchError, match="too few"):
        judge(soaked(FLAT, EVEN)[-2:])


def test_sizes_are_summed_for_each_entry_of_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "objects" / "a").mkdir(parents=True)
    (tmp_path / "store.db").write_bytes(bytes(2_000_000))
    (tmp_path / "objects" / "one").write_bytes(bytes(500_000))
    (tmp_path / "objects" / "a" / "two").write_bytes(bytes(500_000))
    assert sizes_mb(tmp_path) == {"store.db": 2.0, "objects": 1.0}
