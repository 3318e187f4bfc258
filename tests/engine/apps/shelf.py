"""An app with a bucket: handlers put and get, tickets are handed out."""

import os
import time

from wherry import App, NotFound, Struct, UploadTicket

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
