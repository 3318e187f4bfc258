"""What a running engine is told."""

from __future__ import annotations

import msgspec

from wherry.engine.storeplace import StorePlace


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What `wherry run` and `wherry dev` are told."""

    target: str
    folder: str = "."
    data: str = ".wherry"
    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str = ""
    proxies: tuple[str, ...] = ()
    renamed: bool = False  # the store is that of this app, which had another name
    dev: bool = False
    inline: bool = False
    access_log: bool = True
    leave_s: float = 0.0  # from a stop until no request is taken any more
    keep_awake: bool = False  # idle processors, while there is work, where we may
    objects: str = ""  # s3://bucket/prefix; "": in the data folder
    objects_endpoint: str = ""
    store: StorePlace | None = None  # a Postgres; None: SQLite, in the data folder
