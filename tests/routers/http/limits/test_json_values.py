"""T09: how many values a body has is told before it is parsed, at the cost of looking at its bytes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import StreamForgeError
from routers.http.limits.json_values import OBJECT, check_values

VALUES = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from('a,[{"\\é')),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.sampled_from('b,[{"\\')), inner, max_size=4),
    max_leaves=30,
)


def size(value: Any) -> int:
    """What a value counts as: each item of a list or an object is begun by a bracket or a comma."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = (OBJECT if isinstance(value, dict) else 1 if isinstance(value, list) else 0) + max(len(inner) - 1, 0)
    return own + sum(map(size, inner))


@given(VALUES, st.booleans())
def test_values_are_counted_and_signs_in_texts_are_not(value: Any, escaped: bool) -> None:
    body = json.dumps(value, ensure_ascii=escaped).encode()
    check_values(body, size(value), small=0)
    with pytest.raises(StreamForgeError) as refused:
        check_values(b"[%b,0]" % body, size(value) + 1, small=0)
    assert refused.value.code == "body_too_large"


def test_a_small_body_is_left_to_those_who_say_what_is_wrong_with_it() -> None:
    check_values(b"[%b]" % b",".join([b"1"] * 500_000))


@pytest.mark.parametrize(
    "body", [b'{"a":"' + b"[{,\\n" * 10**6 + b'"}', b"\\" * 10**6, b"\xff" * 10**6, b'"' + b"a" * 10**6]
)
def test_what_holds_few_values_is_left_to_its_reader(body: bytes) -> None:
    check_values(body)
