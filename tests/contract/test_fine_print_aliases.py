"""The fine print: fields of a Pydantic model that have another name in JSON."""

from typing import Any

import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, computed_field
from pydantic.alias_generators import to_camel

from tests.contract.fine_print import on_every_platform
from wherry import App, field

pytestmark = on_every_platform


class Part(BaseModel):
    """A part of a document."""

    model_config = ConfigDict(alias_generator=to_camel)

    line_count: int = 0


class Doc(BaseModel):
    """An item and a message."""

    model_config = ConfigDict(extra="forbid")

    id: str
    page_count: int = Field(default=0, alias="pageCount")
    title: str = Field(default="", validation_alias=AliasChoices("title", "name"))
    parts: list[Part] = []

    @computed_field  # type: ignore[prop-decorator]
    @property
    def size(self) -> int:
        return self.page_count * 1_000


class Bare(BaseModel):
    """An item as older versions have stored it: under its names in Python."""

    id: str
    page_count: int = 0


def make(kind: type[BaseModel]) -> Any:
    app = App("library")
    docs: Any = app.table(kind, name="docs", key="id")
    jobs: Any = app.queue(Doc, name="jobs")
    heard: list[Doc] = []

    @app.post("/papers", grants=[docs.write, jobs.send])
    def put(body: kind) -> None:  # type: ignore[valid-type]
        docs.put(body)
        if isinstance(body, Doc):
            jobs.send(body)

    @app.get("/papers/{id}", grants=[docs.read])
    def get(id: str) -> kind:  # type: ignore[valid-type]
        return docs.get(id)  # type: ignore[no-any-return]

    @app.post("/papers/{id}/grow", grants=[docs.write])
    def grow(id: str) -> None:
        docs.update(id, page_count=13, when=field("page_count") == 12)

    @app.post("/papers/{id}/add", grants=[docs.write])
    def add(id: str) -> None:
        docs.add(id, page_count=1)

    @app.consume(jobs)
    def hear(job: Doc) -> None:
        heard.append(job)

    return app, heard


WHOLE = {"id": "1", "pageCount": 12, "title": "A", "parts": [{"lineCount": 7}]}


def test_what_is_stored_and_sent_comes_back_as_it_was(run: Any) -> None:
    app, heard = make(Doc)
    with run(app) as backend:
        assert backend.post("/papers", json=WHOLE).status == 204
        assert backend.get("/papers/1").json() == WHOLE | {"size": 12_000}
        backend.drain()
    assert heard == [Doc.model_validate(WHOLE)]


@pytest.mark.parametrize("verb", ["grow", "add"])
def test_a_field_is_changed_under_the_name_that_it_is_read_by(run: Any, verb: str) -> None:
    app, _ = make(Doc)
    with run(app) as backend:
        backend.post("/papers", json=WHOLE)
        assert backend.post(f"/papers/1/{verb}").status == 204
        assert backend.get("/papers/1").json()["pageCount"] == 13


def test_an_item_that_was_stored_under_names_in_python_is_read(run: Any, tmp_path: Any) -> None:
    app, _ = make(Bare)
    with run(app, data=str(tmp_path / "data")) as backend:
        backend.post("/papers", json={"id": "1", "page_count": 12})
    app, _ = make(Doc)
    with run(app, data=str(tmp_path / "data")) as backend:
        assert backend.get("/papers/1").json()["pageCount"] == 12
