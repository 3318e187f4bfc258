"""An app with queues of every kind and all sources, and short words for what tests do with it."""

from __future__ import annotations

from typing import Any

from tests.contract.conftest import BUCKETS, QUEUES, TABLES, function
from wherry.blueprint import Blueprint, QueueSpec
from wherry.codec import canonical_json
from wherry.effects import SendMessage
from wherry.ports import Bury, Configure, Configured, Depth, ListFailures, QueueDepths, Release

LANE = QueueSpec(name="lane", payload="Job", schema={}, fifo=True, retention_s=86_400)
STRICT = QueueSpec(name="strict", payload="Job", schema={}, fifo=True, on_failure="block")
FAIR = QueueSpec(name="fair", payload="Job", schema={}, fair=True, retention_s=86_400)
PLAIN = QueueSpec(name="plain", payload="Job", schema={})
KINDS = (*QUEUES, LANE, STRICT, FAIR, PLAIN)


def configure(place: Any, digest: str = "kinds", **parts: Any) -> Configured:
    """Activate a release with these queues and sources; each queue has a function of its name."""
    queues = parts.pop("queues", KINDS)
    blueprint = Blueprint(
        app="shop",
        functions=tuple(function(queue.name, (), queue.name) for queue in queues),
        tables=parts.pop("tables", TABLES),
        queues=queues,
        buckets=parts.pop("buckets", BUCKETS),
        **parts,
    )
    answer = place.ask(Configure(digest, canonical_json(blueprint), True))
    assert isinstance(answer, Configured), answer
    return answer


def message(queue: str, id: str, group: str = "g", **options: Any) -> SendMessage:
    return SendMessage(queue, id, b'{"id":"%s"}' % id.encode(), group=group, **options)


def send(place: Any, queue: str, *ids: str, group: str = "g", **options: Any) -> Any:
    """Send each in a commit of its own, as the engine; return the last answer."""
    answer = None
    for id in ids:
        fields = {name: options[name] for name in ("dedup", "delay_ms") if name in options}
        rest = {name: value for name, value in options.items() if name not in fields}
        answer = place.commit(message(queue, id, group, **fields), function="", **rest)
    return answer


def claim(place: Any, queue: str, limit: int = 10) -> list[Any]:
    claimed: list[Any] = place.claim(limit, queue=queue)
    return claimed


def names(messages: list[Any]) -> list[str]:
    return [message.id for message in messages]


def release(place: Any, message: Any, delay_s: float = 0, counted: bool = True) -> Any:
    return place.ask(Release(message.id, message.token, int(delay_s * 1000), counted, "it failed"))


def bury(place: Any, message: Any) -> Any:
    return place.ask(Bury(message.id, message.token, "worker", "failed", "no luck", None))


def work_off(place: Any, queue: str, limit: int = 10) -> list[str]:
    """Claim and acknowledge until nothing is handed out; return the IDs in their order."""
    done: list[str] = []
    while claimed := claim(place, queue, limit):
        for found in claimed:
            place.acknowledge(found)
            done.append(found.id)
    return done


def failures(place: Any, queue: str | None = None) -> list[Any]:
    rows: list[Any] = place.ask(ListFailures(queue, 1000, None)).rows
    return rows


def depth(place: Any, queue: str) -> Depth:
    return next(row for row in place.ask(QueueDepths()).rows if row.queue == queue)  # type: ignore[no-any-return]
