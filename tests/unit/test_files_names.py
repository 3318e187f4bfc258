"""Names of buckets and blobs make paths and are checked; keys of objects follow one rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import Invalid
from wherry.names import check_blob, check_bucket, check_key


def obeys(key: str) -> bool:
    """The rule for keys, said once more in another way."""
    try:
        size = len(key.encode("utf-8"))
    except UnicodeEncodeError:
        return False
    import unicodedata

    segments = key.split("/")
    return (
        0 < size <= 1024
        and all(unicodedata.category(char) != "Cc" for char in key)
        and "" not in segments[:-1]
        and not {".", ".."} & set(segments)
    )


ANY = st.text(st.characters(), max_size=60)
NASTY = st.lists(
    st.sampled_from(
        ["a", ".", "..", "/", "//", "/../", "%2e", "%00", "\0", "\n", "\x7f", "\x85", "\x9f"]
    )
    | st.sampled_from(["é", "e\u0301", "\ud800", "漢", "\\", " ", "~", "\u202e", "x" * 255]),
    max_size=12,
).map("".join)


@given(ANY | NASTY)
def test_a_key_is_taken_as_it_is_exactly_if_it_obeys_the_rule(key: str) -> None:
    try:
        taken = check_key(key)
    except Invalid as error:
        assert not obeys(key)
        str(error).encode()
    else:
        assert obeys(key)
        assert taken is key


@pytest.mark.parametrize(
    "key",
    ["a", "a/", "a/b.c", "é" * 512, ".a", "a..b", "...", "a/.../b", "%2e%2e/x", "a b", "a\\b"],
)
def test_these_keys_are_taken(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("", "0 bytes"),
        ("x" * 1025, "1025 bytes"),
        ("é" * 512 + "x", "1025 bytes"),
        ("/a", "begins with"),
        ("a//b", "empty segment"),
        ("a//", "empty segment"),
        ("..", "segment"),
        ("a/../b", "segment"),
        ("a/.", "segment"),
        ("./a", "segment"),
        ("a\0b", "control"),
        ("a\r\nb", "control"),
        ("a\x9fb", "control"),
        ("a\udc80", "surrogate"),
    ],
)
def test_a_refused_key_is_told_what_is_wrong_with_it(key: str, fault: str) -> None:
    with pytest.raises(Invalid, match=fault):
        check_key(key)


@pytest.mark.parametrize("bucket", ["assets", "a", "order-exports", "a_b", "A1", "x" * 63])
def test_an_identifier_names_a_bucket(bucket: str) -> None:
    assert check_bucket(bucket) == bucket


@pytest.mark.parametrize(
    "bucket", ["", ".", "..", "a/b", "a.b", "-a", "_a", "1a", "a b", "é", "a\0", "a\n", "x" * 64]
)
def test_nothing_else_names_a_bucket(bucket: str) -> None:
    with pytest.raises(ValueError, match="bucket"):
        check_bucket(bucket)


@given(st.text(st.characters(), max_size=140))
def test_an_id_of_a_blob_is_lower_case_hexadecimal(blob: str) -> None:
    with pytest.raises(ValueError, match="blob"):
        check_blob(blob + "g")


@pytest.mark.parametrize(
    "blob", ["", "a" * 15, "a" * 129, "A" * 32, "../" + "a" * 32, "a" * 32 + ".part", "\uff11" * 32]
)
def test_what_looks_like_an_id_and_is_none_is_refused(blob: str) -> None:
    with pytest.raises(ValueError, match="blob"):
        check_blob(blob)
