"""Workflows as releases declare them. An execution keeps the one that it began with."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from wherry.codec import canonical_json, digest, from_json
from wherry.platforms.shared.rights import Grants


class Workflow(Struct, frozen=True):
    """A workflow of a release. `body` is its JSON without its place in the code."""

    name: str
    digest: str
    body: bytes
    grants: Grants


def workflow_of(declared: dict[str, Any]) -> Workflow:
    """Return the workflow of a blueprint's record: moving a line makes no other one of it."""
    kept = {name: value for name, value in declared.items() if name != "place"}
    body = canonical_json(kept)
    grants = [
        (str(one["kind"]), str(one["resource"]), str(one["action"]))
        for one in declared.get("grants", ())
    ]
    return Workflow(str(declared["name"]), digest(body), body, frozenset(grants))


def stored_workflow(body: bytes) -> Workflow:
    """Return the workflow of a row of `definitions`."""
    return workflow_of(from_json(body))
