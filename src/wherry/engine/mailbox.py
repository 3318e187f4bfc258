"""What waits in front of an environment that runs something else: quick work, for microseconds.

An environment runs one invocation at a time. It sleeps when it has none, and a process that has
slept finds the processor's caches full of others' data: its next run takes several times as long.
So while quick runs follow one another, the next ones are put where it finds them without sleeping.
What it has not taken is not begun: it can be taken back, all at once, when a run turns out not to
be quick, or the environment ends.
"""

from __future__ import annotations

import socket
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from wherry import limits

if TYPE_CHECKING:
    from wherry.engine.work import Work
    from wherry.world import Loop


class Channel(Protocol):
    """What an environment takes its invocations from, one at a time; we may, too."""

    def put(self, payload: bytes) -> None:
        """Put one behind the others. There is room for MAILS of MAIL_BYTES, and one more."""
        ...

    def first(self) -> bytes | None:
        """Return the first one, and leave it there."""
        ...

    def take(self) -> bytes | None:
        """Take the first one: nobody else gets it."""
        ...


class SocketChannel:
    """Two ends of a socket whose messages are taken as a whole, by one side or the other.

    Attributes:
        theirs: The environment's end. It blocks, so that the environment sleeps in it.
    """

    def __init__(self) -> None:
        self._ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setblocking(False)

    def put(self, payload: bytes) -> None:
        try:
            self._ours.send(payload)
        except OSError:
            return  # its process has ended; somebody notices

    def first(self) -> bytes | None:
        with suppress(OSError):
            return self.theirs.recv(limits.MAIL_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        return None

    def take(self) -> bytes | None:
        with suppress(OSError):
            return self.theirs.recv(limits.MAIL_BYTES, socket.MSG_DONTWAIT)
        return None

    def close(self) -> None:
        """Let go of both ends."""
        self._ours.close()
        self.theirs.close()


class Mailbox:
    """What is in front of an environment, and what of it has begun.

    Attributes:
        works: What was put there and, as far as is known, has not begun, in order.
    """

    def __init__(self, channel: Channel, loop: Loop) -> None:
        self.works: deque[Work] = deque()
        self._begun = b""  # what the environment was given to run, if it has taken it
        self._waiting: deque[bytes] = deque()  # as `works`, encoded
        self._unsent: list[bytes] = []
        self._channel = channel
        self._loop = loop

    # -- what goes in ------------------------------------------------------------------------------

    def begin(self, payload: bytes, at_once: bool) -> None:
        """Give an idle environment an invocation.

        Args:
            at_once: False where others may follow in a moment: the environment is woken for all
                of them, once.
        """
        self._begun = payload
        self._put(payload, at_once)

    def add(self, work: Work, payload: bytes, at_once: bool) -> None:
        """Let work wait in front of a busy environment."""
        self.works.append(work)
        self._waiting.append(payload)
        self._put(payload, at_once)

    def _put(self, payload: bytes, at_once: bool) -> None:
        if at_once and not self._unsent:
            self._channel.put(payload)
            return
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(payload)

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        for payload in unsent:
            self._channel.put(payload)

    # -- what comes out ----------------------------------------------------------------------------

    def next(self) -> Work:
        """Return the work that the environment has gone on to."""
        self._begun = self._waiting.popleft()
        return self.works.popleft()

    def take_back(self) -> list[Work]:
        """Return what waits there, while the environment is alive.

        Nothing where it has not come to run yet what it was given first: it is not slow.
        """
        self._flush()
        return [] if self._channel.first() == self._begun else self._take_all()

    def take_rest(self) -> list[Work]:
        """Return what waits there, of an environment that has ended; `works` keeps the others."""
        self._flush()
        if self._channel.first() == self._begun:
            self._channel.take()
        return self._take_all()

    def _take_all(self) -> list[Work]:
        back: list[Work] = []
        # The environment may take one between two of ours: only what we got tells which.
        while payload := self._channel.take():
            place = self._waiting.index(payload)
            del self._waiting[place]
            back.append(self.works[place])
            del self.works[place]
        return back
