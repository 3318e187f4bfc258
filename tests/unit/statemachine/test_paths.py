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
    "größe": "m",
    "n": [1, 2, 3, 4],
    "kinds": [{"k": "new", "on": False}, {"k": None, "on": True}, {"k": 5}],
}

ONE_VALUE = [
    ("$", STORE),
    ("$.open", True),
    ("$['open']", True),
    ('$["a b"]', 1),
    ("$.nothing", None),
    ("$.books[0].title", "Sayings"),
    ("$.books[(@.length-1)].title", "Moby"),
    ("$.books[(@.length() - 3)].title", "Sayings"),
    ("$['open','a b','gone']", {"open": True, "a b": 1}),
    ("$.größe", "m"),
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
    ("$.books[?(@.price<10)].title", ["Sayings", "Moby"]),
    ("$.books[?(@.title=='Sword'||@.price==8.99)].title", ["Sword", "Moby"]),
    ("$.books[?(@.title==Sword)].price", [12.99]),
    ("$.books[?(!@.isbn)].title", ["Sayings"]),
    ("$.books[?(@.isbn != '0-553')].title", ["Moby"]),
    ("$.books[?(@.price != 'x')]", []),
    ("$.books[?(@.price == '8.95')].title", ["Sayings"]),
    ("$..[?(@.isbn)].title", ["Sword", "Moby"]),
    ("$.kinds[?(@.on)]", [{"k": "new", "on": False}, {"k": None, "on": True}]),
    ("$.kinds[?(@.k)].k", ["new", 5]),
    ("$.kinds[?(!@.k)].on", [True]),
    ("$.kinds[?(@.k == null)].on", [True]),
    ("$.kinds[?(@.on == 'true')].on", [True]),
    ("$.kinds[?(@.k == '5')]", [{"k": 5}]),
    ("$.n[?(@ > 1)]", []),
    ("$.n[1:]", [2, 3, 4]),
    ("$.n[:-1]", [1, 2, 3]),
    ("$.n[1:-1]", []),
    ("$.n[0:4:2]", [1, 2, 3, 4]),
    ("$.n[0,9]", [1, None]),
    ("$.gone[*]", []),
    ("$.gone[1:].x", []),
    ("$.gone.deeper[?(@.x)]", []),
    ("$.books[*].title.deeper", []),
]


@pytest.mark.parametrize(("path", "value"), ONE_VALUE)
def test_a_definite_path_names_one_value(path: str, value: Any) -> None:
    assert parse(path).read(STORE) == value


@pytest.mark.parametrize(("path", "values"), MANY_VALUES)
def test_any_other_path_gives_a_list(path: str, values: list[Any]) -> None:
    assert parse(path).read(STORE) == values


NOTHING = [
    ("$.missing", "No results for path: $['missing']"),
    ("$.missing.deeper", "Missing property in path $['missing']"),
    ("$.open.deeper", "Property ['deeper'] not found in path $['open']"),
    ("$.books.title", "Property ['title'] not found in path $['books']"),
    ("$.books.length()", "Property ['length()'] not found in path $['books']"),
    ("$.books[9]", "No results for path: $['books'][9]"),
    ("$.books[-1]", "No results for path: $['books'][-1]"),
    ("$.books[-1].title", "Property ['title'] not found in path $['books'][-1]"),
    ("$.nothing[0]", "The path $['nothing'] is null"),
    ("$['open','n'].x", "Multi properties can only be used as path leafs: $['open', 'n']"),
    (
        "$.open[0].x",
        "Filter: [0]['x'] can only be applied to arrays. Current context is: true",
    ),
    ("$.open[1:]", "Filter: [1:] can only be applied to arrays. Current context is: true"),
    ("$.open[?(@.x)]", "Filter: [?] can not be applied to primitives. Current context is: true"),
    ("$..title.deeper", "Property ['deeper'] not found in path $..['title']"),
]


@pytest.mark.parametrize(("path", "reason"), NOTHING)
def test_a_path_that_cannot_be_followed_is_an_error(path: str, reason: str) -> None:
    with pytest.raises(NoMatch) as caught:
        parse(path).read(STORE)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "text",
    ["", "a", "$.", "$[", "$['a'", "$.a b.", "$.books[?(@.a ==)]", "$.n[:]", "$..", "$.n[::2]"],
)
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
    ("text", "root"),
    [("$.a", "$"), ("$$.Map.Item", "$$"), ("$order.id", "order"), ("$größe", "größe")],
)
def test_a_path_begins_at_the_input_the_context_or_a_variable(text: str, root: str) -> None:
    assert parse(text).root == root
