"""The document pipeline, with wherry's test kit alone."""

import json
from collections.abc import Iterator
from pathlib import Path

import documents
import pytest
from documents import Document, ServiceBusy, app, pipeline, uploads

from wherry.testing import Backend, TaskFailed, run_workflow, running

LETTER = b"Dear Sir, thank you for the oar."
INVOICE = b"%PDF-1.7\nInvoice 17: one oar, 89 EUR"


@pytest.fixture
def backend() -> Iterator[Backend]:
    with running(app) as backend:
        yield backend


def upload(backend: Backend, content: bytes, media_type: str = "text/plain") -> str:
    """Upload as a client does, with a ticket; return the document's ID."""
    asked = {"media_type": media_type, "size_bytes": len(content)}
    ticket = backend.post("/documents", json=asked).json()
    assert backend.put(ticket["url"], content, headers=ticket["headers"]).status == 200
    return str(ticket["key"])


@pytest.mark.parametrize(
    ("content", "media_type", "kind"),
    [
        (LETTER, "text/plain", "letter"),
        (b"We agree on this.", "text/plain", "contract"),
        (INVOICE, "application/pdf", "invoice"),
        (b"  \n", "text/plain", "blank"),
    ],
)
def test_a_document_comes_through(
    backend: Backend, content: bytes, media_type: str, kind: str
) -> None:
    id = upload(backend, content, media_type)
    assert backend.get(f"/documents/{id}").status == 404
    backend.drain()
    assert backend.get(f"/documents/{id}").json()["kind"] == kind


def test_a_bad_file_waits_in_the_inbox_and_goes_on_from_there(backend: Backend) -> None:
    id = upload(backend, LETTER, "application/pdf")
    backend.drain()
    (failure,) = backend.failures()
    assert failure.queue == "pipeline"
    assert "NotADocument: it does not begin as application/pdf does" in failure.error
    assert backend.items(documents.documents) == []

    with backend.acting():  # somebody has found the right file
        uploads.put(id, INVOICE, media_type="application/pdf")
    backend.redrive(failure)
    backend.drain()
    assert backend.failures() == []
    assert backend.get(f"/documents/{id}").json()["kind"] == "invoice"


def test_a_busy_service_is_asked_again(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def read_text(content: bytes) -> str:
        asked.append(content)
        if len(asked) < 5:
            raise ServiceBusy
        return "Invoice"

    monkeypatch.setattr(documents, "read_text", read_text)
    id = upload(backend, LETTER)
    backend.drain()
    assert backend.items(documents.documents) == [Document(id, "invoice", 0.9, "Invoice")]
    assert len(asked) == 5


def test_a_service_that_stays_away_is_a_failure_that_can_be_redriven(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def recognise(text: str) -> None:
        raise ServiceBusy

    upload(backend, LETTER)
    with monkeypatch.context() as patch:
        patch.setattr(documents, "recognise", recognise)
        backend.drain()
    (failure,) = backend.failures()
    backend.redrive(failure)
    backend.drain()
    assert [one.kind for one in backend.items(documents.documents)] == ["letter"]


def test_an_upload_that_is_told_twice_is_worked_on_once(backend: Backend) -> None:
    upload(backend, LETTER)
    backend.duplicate(documents.begin.__name__)
    backend.drain()
    assert len(backend.items(documents.documents)) == 1


def test_the_definition_alone_says_what_becomes_of_errors() -> None:
    """What a service does is tried without it: the definition with stand-ins for the functions."""
    definition = (Path(__file__).parent / str(pipeline.definition)).read_text()
    stored: list[object] = []

    def extract(payload: object) -> object:
        raise TaskFailed("Damaged", "page 3")

    tasks = {"validate": lambda payload: payload, "extract": extract, "store": stored.append}
    result = run_workflow(definition, {"document_id": "d-1"}, tasks=tasks)
    assert (result.status, result.error, stored) == ("FAILED", "Damaged", [])
    assert json.loads(definition)["States"]["Extract"]["Retry"][0]["MaxAttempts"] == 6
