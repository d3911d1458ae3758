"""The rules for names, paths, ids, digests, numbers and metadata, each by itself."""

import string
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.serializers import Serializer, ValidationError

from portal.serializers.texts import (
    IdField,
    MetadataField,
    NameField,
    PathField,
    PlainTextField,
    Sha256Field,
    WholeNumberField,
)

#: Every code point of Unicode's category Cc: C0, DEL and C1.
CONTROLS = [chr(point) for point in (*range(0x20), *range(0x7F, 0xA0))]
segments = st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="/\\"), min_size=1, max_size=20)
good_segments = segments.filter(lambda text: text not in (".", ".."))


#: A busy machine is no fault.
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def code_of(field, value):
    """Return the code that the field refuses the value with, None when it takes it."""
    try:
        field.run_validation(value)
    except ValidationError as error:
        return error.get_codes()[0]
    return None


@relaxed
@given(st.lists(good_segments, min_size=1, max_size=20).map("/".join))
def test_any_segments_joined_by_slashes_are_a_path_as_it_stands(path):
    assert PathField().run_validation(path) == path


@relaxed
@given(st.lists(good_segments, max_size=5), st.lists(good_segments, max_size=5), st.sampled_from(["", ".", ".."]))
def test_a_segment_that_is_empty_or_dots_is_refused_wherever_it_stands(before, after, segment):
    path = "/".join([*before, segment, *after])
    assert code_of(PathField(), path) == ("blank" if path == "" else "invalid_path")


@pytest.mark.parametrize("character", [*CONTROLS, "\\"], ids=repr)
def test_no_control_character_and_no_backslash_is_in_a_path(character):
    for path in (character, f"a{character}", f"{character}/a", f"a/b{character}c/d"):
        assert code_of(PathField(), path) == "invalid_path"


def test_the_length_of_a_path_is_that_of_its_utf_8():
    for character in ("a", "ä", "€", "💥"):
        most = 1024 // len(character.encode())
        assert code_of(PathField(), character * most) is None
        assert code_of(PathField(), character * most + "a" * (1024 % len(character.encode()) + 1)) == "path_too_long"


@pytest.mark.parametrize("character", CONTROLS, ids=repr)
def test_no_control_character_is_in_a_name(character):
    for name in (character, f"a{character}b"):
        assert code_of(NameField(), name) == "control_character"


@relaxed
@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=255))
def test_any_other_name_of_1_to_255_characters_is_kept_as_it_is(name):
    assert NameField().run_validation(name) == name


def test_a_name_of_no_or_of_256_characters_is_refused():
    assert code_of(NameField(), "") == "blank"
    assert code_of(NameField(), "💥" * 255) is None
    assert code_of(NameField(), "💥" * 256) == "max_length"
    assert code_of(NameField(allow_blank=True), "") is None


@pytest.mark.parametrize("field", [NameField(), PathField(), Sha256Field(), IdField(), MetadataField()], ids=repr)
@pytest.mark.parametrize("value", [0, 1, -1, 1.5, True, False, [], ["a"], b"a"])
def test_what_is_no_text_is_not_made_one(field, value):
    assert code_of(field, value) is not None


@relaxed
@given(st.text(string.hexdigits, min_size=64, max_size=64))
def test_64_hex_digits_are_a_digest_and_become_lower_case(text):
    assert Sha256Field().run_validation(text) == text.lower()


@pytest.mark.parametrize(
    "text", ["", "a" * 63, "a" * 65, "g" * 64, " " + "a" * 63, "a" * 64 + "\n", "\uff10" * 64, "0x" + "a" * 62]
)
def test_anything_else_is_no_digest(text):
    assert code_of(Sha256Field(), text) in ("blank", "invalid_sha256")


def test_an_id_is_a_uuid_as_text():
    pk = UUID("01890000-0000-7000-8000-000000000000")
    for text in (str(pk), pk.hex, str(pk).upper()):
        assert IdField().run_validation(text) == pk
    for text in ("", "x", str(pk)[:-1], f"{pk}0", "\ud800"):
        assert code_of(IdField(), text) == "invalid"


@pytest.mark.parametrize("value", ["1", "", 1.0, 1.5, True, False, [], {}, "\uff11", float("inf"), float("nan")])
def test_a_whole_number_is_a_number_and_whole(value):
    assert code_of(WholeNumberField(), value) == "invalid"


def test_a_whole_number_keeps_to_its_bounds():
    field = WholeNumberField(min_value=0, max_value=2**63 - 1)
    assert [field.run_validation(value) for value in (0, 2**63 - 1)] == [0, 2**63 - 1]
    assert [code_of(field, value) for value in (-1, 2**63, 10**400)] == ["min_value", "max_value", "max_value"]


def nested(depth, kind):
    """Return a value that is `depth` containers deep."""
    value = kind()
    for _ in range(depth - 1):
        value = {"a": value} if kind is dict else [value]
    return value


@pytest.mark.parametrize("kind", [dict, list])
def test_metadata_is_at_most_32_deep_whatever_it_is_made_of(kind):
    assert code_of(MetadataField(), {"a": nested(31, kind)}) is None
    assert code_of(MetadataField(), {"a": nested(32, kind)}) == "metadata_too_deep"


def test_metadata_has_at_most_16_kib_as_compact_utf_8():
    assert code_of(MetadataField(), {"a": "x" * (16384 - 8)}) is None
    assert code_of(MetadataField(), {"a": "x" * (16384 - 7)}) == "metadata_too_large"
    assert code_of(MetadataField(), {"ä" * 8190: 0}) == "metadata_too_large"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",)), max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@relaxed
@given(st.dictionaries(st.text(st.characters(exclude_categories=("Cs",)), max_size=10), json_values, max_size=4))
def test_any_small_object_is_metadata_as_it_stands(metadata):
    assert MetadataField().run_validation(metadata) == metadata


def test_a_text_of_a_query_is_kept_as_it_is_but_for_what_is_no_text():
    for text in (" a ", "ä", "💥", "a\nb"):
        assert PlainTextField().run_validation(text) == text
    for text in ("a\0", "\ud800", "a\udfff"):
        assert code_of(PlainTextField(), text) is not None


def test_every_field_may_stand_in_a_serializer():
    class All(Serializer):
        name, path, sha256, pk = NameField(), PathField(), Sha256Field(), IdField()

    wrong = All(data={"name": 1, "path": 1, "sha256": 1, "pk": 1})
    assert not wrong.is_valid()
    assert set(wrong.errors) == {"name", "path", "sha256", "pk"}
