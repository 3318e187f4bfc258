"""Forty functions, each of which gets an environment of its own on its first request."""

from __future__ import annotations

from collections.abc import Callable

from wherry import App, Struct

FUNCTIONS = 40


class Ping(Struct):
    text: str
    number: int


app = App("bench-cold")


def answering(number: int) -> Callable[[Ping], Ping]:
    def answer(ping: Ping) -> Ping:
        return ping

    answer.__name__ = answer.__qualname__ = f"answer_{number}"
    return answer


for each in range(FUNCTIONS):
    app.post(f"/cold/{each}")(answering(each))
