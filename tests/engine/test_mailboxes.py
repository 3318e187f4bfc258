"""Quick runs follow one another in one process: each gets its own answer, whatever others do."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from .server_kit import Engine, Reply, serving, until

CALLERS = 16
_numbers = count()


@pytest.fixture(scope="module")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """`apps/swift.py`, with runs behind it: it is known to be quick."""
    with serving("swift", tmp_path_factory.mktemp("swift") / "data") as engine:
        client = engine.http()
        for _ in range(100):
            assert client("POST", "/ask", {"text": "warm"}).status == 200
        client.close()
        yield engine


def many(swift: Engine, each: int, way: str = "quick") -> list[tuple[str, Reply]]:
    """All callers ask at once, again and again; what each asked, and what it got."""

    def ask(number: int) -> list[tuple[str, Reply]]:
        client = swift.http()
        asked = [f"{next(_numbers)} of {number}" for _ in range(each)]
        found = [(text, client("POST", "/ask", {"text": text, "way": way})) for text in asked]
        client.close()
        return found

    with ThreadPoolExecutor(CALLERS) as threads:
        return [one for found in threads.map(ask, range(CALLERS)) for one in found]


def each_has_its_own(found: list[tuple[str, Reply]]) -> bool:
    return all((reply.status, reply.json()) == (200, text) for text, reply in found)


def test_everybody_gets_the_answer_to_what_he_asked(swift: Engine) -> None:
    assert each_has_its_own(many(swift, 40))


def test_who_comes_behind_a_run_that_goes_on_is_served_before_its_end(swift: Engine) -> None:
    name = f"gate-{next(_numbers)}"

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(swift.once, "POST", "/ask", {"text": name, "way": "waits"})
        assert each_has_its_own(many(swift, 10))
        assert not waiting.done()
        assert swift.client("POST", f"/gates/{name}").status == 200
        assert waiting.result(60).json() == name


def test_who_comes_behind_a_run_that_dies_is_served_elsewhere(swift: Engine) -> None:
    with ThreadPoolExecutor(1) as threads:
        rest = threads.submit(many, swift, 40)
        for _ in range(5):
            died = swift.once("POST", "/ask", {"text": "x", "way": "dies"})
            assert died.status == 502
        assert each_has_its_own(rest.result(120))


def test_what_is_printed_is_told_of_the_run_that_printed_it(swift: Engine) -> None:
    found = many(swift, 10, "prints")
    assert each_has_its_own(found)
    wanted = {(f"printed for {text}", reply.headers["x-correlation-id"]) for text, reply in found}

    def told() -> bool:
        lines = swift.lines(printed=True)
        return wanted <= {(line["message"], line["correlation_id"]) for line in lines}

    until(told, "a line for each")
