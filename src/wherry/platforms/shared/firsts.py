"""First steps of executions: worked out before there is a number, which is put in here."""

from __future__ import annotations

from msgspec.structs import replace

from wherry.effects import SendMessage
from wherry.platforms.shared.declared import Declared
from wherry.platforms.shared.plans import message_fault
from wherry.ports import Advance

_ID, _BODY = "0.", b'{"execution":0,'


def numbered(first: Advance, id: int, workflow: str, catalog: Declared) -> Advance | None:
    """Return a first step with the execution's number in it.

    None: it cannot be taken. What is wrong with it, or what of it has to wait, shows when the
    execution begins by its message.
    """
    queue = catalog.queue(workflow)
    if queue is None or queue.paused:
        return None
    sends: list[SendMessage] = []
    for one in first.sends:
        fault = not one.id.startswith(_ID) or not one.body.startswith(_BODY)
        if fault or catalog.queue(one.queue) is None or message_fault(one):
            return None
        body = b'{"execution":%d,' % id + one.body[len(_BODY) :]
        sends.append(replace(one, id=f"{id}.{one.id[len(_ID) :]}", body=body))
    return replace(first, execution=id, sends=sends)
