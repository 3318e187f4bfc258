"""The data folder: all state of one installation, with one owner at a time.

Who opens it holds its lock until `close`, or until the process ends, however it ends. Who only
wants to speak with its owner looks `at` it.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import Self

import msgspec

from wherry.errors import Refused
from wherry.platforms.files.sigv4 import SigningKey
from wherry.world import Chance

_OURS = frozenset({"lock", "store.sqlite"})
_HARMLESS = frozenset({"lost+found", ".gitignore", ".gitkeep", "secrets"})


class FolderInUse(Refused):
    """Another process owns the data folder. `pid` is its process ID; 0 where it is not known."""

    code = "data_folder_in_use"

    def __init__(self, root: str, pid: int) -> None:
        who = f"process {pid}" if pid else "another process"
        super().__init__(
            f"The data folder {root} is in use by {who}.",
            advice="Stop that engine first (`wherry stop`), or choose another folder with --data.",
        )
        self.pid = pid


class _SigningKeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key_id: str
    secret: str


class DataFolder:
    """The paths of a data folder; absolute.

    Use `open` to own it, `at` to look at it.
    """

    def __init__(self, path: str, lock: int, chance: Chance) -> None:
        self.root = root = os.path.abspath(path)
        self.store = os.path.join(root, "store.sqlite")
        self.elsewhere = os.path.join(root, "store.elsewhere")  # which Postgres it is instead
        self.objects = os.path.join(root, "objects")
        self.logs = os.path.join(root, "logs")
        self.tmp = os.path.join(root, "tmp")
        self.secrets = os.path.join(root, "secrets")
        self.control_socket = os.path.join(root, "control.sock")
        self.control_token = os.path.join(root, "control.token")
        self._lock = lock
        self._chance = chance

    @classmethod
    def open(cls, path: str, chance: Chance | None = None) -> Self:
        """Own the folder; make it (mode 0700) if it is missing.

        Raises:
            FolderInUse: Another process owns it.
            Refused: It cannot be made or kept from others, or holds what is not wherry's.
        """
        root = os.path.abspath(path)
        try:
            os.makedirs(root, mode=0o700, exist_ok=True)
            _refuse_other(root)
            _close_to_others(root)
            lock = _lock(root)
        except FileExistsError:
            raise Refused(
                f"{root} is a file.", advice="Name a folder for the state with --data."
            ) from None
        except OSError as error:
            raise Refused(
                f"The data folder {root} cannot be used: {error.strerror}.",
                advice="Choose another with --data, or make it writable for this user.",
            ) from error
        folder = cls(root, lock, chance or Chance())
        try:
            folder._make()
        except BaseException:
            folder.close()
            raise
        return folder

    @classmethod
    def at(cls, path: str, missing_ok: bool = False) -> Self:
        """Look at a folder without owning it.

        Raises:
            Refused: There is none, unless `missing_ok`.
        """
        folder = cls(path, -1, Chance())
        if not missing_ok and not folder.used:
            raise Refused(
                f"There is no wherry data in {folder.root}.",
                advice="Start the app once (`wherry run`), or name its folder with --data.",
            )
        return folder

    def close(self) -> None:
        """Give up the lock."""
        if self._lock >= 0:
            lock, self._lock = self._lock, -1
            os.close(lock)

    @property
    def used(self) -> bool:
        """Whether an engine has ever begun on it: there is state, here or in a Postgres."""
        return os.path.exists(self.store) or os.path.exists(self.elsewhere)

    def owned(self) -> bool:
        """Whether any process owns the folder now."""
        try:
            lock = _lock(self.root)
        except FolderInUse:
            return True
        os.close(lock)
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _make(self) -> None:
        if os.path.isdir(self.tmp):  # what environments of an engine that was killed left
            import shutil

            shutil.rmtree(self.tmp, ignore_errors=True)
        for folder in (self.objects, self.logs, self.tmp, self.secrets):
            os.makedirs(folder, mode=0o700, exist_ok=True)
        with suppress(FileExistsError):  # whatever the project ignores: no key of ours is committed
            _create(os.path.join(self.root, ".gitignore"), b"*\n", 0o600)

    # -- small files -----------------------------------------------------------------------------

    def name(self) -> str:
        """Return the name of the engine on this folder, the same at each start."""
        path = os.path.join(self.root, "engine.name")
        found = read_private(path)
        if found is None:
            found = self._chance.token(8).hex().encode()
            write_private(path, found)
        return found.decode("ascii", "replace")

    def signing_key(self) -> SigningKey:
        """Return the key that signs URLs; made at the first call, for this folder only.

        Raises:
            Refused: The file can be read by others, or is not what was written.
        """
        path = os.path.join(self.root, "signing.key")
        text = read_private(path)
        if text is None:
            made = _SigningKeyFile(
                f"wherry-{self._chance.token(6).hex()}", self._chance.token(32).hex()
            )
            text = msgspec.json.encode(made)
            write_private(path, text)
        try:
            found = msgspec.json.decode(text, type=_SigningKeyFile)
            return SigningKey(found.key_id, found.secret)
        except ValueError:
            raise Refused(
                f"The signing key {path} is damaged.",
                advice="Remove it: a new one is made, and URLs signed before stop working.",
            ) from None

    def write_address(self, url: str) -> None:
        """Tell where the running engine is found."""
        write_private(os.path.join(self.root, "address"), url.encode() + b"\n")

    def forget_address(self) -> None:
        """The engine is no longer found anywhere."""
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(self.root, "address"))

    def address(self) -> str | None:
        """Return the public URL of the running engine (of the last one, if it was killed)."""
        try:
            with open(os.path.join(self.root, "address"), encoding="utf-8") as file:
                return file.read().strip() or None
        except FileNotFoundError:
            return None


def write_private(path: str, content: bytes) -> None:
    """Replace a file of mode 0600, durably: it is the old one or the new one, never a half.

    Raises:
        Refused: It cannot be written.
    """
    new = f"{path}.new"
    with suppress(FileNotFoundError):
        os.unlink(new)
    try:
        _create(new, content, 0o600)
    except OSError as error:
        with suppress(FileNotFoundError):
            os.unlink(new)
        raise Refused(
            f"{path} cannot be written ({error.strerror}): it is as it was.",
            advice="Is there room on the disk, and may this user write there?",
        ) from error
    os.replace(new, path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_private(path: str) -> bytes | None:
    """Return a file's content; None where there is no file.

    Raises:
        Refused: It can be read by others.
    """
    try:
        with open(path, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise Refused(
                    f"{path} can be read by others (mode {mode:o}).",
                    advice=f"Run: chmod 600 {path}",
                )
            return file.read()
    except FileNotFoundError:
        return None


def _create(path: str, content: bytes, mode: int) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _refuse_other(root: str) -> None:
    """A project's folder named by mistake is not taken over: its mode would be changed."""
    names = set(os.listdir(root)) - _HARMLESS
    if names and not names & _OURS:
        raise Refused(
            f"{root} holds files that are not wherry's ({min(names)}).",
            advice="Name a new or an empty folder with --data.",
        )


def _close_to_others(root: str) -> None:
    mode = stat.S_IMODE(os.stat(root).st_mode)
    if mode & 0o077:
        try:
            os.chmod(root, 0o700)
        except PermissionError:
            raise Refused(
                f"The data folder {root} is open to others (mode {mode:o}).",
                advice=f"Its owner runs: chmod 700 {root}",
            ) from None


def _lock(root: str) -> int:
    import fcntl

    lock = os.open(os.path.join(root, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        pid = os.read(lock, 32).strip()
        os.close(lock)
        if isinstance(error, BlockingIOError):
            raise FolderInUse(root, int(pid) if pid.isdigit() else 0) from None
        raise
    os.ftruncate(lock, 0)
    os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    return lock
