"""Large payloads, which travel as objects of their queue (claim check).

Such an object goes with its message: in the transaction in which that leaves for ever.
"""

from __future__ import annotations

import msgspec

from wherry.effects import DeleteObject
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.objects import Objects
from wherry.platforms.sql.session import Session
from wherry.tickets import is_reference, key_of, payloads_bucket


class Payloads:
    """The objects that messages stand for."""

    def __init__(self, session: Session, catalog: Catalog) -> None:
        self._catalog = catalog
        self._objects = Objects(session, catalog)

    def remove(self, queue: int, body: bytes) -> None:
        """Remove the object that a message of this queue stands for, if it is such a message."""
        catalog = self._catalog
        if queue in catalog.claiming and is_reference(body):
            try:
                key = key_of(body)
            except msgspec.MsgspecError:  # edited by hand
                return
            self._objects.apply(DeleteObject(payloads_bucket(catalog.name(queue)), key))
