"""A process that moves runs whose states evaluate JSONata or regular expressions.

Started by the engine as `python -m wherry.engine.workflows.expressions --fd N`: one request at a
time, until the socket is closed. An alarm breaks an expression off that takes too long, and its
state fails; what even that does not end, the engine kills.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from collections import OrderedDict
from contextlib import suppress

from wherry import limits
from wherry.engine.workflows.wire import Ask, Fault, Told, difference, length_of, pack, unpack
from wherry.statemachine.machine import Machine, compile_machine
from wherry.statemachine.overtime import allowance, expire, reset
from wherry.statemachine.records import Commands, Run
from wherry.world import Chance

ALARM_AGAIN_S = 0.25  # where something has swallowed the first


class Server:
    """Machines and runs that were asked for lately."""

    def __init__(self) -> None:
        self._machines: OrderedDict[str, Machine] = OrderedDict()
        self._runs: dict[int, Run] = {}

    def answer(self, ask: Ask) -> Told | Fault:
        """Move a run."""
        for key in ask.forget:
            self._runs.pop(key, None)
        run = self._runs.pop(ask.key, None) if ask.run is None else ask.run
        machine = self._machine(ask)
        if run is None or machine is None:
            return Fault("The run or the machine that is asked for is not here.")
        allowance.over = ask.poisoned
        try:
            run, commands = _moved(machine, run, ask)
            overran = allowance.overran
        except Exception as error:
            return Fault(f"{type(error).__name__}: {error}")
        finally:
            reset()
        self._runs[ask.key] = run
        return difference(run, commands, overran)

    def _machine(self, ask: Ask) -> Machine | None:
        if ask.definition is not None:
            self._machines[ask.digest] = compile_machine(ask.definition)
        return self._machines.get(ask.digest)


def _moved(machine: Machine, run: Run, ask: Ask) -> tuple[Run, list[Commands]]:
    chance = Chance(int.from_bytes(ask.seed, "big"))
    if ask.events is None:
        run, commands = machine.redrive(run, ask.now_ms, chance, reuse=True)
        return run, [commands]
    found = []
    for event in ask.events:
        run, commands = machine.advance(run, event, ask.now_ms, chance, reuse=True)
        found.append(commands)
    return run, found


def serve(sock: socket.socket, server: Server) -> None:
    """Answer until the other end closes the socket."""
    reader = sock.makefile("rb")
    while head := reader.read(4):
        body = reader.read(length_of(head))
        signal.setitimer(signal.ITIMER_REAL, limits.STATE_ADVANCE_S, ALARM_AGAIN_S)
        try:
            answer = pack(server.answer(unpack(body, Ask)))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        sock.sendall(answer)


def main(fd: int) -> int:
    """Serve on the socket `fd`; return the exit status."""
    # The engine decides when this ends: a signal to the whole group must not come first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, lambda _number, _frame: expire())
    if sys.platform == "linux":
        bound = limits.STATE_WORKER_BYTES
        resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))
    sock = socket.socket(fileno=fd)
    os.set_inheritable(fd, False)
    with suppress(ConnectionResetError, BrokenPipeError):  # the engine is gone
        serve(sock, Server())
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[2])))
