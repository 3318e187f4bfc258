"""IDs that a repeated run makes again."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from wherry.handles.ids import derived_id


def test_an_id_is_what_it_was_in_every_release() -> None:
    """A run that is repeated by a newer release sends the same messages."""
    made = derived_id("http/create_order/1", "id 1", 1_767_225_600_000)
    assert made == "019b76da-a800-7148-a584-d5d7d29c2d8e"


@given(st.text(max_size=20), st.text(max_size=20), st.integers(0, (1 << 48) - 1))
def test_an_id_is_a_uuid_of_version_7_with_its_moment(key: str, purpose: str, at_ms: int) -> None:
    made = derived_id(key, purpose, at_ms)
    parsed = UUID(made)
    assert str(parsed) == made
    assert parsed.version == 7
    assert parsed.int >> 80 == at_ms
    assert derived_id(key, purpose, at_ms) == made
    assert derived_id(key, purpose + "2", at_ms) != made
