"""The blueprint's byte form and its digest.

Places (file and line) are in the byte form, so that every finding can name them, and are left out
of the digest: moving a line is no new release. So are the orders in which things were declared,
because `canonical` sorts. What a handler's body does is not here; the engine mixes the digest of
the code in.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import structs

from wherry.blueprint.records import (
    Blueprint,
    FunctionSpec,
    HttpTrigger,
    Source,
    TableSpec,
    Trigger,
    WorkflowSpec,
)
from wherry.codec import canonical_json
from wherry.codec import digest as digest_of
from wherry.errors import Refused

R = TypeVar("R")


def canonical(blueprint: Blueprint) -> bytes:
    """Return the one JSON form of a blueprint; the same app gives the same bytes."""
    return canonical_json(_normal(blueprint))


def digest(blueprint: Blueprint) -> str:
    """Return 32 hexadecimal digits that change when the app changes, and not when a line moves."""
    return digest_of(canonical_json(_without_places(_normal(blueprint))))


def load(data: bytes) -> Blueprint:
    """Read what `canonical` wrote.

    Raises:
        Refused: It is no blueprint, or one of another version of wherry.
    """
    try:
        return msgspec.json.decode(data, type=Blueprint)
    except msgspec.DecodeError as error:
        raise Refused(
            f"This is not a blueprint that this version of wherry reads: {error}.",
            advice="Use the version of wherry that wrote it, or write it anew from the app.",
        ) from error


def _normal(blueprint: Blueprint) -> Blueprint:
    """Sort, and read back once: a bound given as 25 is the same as 25.0."""
    return _sorted(load(canonical_json(blueprint)))


def _sorted(blueprint: Blueprint) -> Blueprint:
    return structs.replace(
        blueprint,
        functions=_by_name([_sorted_function(one) for one in blueprint.functions]),
        tables=_by_name([_sorted_table(one) for one in blueprint.tables]),
        queues=_by_name(blueprint.queues),
        buckets=_by_name(blueprint.buckets),
        secrets=_by_name(blueprint.secrets),
        auths=_by_name(blueprint.auths),
        events=tuple(sorted(blueprint.events, key=lambda one: (one.name, one.version))),
        sources=tuple(sorted(blueprint.sources, key=_source_order)),
        workflows=_by_name([_sorted_workflow(one) for one in blueprint.workflows]),
    )


def _source_order(source: Source) -> tuple[str, bytes]:
    return source.queue, canonical_json(_placeless(source))


def _by_name(records: Any) -> tuple[Any, ...]:
    return tuple(sorted(records, key=lambda record: record.name))


def _sorted_function(function: FunctionSpec) -> FunctionSpec:
    return structs.replace(
        function,
        triggers=tuple(sorted(function.triggers, key=_trigger_order)),
        grants=tuple(sorted(function.grants)),
    )


def _trigger_order(trigger: Trigger) -> tuple[str, str]:
    return trigger.endpoint, trigger.method if isinstance(trigger, HttpTrigger) else trigger.queue


def _sorted_workflow(workflow: WorkflowSpec) -> WorkflowSpec:
    return structs.replace(
        workflow,
        grants=tuple(sorted(workflow.grants)),
        functions=tuple(sorted(workflow.functions)),
    )


def _sorted_table(table: TableSpec) -> TableSpec:
    return structs.replace(table, indexes=_by_name(table.indexes))


def _without_places(blueprint: Blueprint) -> Blueprint:
    return structs.replace(
        blueprint,
        functions=tuple(
            structs.replace(
                function,
                place=None,
                triggers=tuple(_placeless(trigger) for trigger in function.triggers),
            )
            for function in blueprint.functions
        ),
        tables=tuple(map(_placeless, blueprint.tables)),
        queues=tuple(map(_placeless, blueprint.queues)),
        buckets=tuple(map(_placeless, blueprint.buckets)),
        secrets=tuple(map(_placeless, blueprint.secrets)),
        auths=tuple(map(_placeless, blueprint.auths)),
        events=tuple(map(_placeless, blueprint.events)),
        sources=tuple(map(_placeless, blueprint.sources)),
        workflows=tuple(map(_placeless, blueprint.workflows)),
    )


def _placeless(record: R) -> R:
    return structs.replace(record, place=None)  # type: ignore[type-var]
