"""An app with a bucket: handlers put and get, tickets are handed out."""

import os
import time

from wherry import App, NotFound, Struct, UploadTicket
from wherry.handles.scope import scope_for
from wherry.ports import FetchBlob, KeepBlob

app = App("shelf")
files = app.bucket("files", max_bytes=50_000_000)


class Text(Struct):
    """`hold`: its run does not end. `times`: how often the text is in the object."""

    key: str
    text: str
    times: int = 1
    hold: bool = False


class Upload(Struct):
    key: str
    size_bytes: int


class Key(Struct):
    key: str


@app.post("/texts", grants=[files.write])
def put(new: Text) -> None:
    files.put(new.key, new.text.encode() * new.times)
    while new.hold:
        time.sleep(0.05)


@app.get("/texts/{key}", grants=[files.read])
def get(key: str) -> str:
    found = files.get(key)
    if found is None:
        raise NotFound("text", key)
    return found.read().decode()


@app.post("/uploads", grants=[files.write])
def upload(new: Upload) -> UploadTicket:
    return files.presign_upload(new.key, size_bytes=new.size_bytes)


@app.post("/downloads", grants=[files.read])
def download(asked: Key) -> str:
    return files.presign_download(asked.key)


class Asked(Struct):
    bucket: str
    blob: str
    size: int
    sha256: str


@app.post("/nosy")
def nosy(asked: Asked) -> list[str]:
    return ask(asked)


@app.post("/careless", grants=[files.read, files.write])
def careless(asked: Asked) -> list[str]:
    return ask(asked)


def ask(asked: Asked) -> list[str]:
    """Go past the handles: what the socket itself answers."""
    of = (asked.bucket, asked.blob, asked.size, asked.sha256)
    link = scope_for("The test").link
    return [type(link.ask(one)).__name__ for one in (FetchBlob(*of), KeepBlob(*of))]


@app.get("/secrets-of-the-engine")
def look() -> dict[str, str]:
    """What of AWS this function sees: variables, and the file that its folder holds."""
    found = {name: text for name, text in os.environ.items() if "AWS" in name}
    try:
        with open(os.path.join(os.path.dirname(__file__), ".aws-credentials")) as file:
            found["file"] = file.read()
    except OSError as error:
        found["file"] = type(error).__name__
    return found
