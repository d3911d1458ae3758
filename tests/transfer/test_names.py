"""Paths in URLs: the short way for plain ones takes nothing that the field refuses, and changes nothing."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rest_framework.serializers import ValidationError

from portal.exceptions import Invalid
from portal.serializers.texts import PathField
from portal.transfer.names import PLAIN_PATH, read_path

#: What plain paths are made of, and what lies close to it.
nearly_plain = st.text("ab_Z09.. -/\\\n\x7fäß\u2028", max_size=30)


@settings(deadline=None, max_examples=500)
@given(nearly_plain | st.integers(1019, 1026).map(lambda size: "a" * (size - 2) + "/b"))
@example("a" * 1024)
@example("a" * 1025)
@example("a\n")
def test_a_path_is_taken_or_refused_as_the_field_says(path):
    try:
        told = PathField().run_validation(path)
    except ValidationError:
        assert not PLAIN_PATH.fullmatch(path)
        with pytest.raises(Invalid):
            read_path(path.encode())
    else:
        assert read_path(path.encode())[0] == told == path


@pytest.mark.parametrize("path", ["a", "dir 1/file-2.tar.gz", "a/b/c/_d", "a" * 1024])
def test_what_most_paths_are_like_goes_the_short_way(path):
    assert PLAIN_PATH.fullmatch(path)
