"""Which route a request is for."""

from __future__ import annotations

from itertools import product

import pytest

from wherry.engine.gateway.router import Match, Router

ROUTES = [
    ("GET", "/a/b"),
    ("DELETE", "/a/{x}"),
    ("GET", "/a/{x}"),
    ("PUT", "/{y}/b"),
    ("POST", "/{y}/{z}/c"),
    ("PATCH", "/a/{x}/c"),
    ("GET", "/"),
]
ALL = ("GET", "HEAD", "DELETE", "PUT", "POST", "PATCH")


@pytest.fixture
def router() -> Router[str]:
    return Router((method, path, f"{method} {path}") for method, path in ROUTES)


@pytest.mark.parametrize(
    ("method", "path", "route", "parameters"),
    [
        ("GET", "a/b", "GET /a/b", {}),
        ("HEAD", "a/b", "GET /a/b", {}),
        ("DELETE", "a/b", "DELETE /a/{x}", {"x": "b"}),
        ("PUT", "a/b", "PUT /{y}/b", {"y": "a"}),
        ("GET", "a/c", "GET /a/{x}", {"x": "c"}),
        ("POST", "a/b/c", "POST /{y}/{z}/c", {"y": "a", "z": "b"}),
        ("PATCH", "a/b/c", "PATCH /a/{x}/c", {"x": "b"}),
        ("DELETE", "a/b/", "DELETE /a/{x}", {"x": "b"}),
    ],
)
def test_of_the_routes_that_fit_path_and_method_the_most_specific_answers(
    router: Router[str], method: str, path: str, route: str, parameters: dict[str, str]
) -> None:
    """One that fits the path alone hides no other."""
    found = router.find(method, tuple(path.split("/")))
    assert isinstance(found, Match)
    assert (found.target, found.parameters) == (route, parameters)


def test_what_is_allowed_is_exactly_what_is_answered(router: Router[str]) -> None:
    for depth in range(1, 4):
        for segments in product(("a", "b", "c", "q"), repeat=depth):
            answered = [one for one in ALL if isinstance(router.find(one, segments), Match)]
            allowed = router.find("TRACE", segments)
            assert not isinstance(allowed, Match)
            assert (allowed or []) == (sorted([*answered, "OPTIONS"]) if answered else [])
