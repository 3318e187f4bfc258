"""JSONPath as Step Functions reads it: what a path names, and which paths name one thing."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.statemachine.paths import NoMatch, PathSyntax, is_reference, parse

STORE: dict[str, Any] = {
    "books": [
        {"title": "Sayings", "price": 8.95, "tags": ["old"]},
        {"title": "Sword", "price": 12.99, "isbn": "0-553"},
        {"title": "Moby", "price": 8.99, "isbn": "0-395"},
    ],
    "open": True,
    "a b": 1,
    "nothing": None,
}

ONE_VALUE = [
    ("$", STORE),
    ("$.open", True),
    ("$['open']", True),
    ('$["a b"]', 1),
    ("$.nothing", None),
    ("$.books[0].title", "Sayings"),
    ("$.books[-1].title", "Moby"),
    ("$.books.length()", 3),
]

MANY_VALUES = [
    ("$.books[*].title", ["Sayings", "Sword", "Moby"]),
    ("$.books[0,2].title", ["Sayings", "Moby"]),
    ("$.books[0:2].title", ["Sayings", "Sword"]),
    ("$.books[-2:].title", ["Sword", "Moby"]),
    ("$..title", ["Sayings", "Sword", "Moby"]),
    ("$.books[?(@.isbn)].title", ["Sword", "Moby"]),
    ("$.books[?(@.price < 10)].title", ["Sayings", "Moby"]),
    ("$.books[?(@.price < 10 && @.isbn)].title", ["Moby"]),
    ("$.books[?(@.title == 'Sword')].price", [12.99]),
    ("$.books[*].nowhere", []),
    ("$.books[?(@.price > 100)]", []),
]


@pytest.mark.parametrize(("path", "value"), ONE_VALUE)
def test_a_definite_path_names_one_value(path: str, value: Any) -> None:
    assert parse(path).read(STORE) == value


@pytest.mark.parametrize(("path", "values"), MANY_VALUES)
def test_any_other_path_gives_a_list(path: str, values: list[Any]) -> None:
    assert parse(path).read(STORE) == values


@pytest.mark.parametrize("path", ["$.missing", "$.open.deeper", "$.books[9]", "$.books.title"])
def test_a_definite_path_that_names_nothing_is_an_error(path: str) -> None:
    with pytest.raises(NoMatch):
        parse(path).read(STORE)


@pytest.mark.parametrize("text", ["", "a", "$.", "$[", "$['a'", "$.a b.", "$.books[?(@.a ==)]"])
def test_text_that_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(PathSyntax):
        parse(text)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("$", True),
        ("$.a.b[0]", True),
        ("$['a b'].c", True),
        ("$$.Execution.Id", True),
        ("$.a[*]", False),
        ("$..a", False),
        ("$.a[0:2]", False),
        ("$.a[?(@.b)]", False),
        ("a", False),
    ],
)
def test_a_reference_path_can_only_name_one_node(text: str, is_one: bool) -> None:
    assert is_reference(text) is is_one


@pytest.mark.parametrize(
    ("text", "root"), [("$.a", "$"), ("$$.Map.Item", "$$"), ("$order.id", "order")]
)
def test_a_path_begins_at_the_input_the_context_or_a_variable(text: str, root: str) -> None:
    assert parse(text).root == root
