"""The fields of `POST /uploads/sessions`: what is taken as it is, and what is refused by name."""

import pytest

from tests.api import expect
from tests.views.shapes import field_errors

BODY = {"original_filename": "a.bin", "total_size_bytes": 1}
OPTIONAL = ("batch_id", "path", "content_type", "sha256", "chunk_size_bytes", "metadata")
LONG_PATH = "ü" * 500 + "/" + "a" * 23  # 1,024 bytes of UTF-8


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "a/b/c",
        "...",
        "..a/b..",
        ".hidden/.x",
        " ",
        "a b/ c",
        "ä/💥",
        "a/b.",
        "~",
        "C:",
        "-rf",
        "%2e%2e/x",
        '"',
        "'",
    ],
)
def test_an_odd_path_is_kept_as_it_is(ann_api, path):
    session = ann_api.open_session(1, path=path)
    assert ann_api.get(f"/files/{session['file_id']}").json()["path"] == path


@pytest.mark.parametrize(
    "path",
    [
        *["/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "a/./b", "../a", "a/..", "a/../b"],
        *["a\\b", "\\", "a\tb", "a\nb", "\x01", "\x1f", "a\x7f", "\x80", "a/\x85", "\x9f"],
    ],
)
def test_a_path_that_could_lead_elsewhere_is_refused(ann_api, path):
    assert field_errors(ann_api.post("/uploads/sessions", BODY | {"path": path})) == {"path": "invalid_path"}


def test_a_path_has_at_most_1024_bytes_of_utf_8(ann_api):
    assert len(LONG_PATH.encode()) == 1024
    session = ann_api.open_session(1, path=LONG_PATH)
    assert ann_api.get(f"/files/{session['file_id']}").json()["path"] == LONG_PATH
    for path in (LONG_PATH + "a", "a" * 1025, "ü" * 513, "a" * 10_000):
        assert field_errors(ann_api.post("/uploads/sessions", BODY | {"path": path})) == {"path": "path_too_long"}


@pytest.mark.parametrize(
    "name", ["a", "ü" * 255, "../../etc/passwd", "a/b\\c", ".", "..", " ", "‮exe.txt", "<b>&\"'", "CON"]
)
def test_an_odd_file_name_is_text_and_kept_as_it_is(ann_api, name):
    session = ann_api.open_session(1, original_filename=name)
    assert ann_api.get(f"/files/{session['file_id']}").json()["original_filename"] == name


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "blank"),
        ("a" * 256, "max_length"),
        ("a" * 10_000, "max_length"),
        ("a\nb", "control_character"),
        ("\x7f", "control_character"),
        ("\x9f", "control_character"),
        (None, "null"),
        (5, "invalid"),
        (True, "invalid"),
        (["a"], "invalid"),
        ({}, "invalid"),
    ],
)
def test_a_file_name_has_1_to_255_characters_and_no_control_character(ann_api, name, code):
    body = BODY | {"original_filename": name}
    assert field_errors(ann_api.post("/uploads/sessions", body)) == {"original_filename": code}


@pytest.mark.parametrize("field", ["total_size_bytes", "chunk_size_bytes"])
@pytest.mark.parametrize("value", [-1, -(2**63), 1.0, 1.5, "1", True, [], {}, "a" * 10_000])
def test_a_size_is_a_whole_number(ann_api, field, value):
    assert set(field_errors(ann_api.post("/uploads/sessions", BODY | {field: value}))) == {field}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("total_size_bytes", None),
        ("chunk_size_bytes", 0),
        ("batch_id", "x"),
        ("batch_id", ""),
        ("batch_id", 5),
        ("batch_id", True),
        ("batch_id", -5),
        ("batch_id", 1.5),
        ("batch_id", []),
        ("batch_id", "1" * 10_000),
        ("path", ""),
        ("path", 5),
        ("path", []),
        ("sha256", ""),
        ("sha256", "a" * 63),
        ("sha256", "a" * 65),
        ("sha256", "g" * 64),
        ("sha256", "٣" * 64),
        ("sha256", "a" * 64 + "\n"),
        ("sha256", 5),
        ("content_type", ""),
        ("content_type", "text/plain\r\nX-Evil: 1"),
        ("content_type", "a" * 256),
        ("content_type", 5),
        ("metadata", []),
        ("metadata", "{}"),
        ("metadata", 0),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_field(ann_api, field, value):
    assert set(field_errors(ann_api.post("/uploads/sessions", BODY | {field: value}))) == {field}


def test_a_field_that_is_null_is_as_good_as_left_out(ann_api):
    session = ann_api.open_session(1, **dict.fromkeys(OPTIONAL))
    other = expect(201, ann_api.post("/uploads/sessions", BODY))
    assert session == other | {name: session[name] for name in ("session_id", "file_id", "expires_at")}
    file = ann_api.get(f"/files/{session['file_id']}").json()
    assert (file["content_type"], file["metadata"]) == ("application/octet-stream", {})


def test_a_sha256_in_upper_case_is_the_same(ann_api):
    digest = "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"  # of "test"
    assert ann_api.store(b"test", sha256=digest)["sha256"] == digest.lower()


def test_fields_that_nobody_knows_are_left_alone(ann_api):
    assert "unknown" not in ann_api.open_session(1, unknown={"a": 1}, status="COMPLETE", owner="bob")
