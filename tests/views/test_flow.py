"""The whole way over HTTP: batch, session, parts, finalize, counters."""

from tests.api import expect
from tests.samples import pattern


def test_a_file_goes_all_the_way(ann_api):
    batch = ann_api.make_batch(name="one")
    data = pattern(200_000)
    file = ann_api.store(data, batch_id=batch["id"], path="a/b.bin")
    assert file["status"] == "STORED"
    batch = expect(200, ann_api.get(f"/batches/{batch['id']}"))
    assert (batch["status"], batch["stored_count"], batch["pending_count"]) == ("COMPLETE", 1, 0)
    assert ann_api.get(f"/files/{file['id']}/content").content == data
