"""What the server needs of a store and of versions, in one process: `wherry dev --inline`.

A debugger stops inside a handler, and with it the whole engine.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from wherry.blueprint import digest as blueprint_digest
from wherry.codec import digest
from wherry.engine.inline import InlineHost
from wherry.engine.store import DirectStore
from wherry.errors import WherryError
from wherry.handles.logs import send_lines_to
from wherry.platforms.sql.store import SqlStore
from wherry.runtime.loading import code_digest, load_app
from wherry.runtime.stored import compared

if TYPE_CHECKING:
    from wherry.engine.core import Core
    from wherry.engine.datafolder import DataFolder
    from wherry.engine.options import Options
    from wherry.engine.releases import ActiveRelease
    from wherry.engine.server import Say
    from wherry.engine.versions import Then
    from wherry.world import Clock


class InlineStore(DirectStore):
    """The store, opened in this process."""

    def __init__(self, loop: asyncio.AbstractEventLoop, path: str, clock: Clock) -> None:
        self.platform = SqlStore(path, clock)
        super().__init__(self.platform, loop)
        self.pid = os.getpid()
        self.owed = 0
        self.hangs = False

    def silent_s(self) -> float:
        """It answers at once."""
        return 0.0

    def stop(self) -> None:
        """Close the database."""
        self.platform.close()

    def describe(self) -> dict[str, Any]:
        """What the control socket tells of it."""
        return {"pid": self.pid, "owed": 0}


class InlineVersions:
    """One version, imported into this process. Another one needs another process."""

    def __init__(self, options: Options, data: DataFolder, store: InlineStore, say: Say) -> None:
        self._options = options
        self._data = data
        self._store = store
        self._say = say

    def begin(self) -> None:
        """Nothing is loaded before the core is there."""

    def attach(self, core: Core) -> None:
        """Use this core."""
        self._core = core

    async def first_release(self) -> str | None:
        """Import the app and activate it; return what is wrong."""
        folder = os.path.abspath(self._options.folder)
        try:
            app = load_app(self._options.target, folder)
            blueprint = app.freeze()
            found = compared(app, folder)
        except WherryError as error:
            return str(error)
        for finding in found:
            self._say("warning", str(finding))
        for bucket in blueprint.buckets:
            os.makedirs(os.path.join(self._data.objects, bucket.name), mode=0o700, exist_ok=True)
        host = InlineHost(self._core, self._store.platform, app)
        release = digest(blueprint_digest(blueprint), code_digest(folder))[:16]
        active = self._core.prepare(blueprint, release, host.start, lambda kept_mb: True)
        host.release = active
        loop = asyncio.get_running_loop()
        log_line = self._core.journal.line_of_handler
        send_lines_to(lambda line: loop.call_soon_threadsafe(log_line, line), app.name)
        done: asyncio.Future[ActiveRelease | str] = loop.create_future()
        self._core.activate(active, done.set_result, self._options.renamed)
        result = await done
        if isinstance(result, str):
            return result
        self._say("warning", "handlers run in the engine's process: no isolation, no deadlines")
        return None

    def reload(self) -> None:
        """Say why not."""
        self.reload_then(lambda fault: self._say("warning", str(fault)))

    def reload_then(self, then: Then, accept_schemas: bool = False) -> None:
        """It cannot be."""
        then("with --inline the app is part of this process: stop it and start it again")

    def watch(self) -> None:
        """Edits are not followed."""

    def check_memory(self) -> None:
        """There is no process to check."""

    def stop(self) -> None:
        """There is no process to stop."""

    def describe(self) -> list[int]:
        """No zygotes."""
        return []
