"""What can happen between the engines and S3: it is slow, refuses, or breaks off."""

from __future__ import annotations

import time

from .faults import now_ns
from .shared_victim import Shared

HARMED_S = 4.0
SHARE = 0.6  # of the requests that are harmed
SLOW = ("slow",)
FAILS = ("503 SlowDown", "500 InternalError", "hang")
BREAKS = ("reset", "cut", "deaf")  # in a body, after an answer's head, when all is done


def harmed(life: Shared, *, harms: tuple[str, ...]) -> int | None:
    """Some requests come to this for a while."""

    def harm(head: str) -> str:
        return life.chance.choice(harms) if life.chance.random() < SHARE else ""

    life.s3.harm = harm
    try:
        time.sleep(HARMED_S)  # this long, whoever asks
    finally:
        life.s3.harm = lambda head: ""
    return now_ns()
