"""Objects that one run puts in several ways are stored side by side."""

from __future__ import annotations

from wherry import App
from wherry.testing import running

app = App("blobs")
files = app.bucket("files")


def put_inside() -> str:
    files.put("inside", b"inside")
    return "done"


@app.post("/put", grants=[files.write])
def put_around() -> None:
    files.put("before", b"before")
    app.atomic("step", put_inside)
    files.put("after", b"after")


def test_a_step_puts_an_object_beside_those_of_its_run() -> None:
    with running(app) as backend:
        assert backend.post("/put").status == 204
        stored = [backend.object(files, name) for name in ("before", "inside", "after")]
        assert [one.read() for one in stored if one] == [b"before", b"inside", b"after"]
