"""One function that is quick as a rule: some runs wait to be let go, some die, some print."""

import os
import signal
import time

from wherry import App, Struct

app = App("swift")


class Gate(Struct):
    name: str


class Asked(Struct):
    text: str
    way: str = "quick"


gates = app.table(Gate, key="name")


@app.post("/gates/{name}", grants=[gates.write])
def open_gate(name: str) -> str:
    gates.put(Gate(name))
    return name


@app.post("/ask", grants=[gates.read], concurrency=4)
def ask(asked: Asked) -> str:
    match asked.way:
        case "waits":
            while gates.get(asked.text) is None:
                time.sleep(0.001)
        case "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        case "prints":
            print(f"printed for {asked.text}")
    return asked.text
