"""Objects: put in several ways by one run, and only as a download can serve them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from wherry import App, RawBody, UploadTicket
from wherry.effects import PutObject
from wherry.handles.scope import maybe_scope
from wherry.testing import running

app = App("blobs")
files = app.bucket("files")
pictures = app.bucket("pictures", media_types=["image/png"])


def put_inside() -> str:
    files.put("inside", b"inside")
    return "done"


@app.post("/put", grants=[files.write])
def put_around() -> None:
    files.put("before", b"before")
    app.atomic("step", put_inside)
    files.put("after", b"after")


@app.post("/labelled", grants=[files.write])
def put_labelled(label: dict[str, Any]) -> None:
    files.put("labelled", b"content", **label)


@app.post("/tickets", grants=[files.create])
def ask_for_a_ticket(label: dict[str, Any]) -> UploadTicket:
    return files.presign_upload("ticket", size_bytes=3, **label)


@app.put("/picture", grants=[pictures.write])
def put_picture(picture: RawBody) -> None:
    pictures.put("picture", picture.content, media_type=picture.media_type)


@app.post("/old", grants=[files.write])
def put_as_before(label: dict[str, Any]) -> None:
    """Put what versions before this one took."""
    files.put("labelled", b"content")
    scope = maybe_scope()
    assert scope is not None
    put = scope.objects["files", "labelled"]
    assert isinstance(put, PutObject)
    scope.objects["files", "labelled"] = structs.replace(put, **label)


@app.get("/labelled", grants=[files.read])
def labelled() -> str:
    return files.presign_download("labelled")


def test_a_step_puts_an_object_beside_those_of_its_run() -> None:
    with running(app) as backend:
        assert backend.post("/put").status == 204
        stored = [backend.object(files, name) for name in ("before", "inside", "after")]
        assert [one.read() for one in stored if one] == [b"before", b"inside", b"after"]


UNSENDABLE: dict[str, dict[str, Any]] = {
    "no subtype": {"media_type": "text"},
    "no type": {"media_type": "/png"},
    "a line more": {"media_type": "text/plain\r\nx: y"},
    "a line more in a parameter": {"media_type": "text/plain; a=b\r\nx: y"},
    "beyond Latin-1": {"media_type": "text/ü€"},
    "spaces at its end": {"media_type": "text/plain; "},
    "too long": {"media_type": "text/" + "x" * 251},
    "a line more in a value": {"metadata": {"a": "b\r\nc: d"}},
    "a value beyond ASCII": {"metadata": {"a": "ü"}},
    "a value that would be folded": {"metadata": {"a": "b  c"}},
    "a name of two words": {"metadata": {"a b": "c"}},
    "a name of nothing": {"metadata": {"": "c"}},
    "one name in two cases": {"metadata": {"Owner": "a", "owner": "b"}},
}


@pytest.mark.parametrize("path", ["/labelled", "/tickets"])
@pytest.mark.parametrize("label", UNSENDABLE.values(), ids=UNSENDABLE)
def test_what_no_header_holds_is_refused_when_it_is_put_or_signed(
    path: str, label: dict[str, Any]
) -> None:
    """422 with the field at fault, and nothing is stored or signed."""
    with running(app) as backend:
        reply = backend.post(path, json=label)
        assert reply.status == 422, reply
        field = next(iter(label))
        assert all(fault["at"].startswith(field) for fault in reply.json()["faults"])
        assert backend.object(files, "labelled") is None


@pytest.mark.parametrize(
    ("given", "served"),
    [
        ("image/png", "image/png"),
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("multipart/mixed;boundary=x", "multipart/mixed;boundary=x"),
        ("application/vnd.api+json", "application/vnd.api+json"),
        ("", "application/octet-stream"),
    ],
)
def test_an_object_is_downloaded_with_the_type_and_metadata_it_was_put_with(
    given: str, served: str
) -> None:
    """Put by a handler or uploaded with a ticket; no type is bytes of no known type."""
    label = {"media_type": given, "metadata": {"owner": "Alice B", "a_b-c": ""}}
    with running(app) as backend:
        assert backend.post("/labelled", json=label).status == 204
        found = backend.get(backend.get("/labelled").json())
        assert (found.status, found.headers["content-type"]) == (200, served)
        assert found.headers["x-amz-meta-owner"] == "Alice B"
        ticket = backend.post("/tickets", json=label).json()
        assert backend.put(ticket["url"], b"abc", headers=ticket["headers"]).status == 200
        stored = backend.object(files, "ticket")
        assert stored is not None
        assert (stored.media_type, stored.metadata) == (served, label["metadata"])


@pytest.mark.parametrize("sha256", ["", "ab", "zz" * 32, "ab " * 32])
def test_a_checksum_that_no_content_can_have_gets_no_ticket(sha256: str) -> None:
    with running(app) as backend:
        assert backend.post("/tickets", json={"sha256": sha256}).status == 400


def test_a_bucket_of_some_types_takes_nothing_of_no_type() -> None:
    """An upload that names no type does not pass the restriction."""
    with running(app) as backend:
        assert backend.put("/picture", b"abc").status == 400
        assert backend.put("/picture", b"abc", headers={"content-type": ""}).status == 400
        assert backend.put("/picture", b"abc", headers={"content-type": "image/png"}).status == 204


def test_an_object_stored_with_what_no_header_holds_is_downloaded_without_it() -> None:
    """Its content is there: what cannot be said of it is left out, and counted as S3 does."""
    label = {
        "media_type": "text/ü€",
        "metadata": {"a": "b\r\nc: d", "d e": "f", "g": "€", "h": "ü", "i.j": "k  l"},
    }
    with running(app) as backend:
        assert backend.post("/old", json=label).status == 204
        found = backend.get(backend.get("/labelled").json())
        assert (found.status, found.body) == (200, b"content")
        assert found.headers["content-type"] == "application/octet-stream"
        assert found.headers["x-amz-missing-meta"] == "3"
        assert (found.headers["x-amz-meta-h"], found.headers["x-amz-meta-i.j"]) == ("ü", "k  l")
