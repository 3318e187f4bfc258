"""What the next version of harbour stores and sends. The old one runs beside it for a while: it
writes items that only `upgrade=` reads, and both read each other's messages.
"""

from typing import Literal

from wherry import Struct

Kind = Literal["plain", "flaky", "slow", "delayed", "poison", "brittle", "parcel"]
NEXT = True


class OldOrder(Struct):
    client: str
    order_id: str
    kind: Kind


class Order(Struct):
    client: str
    order_id: str
    kinds: list[Kind]
    audited: bool


def from_one_kind(old: OldOrder) -> Order:
    return Order(old.client, old.order_id, [old.kind], False)


UPGRADES = (from_one_kind,)


class Job(Struct):
    client: str
    order_id: str
    kind: Kind
    runs: int = 1


def order_of(client: str, order_id: str, kind: Kind) -> Order:
    return Order(client, order_id, [kind], True)
