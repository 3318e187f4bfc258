"""Where the content of objects lies: in files of the data folder, or in S3 with files before it.

A store remembers its place (`KEY`): content that lies elsewhere would be missed, and taken for
orphans by who sweeps there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from wherry import limits
from wherry.engine.offload import Threads
from wherry.errors import Refused, WherryError
from wherry.platforms.files.blobs import Blobs
from wherry.ports import GetState, PutState, State
from wherry.world import Chance

if TYPE_CHECKING:
    import asyncio

    from wherry.engine.core import Core
    from wherry.engine.offload import Offload
    from wherry.engine.options import Options
    from wherry.platforms.s3.remote import Remote
    from wherry.ports import Request
    from wherry.world import Clock

KEY = "engine/objects"
LOOK_S = 1.0


class Known(msgspec.Struct, frozen=True):
    """What a store remembers: an ID of its own, and where its objects lie ("": with it)."""

    installation: str
    place: str


class LocalPlace:
    """Objects lie in the data folder."""

    hidden: tuple[str, ...] = ()

    def __init__(self, folder: str, offload: Offload) -> None:
        self.blobs = Blobs(folder)
        self.offload = offload
        self.where = ""

    def settle(self, ask: Callable[[Request], Any]) -> None:
        """See that this is where they lie.

        Raises:
            Refused: They lie elsewhere.
        """
        known = _known(ask)
        if known is not None and known.place:
            raise Refused(
                f"The objects of this store lie in {known.place}.",
                advice=f"Start it with --objects {known.place}",
            )

    def watch(self, core: Core) -> None:
        """A disk is watched by others."""

    def stop(self) -> None:
        """Nothing is to let go of."""


class S3Place:
    """Objects lie in S3; the data folder has files of some of them.

    Raises:
        Refused: The URL is none, boto3 is not installed or cannot be configured.
    """

    def __init__(
        self,
        url: str,
        endpoint: str,
        folder: str,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        chance: Chance,
    ) -> None:
        from wherry.platforms.s3.blobs import S3Blobs
        from wherry.platforms.s3.place import Place, credential_files, endpoint_of
        from wherry.platforms.s3.remote import Remote

        place = Place.of(url, endpoint or endpoint_of(os.environ))
        self._folder = folder
        self._clock = clock
        self._chance = chance
        self._asking = False
        self._remote: Remote = Remote(place, clock)
        self.blobs: Blobs = S3Blobs(folder, self._remote, clock)
        self._threads = Threads(loop, limits.S3_THREADS)
        self.offload: Offload = self._threads
        self._prober = Threads(loop, 1)  # its own: the others may all be sending
        self.hidden = credential_files(os.environ)
        self.where = f"{place} ({place.endpoint})" if place.endpoint else str(place)

    def settle(self, ask: Callable[[Request], Any]) -> None:
        """Try the place, and take it for this store. Waits.

        Raises:
            Refused: It cannot be used, is another store's, or content lies elsewhere.
        """
        from wherry.platforms.s3.claiming import claim, probe

        place = str(self._remote.place)
        known = _known(ask)
        if (known is None or not known.place) and _has_files(self._folder):
            raise Refused(
                "The objects of this store lie in its data folder.",
                advice="Start it without --objects, or begin with an empty data folder.",
            )
        probe(self._remote, self._chance)
        if known is None:
            made = msgspec.json.encode(Known(self._chance.token(16).hex(), ""))
            ask(PutState(KEY, made, if_absent=True))
            known = _known(ask)
        if known is None:
            raise Refused("The store does not keep where its objects lie.")
        claim(self._remote, known.installation, moved=known.place not in ("", place))
        if known.place != place:
            ask(PutState(KEY, msgspec.json.encode(Known(known.installation, place))))

    def watch(self, core: Core) -> None:
        """Say when S3 is silent, which is asked where nothing else asks it.

        The engine is ready all the same: its other machines have the same S3, and a load balancer
        that gave all of them up would end what needs no objects too.
        """
        remote = self._remote
        silent_s = self._clock.steady_s() - remote.answered_s
        remote.silent = silent_s > limits.S3_SILENT_S
        said = f"{remote.place}, where objects lie, has not answered for {silent_s:.0f} s"
        if remote.silent and not core.objects_away:
            core.journal.say("ERROR", said)
        elif core.objects_away and not remote.silent:
            core.journal.say("INFO", f"{remote.place} answers again")
        core.objects_away = said if remote.silent else ""
        if silent_s > limits.S3_PROBE_S and not self._asking:
            self._asking = True
            self._prober(remote.look, self._looked)
        if not core.stopping:
            core.loop.call_later(LOOK_S, self.watch, core)

    def _looked(self, result: Any) -> None:
        self._asking = False

    def stop(self) -> None:
        """Let go of the threads and the connections."""
        self._threads.stop()
        self._prober.stop()
        self._remote.close()


def _known(ask: Callable[[Request], Any]) -> Known | None:
    answer = ask(GetState(KEY))
    return msgspec.json.decode(answer.value, type=Known) if isinstance(answer, State) else None


def _has_files(folder: str) -> bool:
    return any(names for _, _, names in os.walk(folder))


def place_of(
    options: Options,
    folder: str,
    loop: asyncio.AbstractEventLoop,
    clock: Clock,
    offload: Offload,
) -> LocalPlace | S3Place:
    """Return where the content of objects is to lie.

    Raises:
        Refused: As `S3Place` says.
    """
    if options.objects:
        return S3Place(options.objects, options.objects_endpoint, folder, loop, clock, Chance())
    return LocalPlace(folder, offload)


async def settled(
    place: LocalPlace | S3Place, ask: Callable[[Request], Any], offload: Offload
) -> str | None:
    """Settle a place on another thread; return what is wrong with it, or None."""
    import asyncio

    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    offload(lambda: place.settle(ask), done.set_result)
    result = await done
    if isinstance(result, WherryError):
        return str(result)
    return f"{type(result).__name__}: {result}" if isinstance(result, Exception) else None
