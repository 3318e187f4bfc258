"""What the pages say is so: links lead somewhere, tables agree with the code."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.docs.pages import PAGES, ROOT, blocks_of, prose_of, text_of
from wherry import errors, limits
from wherry.platforms.s3.faults import ObjectsUnavailable

_LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")
_UNITS = {
    "seconds": 1, "s": 1, "minutes": 60, "hours": 3_600, "days": 86_400,
    "bytes": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "MB": 1, "items": 1, "": 1,
}  # fmt: skip


def anchors(page: str) -> set[str]:
    """Return the anchors that a page's headings have on a code host."""
    heads = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {"#" + re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Every relative link names a file of the repository, and a heading that it has."""
    dead = []
    for path, anchor in _LINK.findall(prose_of(page)):
        if "://" in path:
            continue
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists():
            dead.append(path)
        elif anchor and anchor not in anchors(target.resolve().relative_to(ROOT).as_posix()):
            dead.append(path + anchor)
    assert dead == []


@pytest.mark.parametrize("page", PAGES)
def test_json_blocks_are_json(page: str) -> None:
    """A block that says it is JSON can be read."""
    for block in blocks_of(page, "json"):
        json.loads(block.text)


def rows(page: str, columns: int) -> list[list[str]]:
    """Return the rows of a page's tables that have this many columns."""
    found = []
    for line in text_of(page).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == columns and set(line) - set("|-: "):
            found.append(cells)
    return found


def test_limits_on_the_page_are_those_of_the_code() -> None:
    """Each row of the table of limits agrees with the constant that it names."""
    wrong, seen = [], 0
    for _, shown, name in rows("docs/errors-and-limits.md", 3):
        constant = name.strip("`")
        if not constant.isupper():
            continue
        seen += 1
        number, _, unit = shown.partition(" ")
        if int(number.replace(",", "")) * _UNITS[unit] != getattr(limits, constant):
            wrong.append(f"{constant} is {getattr(limits, constant)}, the page says {shown}")
    assert wrong == []
    assert seen > 15


def subclasses(kind: type[Any]) -> set[type[Any]]:
    """Return all classes below one."""
    below = set(kind.__subclasses__())
    return below | {deeper for one in below for deeper in subclasses(one)}


def test_error_codes_on_the_page_are_those_of_the_code() -> None:
    """The page lists every problem with its status, its code and the name to raise it by."""
    listed = {
        (int(status), code.strip("`"), name.strip("`"))
        for status, code, name, _ in rows("docs/errors-and-limits.md", 4)
        if status.isdigit()
    }
    raised = {name for _, _, name in listed if name}
    problems = {
        (kind.status, kind.code, kind.__name__ if kind.__name__ in raised else "")
        for kind in subclasses(errors.Problem)
        if kind.__module__ == errors.__name__
    }
    of_places = {(507, "store_full", ""), (503, "objects_unavailable", "")}
    assert listed - of_places == problems
    assert {code for _, code, _ in of_places} == {errors.StoreFull.code, ObjectsUnavailable.code}


def test_every_page_can_be_reached() -> None:
    """The README leads to every page of the documentation."""
    linked = {path for path, _ in _LINK.findall(text_of("README.md"))}
    assert {page for page in PAGES if page.startswith("docs/")} <= linked
