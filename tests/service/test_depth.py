"""How deep JSON nests is known while it arrives, however it is cut, and whatever stands in its strings."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipeline.service.depth import Depth
from quant_pipeline.service.problems import Refused


def depth_of(text, *cuts):
    depth, places = Depth(), [0, *sorted(cuts), len(text)]
    return max(depth.take(text[start:end]) for start, end in itertools.pairwise(places))


@pytest.mark.parametrize(
    ("text", "depth"),
    [
        (b"{}", 1),
        (b'{"a": [[1], [2]]}', 3),
        (b'{"a": "[[[[[["}', 1),
        (b'{"a": "\\"[[["}', 1),
        (b'{"a": "\\\\", "b": [[[0]]]}', 4),
        (b"1", 0),
        (b"", 0),
        (b"]]]][[", 0),
    ],
)
def test_depth_counts_brackets_outside_of_strings(text, depth):
    assert depth_of(text) == depth
    assert depth_of(text, *range(1, len(text))) == depth


def levels(value):
    if isinstance(value, dict):
        return 1 + max(map(levels, value.values()), default=0)
    return 1 + max(map(levels, value), default=0) if isinstance(value, list) else 0


TEXTS = st.text(alphabet='[]{}"\\,:a é\n', max_size=6)
VALUES = st.recursive(
    st.none() | TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3)
)


@given(VALUES, st.lists(st.integers(0, 200), max_size=4), st.booleans())
def test_any_json_in_any_parts_has_the_depth_of_its_values(value, cuts, is_ascii):
    text = json.dumps(value, ensure_ascii=is_ascii).encode()
    assert depth_of(text, *(min(cut, len(text)) for cut in cuts)) == levels(value)


def test_a_string_that_does_not_end_takes_no_longer_than_its_length():
    assert depth_of(b'"' + b'\\"' * 500_000) == 0


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_another_encoding_is_refused_for_it_hides_brackets(encoding):
    text = ('["\\"", ' + "[" * 1_000).encode(encoding)
    with pytest.raises(Refused, match="neither JSON in UTF-8"):
        depth_of(text)
