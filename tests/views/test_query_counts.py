"""Lists and details cost the same number of queries whether there are 10 rows or 10,000."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.models import IngestFile, UploadBatch, UploadPart, UploadSession
from tests.samples import insert_copies, make_token

#: Who asks is one query, what is asked for is one more; what lies below somebody's own is looked up first.
QUERIES = {
    "/batches": 2,
    "/batches?status=INIT": 2,
    "/batches?limit=1000": 2,
    "/batches/{batch}": 2,
    "/batches/{batch}/files": 3,
    "/batches/{batch}/files?status=STORED&limit=1000": 3,
    "/batches/{batch}/files?path_prefix=a": 3,
    "/files": 2,
    "/files?status=STORED": 2,
    "/files?batch=none": 2,
    "/files/{file}": 2,
    "/uploads/sessions": 2,
    "/uploads/sessions?status=COMPLETE": 2,
    "/uploads/sessions/{session}": 3,
    "/uploads/sessions/{session}/parts": 3,
    "/limits": 1,
    "/healthz": 0,
}


def fill(owner, batch, start, stop):
    """Give `owner` batches, stored files in one of them, complete sessions, and parts of one session."""
    numbers = range(start, stop)
    insert_copies(UploadBatch(owner=owner), len(numbers), name=map(str, numbers))
    stored = {"status": "STORED", "sha256": "0" * 64, "storage_key": "k", "size_bytes": 1, "original_filename": "a"}
    paths = [f"a/{number:05}" for number in numbers]
    files = insert_copies(IngestFile(owner=owner, batch=batch, **stored), len(numbers), path=paths)
    described = {"chunk_size_bytes": 1, "total_parts": 10_000, "total_size_bytes": 10_000, "expires_at": timezone.now()}
    insert_copies(UploadSession(owner=owner, status="COMPLETE", **described), len(numbers), file_id=files)
    first = UploadSession.objects.order_by("id").first()
    part = UploadPart(session=first, size_bytes=1, blake3="0" * 64)
    insert_copies(part, len(numbers), number=[number + 1 for number in numbers])
    return {"batch": batch.pk, "file": files[0], "session": first.pk}


@pytest.fixture
def count_queries(client, ann):
    """Give a function that counts the queries of a GET."""
    headers = {"authorization": f"Bearer {make_token(ann)}"}

    def count(path):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            response = client.get(path, headers=headers)
        assert response.status_code == 200, response.content
        return len(queries)

    return count


def test_lists_and_details_cost_the_same_for_10_and_for_10_000_rows(ann, count_queries):
    batch = UploadBatch.objects.create(owner=ann.user)
    for start, stop in ((0, 10), (10, 10_000)):
        ids = fill(ann.user, batch, start, stop)
        assert {path: count_queries(path.format(**ids)) for path in QUERIES} == QUERIES


def test_a_later_page_costs_the_same_as_the_first(client, ann, count_queries):
    ids = fill(ann.user, UploadBatch.objects.create(owner=ann.user), 0, 50)
    headers = {"authorization": f"Bearer {make_token(ann)}"}
    for path in (
        "/batches?limit=20",
        "/batches/{batch}/files?limit=20",
        "/files?limit=20",
        "/uploads/sessions?limit=20",
    ):
        following = client.get(path.format(**ids), headers=headers).json()["next"].removeprefix("http://testserver")
        assert count_queries(following) == QUERIES[path.partition("?")[0]]
