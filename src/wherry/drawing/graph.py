"""A definition as a graph: what is drawn of it, in any language of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import msgspec

from wherry.drawing.words import condition, details, errors

Status: TypeAlias = Literal["succeeded", "caught", "failed", "running", "stopped"]
"""What became of a state: `caught` failed and went on to a Catch, `stopped` was ended from outside
(or by its machine's timeout)."""

Kind: TypeAlias = Literal["next", "choice", "default", "catch"]


class Link(msgspec.Struct, frozen=True):
    """A way from one state to another of the same block. `label` is empty where it needs none."""

    source: str
    target: str
    kind: Kind = "next"
    label: str = ""


class Node(msgspec.Struct, frozen=True):
    """A state. `details` are lines about it; `ends`: its block is over after it."""

    name: str
    kind: str
    details: tuple[str, ...] = ()
    ends: bool = False
    blocks: tuple[Block, ...] = ()


class Block(msgspec.Struct, frozen=True):
    """The states of a machine, of a branch, or of a Map's processor."""

    title: str
    start: str
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]


def read(definition: dict[str, Any], title: str = "") -> Block:
    """Return the graph of a definition. Ways to states that there are not are left out."""
    states: dict[str, Any] = definition["States"]
    nodes = tuple(_node(name, fields) for name, fields in states.items())
    links = [
        link
        for name, fields in states.items()
        for link in _links(name, fields)
        if link.target in states
    ]
    return Block(title, definition["StartAt"], nodes, tuple(_together(links)))


def _node(name: str, fields: dict[str, Any]) -> Node:
    kind = fields["Type"]
    blocks: list[Block] = []
    if kind == "Parallel":
        branches = fields["Branches"]
        blocks = [
            read(one, one.get("Comment", "") or f"branch {number}")
            for number, one in enumerate(branches, 1)
        ]
    elif kind == "Map":
        processor = fields.get("ItemProcessor") or fields.get("Iterator") or {}
        blocks = [read(processor, "each item")]
    return Node(name, kind, tuple(details(fields)), fields.get("End") is True, tuple(blocks))


def _links(name: str, fields: dict[str, Any]) -> Iterator[Link]:
    if "Next" in fields:
        yield Link(name, fields["Next"])
    for rule in fields.get("Choices", ()):
        yield Link(name, rule["Next"], "choice", rule.get("Comment") or condition(rule))
    if "Default" in fields:
        yield Link(name, fields["Default"], "default", "otherwise")
    for clause in fields.get("Catch", ()):
        yield Link(name, clause["Next"], "catch", errors(clause["ErrorEquals"]))


def _together(links: list[Link]) -> Iterator[Link]:
    """Make one of links of a kind between the same two states."""
    found: dict[tuple[str, str, str], list[str]] = {}
    kinds: dict[tuple[str, str, str], Kind] = {}
    for link in links:
        key = (link.source, link.target, "catch" if link.kind == "catch" else "")
        found.setdefault(key, []).append(link.label)
        kinds.setdefault(key, link.kind)
    for key, labels in found.items():
        yield Link(key[0], key[1], kinds[key], " or ".join(filter(None, dict.fromkeys(labels))))
