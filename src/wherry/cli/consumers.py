"""Whether a failure that is redriven will find somebody who takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wherry.errors import Refused

if TYPE_CHECKING:
    from wherry.blueprint import Blueprint


def require_consumer(blueprint: Blueprint, queue: str) -> None:
    """Refuse a redrive into a queue that nobody takes from: it would wait there unseen.

    Raises:
        Refused: The active release has no consumer of this queue.
    """
    from wherry.blueprint import HttpTrigger

    taken = {
        trigger.queue
        for function in blueprint.functions
        for trigger in function.triggers
        if not isinstance(trigger, HttpTrigger)
    }
    if queue not in taken | {workflow.name for workflow in blueprint.workflows}:
        raise Refused(
            f"Nobody takes from {queue!r} any more: {blueprint.app} declares no consumer of it.",
            advice="A function that an event, an object, a change or a schedule calls has a queue "
            "of its own name: declare it again under that name, or discard the failures.",
        )


def require_payload(blueprint: Blueprint, queue: str, payload: Any, failed: Any) -> None:
    """Refuse an edited payload that its consumer could not read.

    Events, changes and the like have forms of their own, which are not looked at. Nor is what takes
    the place of a payload that does not fit either: it is of an old form, which is upgraded, or of
    one that its type alone knows.

    Args:
        failed: The payload as it was; None: it is not known.

    Raises:
        Refused: It does not fit the queue's type.
    """
    from wherry.blueprint.checks_payloads import misfits

    spec = next((one for one in blueprint.queues if one.name == queue), None)
    if spec is None or any(source.queue == queue for source in blueprint.sources):
        return
    schema = spec.schema

    def wrong(value: Any) -> list[str]:
        return [one.said for one in misfits(schema, value, jsonata=True) if one.refused]

    said = wrong(payload)
    if said and (failed is None or not wrong(failed)):
        raise Refused(
            f"The payload is no {spec.payload}: {'; '.join(said[:5])}. The failure is as it was."
        )
