"""The broker: what an environment may use and never holds: secrets, the key that signs URLs, the
place where objects lie.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from wherry import limits
from wherry.engine.gateway.objects import signing_path
from wherry.errors import Passing, Refused, WherryError
from wherry.handles.logs import mask
from wherry.platforms.files.presign import expires_at_ms, sign
from wherry.platforms.files.refs import BlobRef
from wherry.ports import (
    Broken,
    Denied,
    Done,
    FetchBlob,
    GetSecret,
    KeepBlob,
    Nothing,
    ReadAnswer,
    SecretValue,
    SignedUrl,
    SignUrl,
)

if TYPE_CHECKING:
    from wherry.engine.offload import Offload
    from wherry.engine.work import Work
    from wherry.platforms.files.blobs import Blobs
    from wherry.platforms.files.sigv4 import SigningKey
    from wherry.world import Clock

_request = msgspec.msgpack.Decoder(GetSecret | SignUrl | KeepBlob | FetchBlob)

_OF_THE_MOMENT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO)

Then = Callable[[ReadAnswer], None]


class Secrets:
    """Secrets from files of mode 0600 in one folder, or from the engine's environment.

    `payment-key` is the file `payment-key`, or else the variable `WHERRY_SECRET_PAYMENT_KEY`.
    A file is read when it is asked for: a rotated secret needs no restart.
    """

    def __init__(self, folder: str, variables: dict[str, str]) -> None:
        self._folder = folder
        self._variables = variables

    def get(self, name: str) -> str | None:
        """Return a secret, or None.

        Raises:
            Refused: Its file can be read by others, or cannot be read.
        """
        path = os.path.join(self._folder, name)
        try:
            variable = "WHERRY_SECRET_" + name.upper().replace("-", "_")
            value = self._of_file(name, path) or self._variables.get(variable, "")
            value.encode()  # a variable may hold any bytes
        except UnicodeError:
            raise Refused(
                f"The secret {name!r} is not UTF-8.",
                advice="Set it as Base64 or hexadecimal digits, and decode it in the function.",
            ) from None
        except OSError as error:
            text = f"The secret {name!r} cannot be read: {error.strerror}."
            if error.errno in _OF_THE_MOMENT:
                raise Passing(text) from None
            advice = f"Let {path} be a file of the engine's user, with mode 0600."
            raise Refused(text, advice=advice) from None
        return value or None  # empty is not set: a deployment's variable that was left blank

    def _of_file(self, name: str, path: str) -> str:
        try:
            with open(path, encoding="utf-8") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                if mode & 0o077:
                    raise Refused(
                        f"The secret {name!r} can be read by others (mode {mode:o}).",
                        advice=f"Run: chmod 600 {path}",
                    )
                return file.read(limits.SECRET_BYTES).rstrip("\n")
        except FileNotFoundError:
            return ""


class Broker:
    """Answers secrets and signatures, and moves the content of objects, after the grants.

    Args:
        content: Moves content, on other threads: as many at once as it has.
    """

    def __init__(
        self,
        secrets: Secrets,
        key: SigningKey,
        clock: Clock,
        public_url: Callable[[], str],
        blobs: Blobs,
        content: Offload,
    ) -> None:
        self._blobs = blobs
        self._content = content
        self._secrets = secrets
        self._key = key
        self._clock = clock
        self._public_url = public_url

    def __call__(self, work: Work, payload: bytes, then: Then) -> None:
        """Answer an encoded request of an environment; `then` gets the answer, perhaps later."""
        match _request.decode(payload):
            case KeepBlob() | FetchBlob() as request:
                self._move(work.function.grants, request, then)
            case request:
                then(self.answer(work, request))

    def _move(
        self, grants: frozenset[tuple[str, str]], request: KeepBlob | FetchBlob, then: Then
    ) -> None:
        """Store or bring the content of an object; an environment waits for that."""
        bucket = request.bucket
        ref = BlobRef(request.blob, request.size_bytes, request.sha256)
        needed = ("read",) if isinstance(request, FetchBlob) else ("create", "write")
        if not any((bucket, action) in grants for action in needed):
            then(Denied(bucket, needed[0]))
            return

        def move() -> None:
            match request:
                case KeepBlob():
                    self._blobs.keep(bucket, ref)
                case FetchBlob(damaged=True):
                    self._blobs.check(bucket, ref)
                case FetchBlob():
                    self._blobs.path(bucket, ref)

        def moved(result: object) -> None:
            match result:
                case WherryError() as error:
                    then(Broken(error.code, str(error)))
                case Exception() as error:  # a name that is none
                    then(Broken(Refused.code, str(error)))
                case _:
                    then(Done())

        self._content(move, moved)

    def answer(self, work: Work, request: GetSecret | SignUrl) -> ReadAnswer:
        """Answer a request of the function that `work` runs."""
        grants = work.function.grants
        try:
            match request:
                case GetSecret(name=name):
                    if (name, "read") not in grants:
                        return Denied(name, "read")
                    return self.secret(name)
                case SignUrl():
                    return self._sign(grants, request)
        except WherryError as error:
            return Broken(error.code, str(error))
        except Exception as error:  # whoever asked waits for an answer
            return Broken(
                Refused.code, f"The engine cannot do this: {type(error).__name__}: {error}"
            )

    def secret(self, name: str) -> SecretValue | Nothing:
        """Return a secret; who asks may have it.

        Raises:
            Refused: Its file can be read by others, or cannot be read.
        """
        value = self._secrets.get(name)
        if value is None:
            return Nothing()
        mask(value)  # in what its function prints, and does not log
        return SecretValue(value)

    def _sign(self, grants: frozenset[tuple[str, str]], request: SignUrl) -> ReadAnswer:
        bucket = request.bucket
        if request.method == "PUT":
            creates = (bucket, "create") in grants and "if-none-match" in request.headers
            if not creates and (bucket, "write") not in grants:
                return Denied(bucket, "create")
        elif request.method not in ("GET", "HEAD") or (bucket, "read") not in grants:
            return Denied(bucket, "read")
        return self.signed(request)

    def signed(self, request: SignUrl) -> SignedUrl:
        """Return a signed URL; who asks may have it."""
        now_ms = self._clock.now_ms()
        url = sign(
            request.method,
            self._public_url(),
            signing_path(request.bucket, request.key),
            self._key,
            now_ms,
            request.expires_s,
            request.headers,
            request.query,
        )
        return SignedUrl(url, request.headers, expires_at_ms(now_ms, request.expires_s))
