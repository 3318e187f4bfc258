"""What harbour stores and sends, as it was before next_shapes.py took its place."""

from typing import Any, Literal

from wherry import Struct

Kind = Literal["plain", "flaky", "slow", "delayed", "poison", "brittle", "parcel"]
NEXT = False
UPGRADES: tuple[Any, ...] = ()


class Order(Struct):
    client: str
    order_id: str
    kind: Kind


class Job(Struct):
    client: str
    order_id: str
    kind: Kind


def order_of(client: str, order_id: str, kind: Kind) -> Order:
    return Order(client, order_id, kind)
