"""Small files that are PUT all at once into one batch, the first held until the others stand in line behind it."""

import asyncio
import hashlib
import threading

from portal.models import IngestFile, OutboxEvent
from portal.transfer import whole_intake
from tests.races.promises import assert_counted
from tests.transfer.wire import Wire


def assert_stored(put, **files):
    """The batch has exactly these files, each with its bytes, its event and its count, and nothing lies besides."""
    storage, batch = put.storage, put.batch
    rows = {file.path: file for file in IngestFile.objects.all()}
    assert rows.keys() == files.keys()
    for path, file in rows.items():
        with storage.open_object(file.storage_key) as stored:
            assert stored.read(0, stored.size) == files[path]
        assert (file.size_bytes, file.sha256) == (len(files[path]), hashlib.sha256(files[path]).hexdigest())
    assert sorted(storage.old_keys("objects", older_than_seconds=-60)) == sorted(f.storage_key for f in rows.values())
    assert OutboxEvent.objects.filter(event_type="file.uploaded").count() == len(rows)
    size = sum(file.size_bytes for file in rows.values())
    assert_counted(batch, total_files=len(rows), stored_count=len(rows), total_bytes=size, stored_bytes=size)


class AtOnce:
    """Call it to PUT `(path, data)` all at once; it returns the wires, and the sizes of the groups that were stored.

    The first is taken alone, the others together behind it; `meanwhile()` happens just before those are stored. The
    requests for the paths in `cut_off` are cancelled while they wait.
    """

    def __init__(self, token, batch, storage, monkeypatch, *, early):
        self.token, self.batch, self.storage, self._monkeypatch = token, batch, storage, monkeypatch
        #: Whether all is done in one step, or the headers are looked at before the body is read.
        self.early = early
        self._store = whole_intake.store_together
        monkeypatch.setattr(whole_intake, "get_storage", lambda: storage)

    def _make_wire(self, path, data):
        lines = [f"Content-Length: {len(data)}"] if self.early else []
        return Wire("PUT", f"/batches/{self.batch.pk}/files/{path}", *lines, token=self.token, body=data)

    def _count_waiting(self):
        return [len(line.waiting) for line in whole_intake.STORE._lines.values()]

    def __call__(self, *files, cut_off=(), meanwhile=lambda: None):
        sizes, held = [], threading.Event()

        def store_held(groups):
            sizes.append(len(groups))
            assert held.wait(10)
            if len(groups) > 1:
                meanwhile()
            self._store(groups)

        self._monkeypatch.setattr(whole_intake, "store_together", store_held)

        async def scene():
            wires = [self._make_wire(path, data) for path, data in files]
            tasks = []
            # All have come, in this order, and stand in line behind the first, when that goes on.
            for number, wire in enumerate(wires):
                tasks.append(asyncio.create_task(wire.run()))
                while self._count_waiting() != [number]:
                    await asyncio.sleep(0.001)
            for (path, _), task in zip(files, tasks, strict=True):
                if path in cut_off:
                    task.cancel()
            await asyncio.sleep(0)
            held.set()
            await asyncio.gather(*tasks, return_exceptions=bool(cut_off))
            return wires

        return asyncio.run(scene()), sizes
