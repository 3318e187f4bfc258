"""The check of uploaded assets, with wherry's test kit alone."""

import pytest
from shop import app, assets
from steps.asset_checks import check_asset

from wherry import ObjectCreated
from wherry.testing import Backend, running

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
JPEG = b"\xff\xd8\xff\xe0" + bytes(100)
PAGE = b"<script>alert(1)</script>"


def upload(backend: Backend, content: bytes, media_type: str) -> str:
    """Upload as a customer does: with a ticket."""
    asked = {"media_type": media_type, "size_bytes": len(content)}
    token = backend.token("alice", roles=["customer"])
    ticket = backend.post("/assets", json=asked, token=token).json()
    assert backend.put(ticket["url"], content, headers=ticket["headers"]).status == 200
    return str(ticket["key"])


@pytest.mark.parametrize(
    ("content", "media_type", "stays"),
    [
        (PNG, "image/png", True),
        (JPEG, "image/jpeg", True),
        (JPEG, "image/png", False),
        (PAGE, "image/png", False),
        (b"\0", "image/jpeg", False),
    ],
)
def test_only_what_is_such_a_picture_stays(content: bytes, media_type: str, stays: bool) -> None:
    with running(app) as backend:
        key = upload(backend, content, media_type)
        backend.drain()
        assert (backend.object(assets, key) is not None) == stays


def test_a_picture_that_is_gone_by_then_is_no_failure() -> None:
    with running(app) as backend, backend.acting():
        check_asset(ObjectCreated("assets", "alice/gone"))
