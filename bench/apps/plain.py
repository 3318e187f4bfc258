"""Handlers that store nothing: the least, one that waits, one that times its own reads."""

from __future__ import annotations

import time

from wherry import App, Struct

WAIT_S = 0.2
ITEMS = 50


class Ping(Struct):
    text: str
    number: int


class Pong(Struct):
    text: str
    number: int


class Item(Struct):
    name: str
    text: str


class ReadTimes(Struct):
    taken_us: list[float]


app = App("bench-plain")
items = app.table(Item, key="name")


@app.post("/trivial")
def trivial(ping: Ping) -> Pong:
    return Pong(text=ping.text, number=ping.number + 1)


@app.post("/wait")
def wait(ping: Ping) -> Pong:
    time.sleep(WAIT_S)
    return Pong(text=ping.text, number=ping.number)


@app.post("/items", grants=[items.write])
def put_items(ping: Ping) -> Pong:
    for number in range(ITEMS):
        items.put(Item(name=f"item-{number}", text=ping.text))
    return Pong(text=ping.text, number=ITEMS)


@app.post("/reads", grants=[items.read])
def read_items(ping: Ping) -> ReadTimes:
    taken_us = []
    for number in range(ITEMS):
        begun = time.perf_counter_ns()
        items.get(f"item-{number}")
        taken_us.append((time.perf_counter_ns() - begun) / 1000)
    return ReadTimes(taken_us=taken_us)
