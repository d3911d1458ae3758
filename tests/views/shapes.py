"""What answers look like: the members of CONTRACT.md, word for word, and how a refusal is told."""

from http import HTTPStatus

from prometheus_client.parser import text_string_to_metric_families

BATCH = set(
    "id name status expected_files total_files stored_count failed_count pending_count total_bytes stored_bytes "
    "metadata created_at updated_at sealed_at completed_at".split()
)
FILE = set(
    "id batch_id session_id original_filename path content_type size_bytes sha256 status error metadata created_at "
    "stored_at".split()
)
SESSION = set(
    "session_id file_id batch_id status chunk_size_bytes total_parts total_size_bytes completed_parts received_bytes "
    "received_parts missing_parts expires_at".split()
)
#: A list leaves out the ranges: they cost a query over all parts of each session.
PART = {"part_number", "size_bytes", "digest"}
PAGE = {"next", "previous", "results"}
PROBLEM = {"type", "title", "status", "detail", "code"}
#: An id of the right form that nothing has.
NOBODY = "01890000-0000-7000-8000-000000000000"


def problem(response, status, code, *extra):
    """Check a refusal of RFC 9457 with exactly the members of every problem and `extra`; return its members."""
    assert response.status_code == status, f"{response.status_code}: {response.content[:2000]!r}"
    assert response.headers["Content-Type"] == "application/problem+json"
    members = response.json()
    assert set(members) == PROBLEM | set(extra)
    assert (members["type"], members["title"]) == ("about:blank", HTTPStatus(status).phrase)
    assert (members["status"], members["code"]) == (status, code)
    assert members["detail"]
    return members


def field_errors(response, *, status=400):
    """Check a refusal of field values; return the codes by field."""
    errors = problem(response, status, "invalid", "errors")["errors"]
    assert errors
    assert all(set(error) == {"field", "code", "detail"} and error["detail"] for error in errors)
    return {error["field"]: error["code"] for error in errors}


def read_metrics(response):
    """Return the samples of an answer of /metrics as `{(name, labels): value}`."""
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(response.content.decode())
    samples = [sample for family in families for sample in family.samples]
    return {(sample.name, *sorted(sample.labels.items())): sample.value for sample in samples}
