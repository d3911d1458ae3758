"""Bodies that are no JSON, or JSON that no database could keep: always 400, never a fault."""

import pytest

from tests.api import expect
from tests.views.shapes import BATCH, field_errors, problem

DEEP = 10_000


def send(api, body, path="/batches", kind="application/json"):
    """POST raw bytes."""
    headers = {} if kind is None else {"Content-Type": kind}
    return api.call("POST", path, data=body, headers=headers)


def nested(depth):
    """Return a batch whose metadata is `depth` objects deep."""
    return b'{"metadata":' + b'{"a":' * (depth - 1) + b"{}" + b"}" * depth


def test_a_body_without_a_type_is_told_to_be_read_as_json(ann_api):
    told = [
        problem(send(ann_api, b"\x1f\x8b", kind=kind), 400, "invalid")["detail"] for kind in (None, "application/json")
    ]
    assert ["without a Content-Type" in detail for detail in told] == [True, False]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{}}",
        b"{} {}",
        b"{'name': 'a'}",
        b'{"name": "a",}',
        b'{"name": "a" // comment\n}',
        b"nothing",
        b'\xef\xbb\xbf{"name": "a"}',
        b"\xff\xfe{\x00}\x00",
        b"\x00",
        b'{"name": "\xff"}',
        b'{"name": "\xed\xa0\x80"}',
        b'{"name": "\xc0\xaf"}',
        b'{"name": "a\nb"}',
        b'{"metadata": {"a": NaN}}',
        b'{"metadata": {"a": Infinity}}',
        b'{"metadata": {"a": -Infinity}}',
        b'{"metadata": {"a": 1' + b"0" * 5000 + b"}}",
        b'{"a": 1' + b"0" * 100_000 + b"}",
        b"[" * DEEP + b"]" * DEEP,
        b'{"metadata":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
        b"[" * 500_000,
    ],
    ids=lambda body: repr(body[:40]),
)
@pytest.mark.parametrize("path", ["/batches", "/uploads/sessions"])
def test_what_is_no_json_is_400(ann_api, body, path):
    problem(send(ann_api, body, path), 400, "invalid")


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "\\ud800"}',
        b'{"name": "\\udfff\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"metadata": {"deep": [{"\\udc00": 1}]}}',
        b'{"name": "a\\u0000"}',
        b'{"\\u0000": 1}',
        b'{"metadata": {"a": ["\\u0000"]}}',
        b'{"metadata": {"a": 1e999}}',
        b'{"metadata": {"a": -1e999}}',
        b'{"metadata": {"a": 9223372036854775808.0}}',
        b'{"metadata": {"a": [1.7976931348623157e308]}}',
        b'{"metadata": {"a": -1e19}}',
        b'{"expected_files": 9223372036854775808}',
        b'{"metadata": {"a": 9223372036854775808}}',
        b'{"metadata": {"a": -9223372036854775809}}',
        b'{"x":' + b"[" * 70 + b"]" * 70 + b"}",
    ],
    ids=lambda body: repr(body[:40]),
)
@pytest.mark.parametrize("path", ["/batches", "/uploads/sessions"])
def test_what_cannot_be_kept_is_400(ann_api, body, path):
    problem(send(ann_api, body, path), 400, "invalid", "errors")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b'{"name": "a\\u0000", "metadata": {"deep": [{"\\udc00": 1}]}}', {"name", "metadata"}),
        (b'{"total_size_bytes": 9223372036854775808}', {"total_size_bytes"}),
        (b'{"expected_files": 1e19, "name": "a"}', {"expected_files"}),
        (b'{"x":' + b"[" * 70 + b"]" * 70 + b"}", {"x"}),
        (b'{"\\ud800": 1}', {"\\ud800"}),
    ],
)
@pytest.mark.parametrize("path", ["/batches", "/uploads/sessions"])
def test_the_field_that_cannot_be_kept_is_told(ann_api, body, fields, path):
    assert field_errors(send(ann_api, body, path)) == dict.fromkeys(fields, "invalid")


def test_a_body_of_nothing_but_faults_has_a_short_answer(ann_api):
    body = b"{" + b",".join(b'"%s%d": 1e19' % (b"x" * 1000, number) for number in range(1000)) + b"}"
    assert len(send(ann_api, body, "/batches").content) < 10_000


@pytest.mark.parametrize("body", [b"[]", b"null", b"true", b"5", b'"{}"', b'[{"name": "a"}]'])
@pytest.mark.parametrize("path", ["/batches", "/uploads/sessions"])
def test_any_other_value_than_an_object_is_400(ann_api, body, path):
    assert "object" in problem(send(ann_api, body, path), 400, "invalid")["detail"]


def test_the_largest_whole_numbers_are_kept_as_they_are(ann_api):
    batch = ann_api.make_batch(expected_files=2**63 - 1, metadata={"low": -(2**63), "high": 2**63 - 1})
    shown = expect(200, ann_api.get(f"/batches/{batch['id']}"))
    assert (shown["expected_files"], shown["metadata"]) == (2**63 - 1, {"low": -(2**63), "high": 2**63 - 1})


def test_a_number_with_an_exponent_is_kept_and_does_not_break_the_list(ann_api):
    # PostgreSQL gives 1e18 back as a whole number; one of 2^63 and more could not be written out again.
    metadata = {"large": 1e18, "small": 5e-324, "less": -1.5e-7, "low": -9.22e18}
    batch = ann_api.make_batch(metadata=metadata)
    assert expect(200, ann_api.get(f"/batches/{batch['id']}"))["metadata"] == metadata
    assert expect(200, ann_api.get("/batches?limit=1"))["results"][0]["metadata"] == metadata


def test_metadata_may_be_32_deep_and_no_deeper(ann_api):
    expect(201, send(ann_api, nested(32)))
    assert field_errors(send(ann_api, nested(33))) == {"metadata": "metadata_too_deep"}
    lists = b'{"metadata": {"a": ' + b"[" * 32 + b"]" * 32 + b"}}"
    assert field_errors(send(ann_api, lists)) == {"metadata": "metadata_too_deep"}


def test_metadata_may_have_16_kib_and_no_more(ann_api):
    frame = len(b'{"a":""}')
    ann_api.make_batch(metadata={"a": "x" * (16 * 1024 - frame)})
    ann_api.make_batch(metadata={"a": "ü" * ((16 * 1024 - frame) // 2)})
    for text in ("x" * (16 * 1024 - frame + 1), "ü" * ((16 * 1024 - frame) // 2 + 1)):
        assert field_errors(ann_api.post("/batches", {"metadata": {"a": text}})) == {"metadata": "metadata_too_large"}


def test_metadata_comes_back_as_it_was_sent(ann_api):
    metadata = {"": None, "ü💥": [1, -1, 0.5, 1e-9, True, [], {}], "a.b": {"c": "\u2028\ufeff"}, "__proto__": {}}
    batch = ann_api.make_batch(metadata=metadata)
    assert expect(200, ann_api.get(f"/batches/{batch['id']}"))["metadata"] == metadata


def test_the_last_of_two_members_of_one_name_counts(ann_api):
    assert expect(201, send(ann_api, b'{"name": "a", "name": "b"}'))["name"] == "b"


@pytest.mark.parametrize("body", [b"", b" \r\n\t"])
def test_an_empty_body_is_an_empty_object(ann_api, body):
    assert set(expect(201, send(ann_api, body))) == BATCH
    assert set(field_errors(send(ann_api, body, "/uploads/sessions"))) == {"original_filename", "total_size_bytes"}


@pytest.mark.parametrize(
    "kind",
    [
        *["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "a"],
        *["application/json-patch+json", "application/jsonx", "text/json", "*/*", "application/octet-stream", ";"],
    ],
)
def test_a_body_that_says_it_is_no_json_is_415(ann_api, kind):
    for path in ("/batches", "/uploads/sessions"):
        response = send(ann_api, b'{"name": "a"}', path, kind)
        if kind == ";":  # names no type at all, which is taken for JSON
            assert response.status_code in (201, 400)
        else:
            problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON", "application/json; charset=latin-1", None])
def test_json_is_read_as_utf_8_whatever_else_is_said(ann_api, kind):
    assert expect(201, send(ann_api, '{"name": "ü"}'.encode(), kind=kind))["name"] == "ü"


def test_a_body_over_2_mib_is_413(ann_api):
    body = b'{"name": "' + b"x" * (2 * 2**20) + b'"}'
    for path in ("/batches", "/uploads/sessions", "/uploads/sessions/x/finalize"):
        problem(send(ann_api, body, path), 413, "body_too_large")


def test_a_body_beside_a_get_or_delete_is_left_alone(ann_api):
    batch = ann_api.make_batch()
    for body in (b"\xff", b"[", b"x" * 100_000):
        assert expect(200, ann_api.call("GET", f"/batches/{batch['id']}", data=body)) == batch
    session = ann_api.open_session(1)
    expect(204, ann_api.call("DELETE", f"/uploads/sessions/{session['session_id']}", data=b"\xff"))
