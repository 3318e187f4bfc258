"""Documents: what is uploaded is validated, read, classified and stored, each step by itself.

wherry run documents:app
"""

from typing import Annotated, Literal

from wherry import App, Meta, NotFound, ObjectCreated, Struct, UploadTicket, new_id

MEDIA_TYPES = ("text/plain", "application/pdf")
MOST_BYTES = 1_000_000
BEGINS = {"application/pdf": b"%PDF-"}


class NewDocument(Struct):
    media_type: Literal["text/plain", "application/pdf"]
    size_bytes: Annotated[int, Meta(ge=1, le=MOST_BYTES)]


class Upload(Struct):
    """What the workflow is started with: where the content lies."""

    document_id: str


class Extracted(Struct):
    text: str


class Kind(Struct):
    kind: Literal["invoice", "contract", "letter"]
    certain: float


class Document(Struct):
    document_id: str
    kind: str
    certain: float
    text: str


class NotADocument(Exception):
    """The content is not what its upload was for."""


class ServiceBusy(Exception):
    """An outside service takes nothing now."""


app = App("documents")
uploads = app.bucket("uploads", max_bytes=MOST_BYTES, media_types=list(MEDIA_TYPES))
documents = app.table(Document, key="document_id", indexes={"by_kind": ("kind", "document_id")})
pipeline = app.workflow("pipeline", definition="documents.asl.json", input=Upload)


# -- in and out ------------------------------------------------------------------------------------


@app.post("/documents", status=201, grants=[uploads.create])
def upload_document(new: NewDocument) -> UploadTicket:
    """Get a ticket to upload one document; its key is the document's ID."""
    return uploads.presign_upload(new_id(), size_bytes=new.size_bytes, media_type=new.media_type)


@uploads.on_created(grants=[pipeline.start])
def begin(created: ObjectCreated) -> None:
    """Start the workflow. A document that is uploaded again is not worked on twice."""
    pipeline.start(Upload(created.key), name=created.key)


@app.get("/documents/{document_id}", grants=[documents.read])
def get_document(document_id: str) -> Document:
    """Look at a document that has come through."""
    document = documents.get(document_id)
    if document is None:
        raise NotFound("document", document_id)
    return document


# -- the steps -------------------------------------------------------------------------------------


@app.task(grants=[uploads.read])
def validate(upload: Upload) -> Upload:
    """Let only pass what is what it says: nobody has looked at the content so far."""
    file = uploads.get(upload.document_id)
    if file is None:
        raise NotADocument("it is gone")
    begin = BEGINS.get(file.media_type, b"")
    if not file.read().startswith(begin):
        raise NotADocument(f"it does not begin as {file.media_type} does")
    return upload


@app.task(timeout_s=60, grants=[uploads.read])
def extract(upload: Upload) -> Extracted:
    """Read the text with an outside service."""
    file = uploads.get(upload.document_id)
    if file is None:
        raise NotADocument("it is gone")
    return Extracted(read_text(file.read()))


@app.task(timeout_s=60)
def classify(extracted: Extracted) -> Kind:
    """Ask an outside service what it is."""
    kind, certain = recognise(extracted.text)
    return Kind(kind, certain)


@app.task(grants=[documents.write])
def store(document: Document) -> None:
    """Make it findable."""
    documents.put(document)


# -- what stands for services outside --------------------------------------------------------------


def read_text(content: bytes) -> str:
    """Stand for a service that reads documents."""
    lines = content.decode("utf-8", "replace").splitlines()
    return " ".join(line for line in lines if not line.startswith("%"))


def recognise(text: str) -> tuple[Literal["invoice", "contract", "letter"], float]:
    """Stand for a service that knows kinds of documents."""
    words = text.lower()
    if "invoice" in words:
        return "invoice", 0.9
    return ("contract", 0.8) if "agree" in words else ("letter", 0.5)
