"""Paths of routes."""

from __future__ import annotations

import pytest

from wherry.blueprint.paths import is_reserved, path_fault, path_parameters, path_shape


@pytest.mark.parametrize(
    "path", ["/", "/orders", "/orders/{order_id}", "/a/{x}/b/{y}", "/v1.0/a-b_c~d", "/a@b:c"]
)
def test_these_are_paths(path: str) -> None:
    assert path_fault(path) == ""


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("", "begin"),
        ("orders", "begin"),
        ("/orders/", "ends with"),
        ("//orders", "empty segment"),
        ("/a/../b", "'..'"),
        ("/a/{x}/{x}", "twice"),
        ("/a/{}", "identifier"),
        ("/a/{1x}", "identifier"),
        ("/a/{proxy+}", "identifier"),
        ("/a/b{x}", "whole segment"),
        ("/a/{x", "whole segment"),
        ("/a b", "no URL"),
        ("/a%20b", "no URL"),
        ("/é", "no URL"),
        ("/a?b", "no URL"),
        ("/a\n", "no URL"),
    ],
)
def test_these_are_not_and_the_fault_says_why(path: str, fault: str) -> None:
    assert fault in path_fault(path)


def test_two_paths_of_one_shape_match_the_same() -> None:
    assert path_shape("/a/{x}/b") == path_shape("/a/{y}/b") != path_shape("/a/b/{y}")


def test_parameters_come_in_order() -> None:
    assert path_parameters("/a/{x}/{y}") == ["x", "y"]


def test_a_reserved_prefix_ends_at_a_segment() -> None:
    assert is_reserved("/docs")
    assert is_reserved("/_wherry/x")
    assert not is_reserved("/docsearch")
