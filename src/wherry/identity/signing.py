"""The development issuer's key: RSA 2,048, made once, kept in its state."""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import lru_cache
from typing import Any

from wherry.codec import to_json
from wherry.errors import WherryError
from wherry.identity.state import IssuerState

_KEY = "signing-key"


class Signer:
    """Signs with RS256. The key is made (50-300 ms) or read at the first need, by one thread."""

    def __init__(self, state: IssuerState) -> None:
        self._state = state
        self._key: Any = None
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Have the key made in the background; who needs it before then waits for it."""
        if self._key is None:
            threading.Thread(target=self._prepare, name="signing-key", daemon=True).start()

    def sign(self, claims: dict[str, Any], kind: str) -> str:
        """Return a signed token with this `typ`."""
        from joserfc import jws

        key = self._ready()
        header = {"alg": "RS256", "kid": key.kid, "typ": kind}
        return jws.serialize_compact(header, to_json(claims), key, algorithms=["RS256"])

    def jwks(self) -> dict[str, Any]:
        """Return the JWK set with the public key."""
        key = self._ready()
        public = key.as_dict(private=False, kid=key.kid, use="sig", alg="RS256")
        return {"keys": [public]}

    def _prepare(self) -> None:
        with suppress(WherryError):  # whoever needs the key tries again, and is told
            self._ready()

    def _ready(self) -> Any:
        if self._key is None:
            with self._lock:
                if self._key is None:
                    self._key = self._load()
        return self._key

    def _load(self) -> Any:
        stored = self._state.get(_KEY)
        if stored is None:
            from joserfc.jwk import RSAKey

            made = RSAKey.generate_key(2048).as_pem(private=True)
            # Another engine may have been first: its key counts.
            stored = made if self._state.put(_KEY, made, if_absent=True) else self._state.get(_KEY)
        return _imported(stored or b"")


@lru_cache(maxsize=4)
def _imported(pem: bytes) -> Any:
    """Read a key. Checking it takes 40 ms, so a reload or the next test does not do it again."""
    from joserfc.jwk import RSAKey

    key = RSAKey.import_key(pem)
    key.ensure_kid()
    return key
