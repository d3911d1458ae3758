"""What of an S3 store is opened to write: a part, or a whole object; each body goes up with its MD5."""

import time
from contextlib import suppress

from botocore.exceptions import ClientError

from portal.storage.base import KeyTaken, StorageUnavailable
from portal.storage.handles import NewObject, PartRange
from portal.storage.s3_client import GONE, composite_etag, error_code, etag_of, translated
from portal.storage.s3_spool import PartSpool

#: The first parts in which an object of unknown length goes up, and after how many they double: 10,000 parts are the
#: most that a store takes, and so hold 8 TiB.
WHOLE_PART_BYTES, GROWS_AFTER = 8 * 2**20, 1_000
#: How long such an object may take; far less than what the sweep leaves alone.
WHOLE_SECONDS = 12 * 3600
#: The answers to a conditional PUT: an object is there, another PUT is under way, conditions are not known here.
THERE, UNDER_WAY, UNKNOWN = "PreconditionFailed", "ConditionalRequestConflict", "NotImplemented"
TRIES = 4


def whole_part_size(number):
    """Return how many bytes part `number` (from 1) of an object of unknown length has, unless it is the last."""
    return WHOLE_PART_BYTES << (number - 1) // GROWS_AFTER


def copy_object(client, name, source, *, until):
    """Have the store copy an object; False for what failed, or was not begun by `until` on the monotonic clock."""
    # A copy whose answer came too late may be there: the sweep finds it.
    with suppress(FileNotFoundError, StorageUnavailable):
        if time.monotonic() < until:
            with translated("copy an object", action="s3:GetObject", gone=GONE):
                client.copy_object(**name, CopySource=source)
            return True
    return False


def _put_once(client, name, spool, require=lambda: None):
    """PUT an object where there is none, and return its ETag; KeyTaken where there is one with other bytes.

    The condition keeps a PUT that was late (its process stood still) from changing bytes that are in use by then.
    """
    condition = {"IfNoneMatch": "*"}
    for _ in range(TRIES):
        try:
            return etag_of(client.put_object(**name, **condition, **spool.body(require)))
        except ClientError as error:
            code = error_code(error)
            if code == UNKNOWN and condition:
                condition = {}
            elif code == THERE:
                found = etag_of(client.head_object(**name))
                if found == f'"{spool.digest.hex()}"':
                    return found
                raise KeyTaken("There are other bytes where these go.") from error
            elif code != UNDER_WAY:
                raise
    raise StorageUnavailable("Could not write an object: others write to the same key.")


class S3PartRange(PartRange):
    """One part of a multipart upload, or without an upload the whole object; it goes up by `sync`, and not before."""

    def __init__(self, client, name, upload, number, offset, length):
        super().__init__(offset, length)
        self._client, self._name, self._upload, self._number = client, name, upload, number
        self._spool = PartSpool()

    def try_lock(self):
        self.locked = True
        return True

    def holds_data(self):
        return False

    def reserve(self):
        """A bucket has no end that it would tell; the disk where the part waits has one."""
        self._spool.reserve(self.length)

    def _put(self, view, offset):
        self._spool.add(view)

    def sync(self):
        body = self._spool.body(self.require)
        with translated("upload a part", action="s3:PutObject", gone=GONE):
            if self._upload:
                part = {"UploadId": self._upload, "PartNumber": self._number}
                self.etag = etag_of(self._client.upload_part(**self._name, **part, **body))
            else:
                self.etag = _put_once(self._client, self._name, self._spool, self.require)

    def close(self):
        self.locked = False
        self._spool.close()


class S3NewObject(NewObject):
    """An object of a length that is not known yet: one PUT while it is small, else an upload of growing parts."""

    def __init__(self, storage, key):
        super().__init__(key)
        self._storage, self._name = storage, storage.name("objects", key)
        self._spool, self._upload, self._parts = PartSpool(), "", []
        self._until = time.monotonic() + WHOLE_SECONDS

    def write(self, data):
        view = memoryview(data).cast("B")
        while view:
            size = whole_part_size(len(self._parts) + 1)
            room = size - self._spool.size
            self._spool.add(view[:room])
            view = view[room:]
            if self._spool.size == size:
                self._send_part()

    def finish(self):
        """Make it an object."""
        with translated("write an object", action="s3:PutObject"):
            if not self._upload:
                self._put_alone()
            else:
                if self._spool.size:
                    self._send_part()
                self._put_together()
                self._upload = ""
        self.close()

    def close(self):
        """Give up what was not finished."""
        self._spool.close()
        if self._upload:
            upload, self._upload = self._upload, ""
            # What cannot be aborted now is found by the sweep.
            with suppress(StorageUnavailable):
                self._storage.abort(self.key, upload)

    def _send_part(self):
        client, number = self._storage.client, len(self._parts) + 1
        if time.monotonic() > self._until:
            # What is unfinished for a day and named by no row is swept.
            raise StorageUnavailable("The file takes too long; send it in parts.")
        with translated("upload a part", action="s3:PutObject"):
            self._upload = self._upload or client.create_multipart_upload(**self._name)["UploadId"]
            part = {"UploadId": self._upload, "PartNumber": number}
            etag = etag_of(client.upload_part(**self._name, **part, **self._spool.body()))
        self._parts.append({"PartNumber": number, "ETag": etag})
        self._spool.close()
        self._spool = PartSpool()

    def _put_alone(self):
        try:
            _put_once(self._storage.client, self._name, self._spool)
        except KeyTaken as error:
            raise StorageUnavailable("There are other bytes at a fresh key.") from error

    def _put_together(self):
        parts = {"Parts": self._parts}
        try:
            self._storage.client.complete_multipart_upload(**self._name, UploadId=self._upload, MultipartUpload=parts)
        except ClientError as error:
            # An earlier answer was lost: then the object is there, and nobody else knows its key.
            if error_code(error) not in GONE or not self._is_there():
                raise

    def _is_there(self):
        etags = [(part["PartNumber"], part["ETag"]) for part in self._parts]
        return etag_of(self._storage.client.head_object(**self._name)) == composite_etag(etags)
