"""What of an S3 store is opened to write: a part, or a whole object; each body goes up with its MD5."""

import base64
import errno
import hashlib
import tempfile

from botocore.exceptions import ClientError

from portal.storage.base import NoSpace, StorageUnavailable
from portal.storage.handles import NewObject, PartRange
from portal.storage.s3_client import error_code, etag_of, translated

#: What one writer holds in memory; the rest of a part waits in a file without a name, which dies with the process.
MEMORY_BYTES = 2**20
#: The parts in which an object of unknown length goes up; 10,000 of them are the most that a store takes.
WHOLE_PART_BYTES = 8 * 2**20
MAX_PARTS = 10_000
#: The answers to a conditional PUT: an object is there, another PUT is under way, conditions are not known here.
THERE, UNDER_WAY, UNKNOWN = "PreconditionFailed", "ConditionalRequestConflict", "NotImplemented"
TRIES = 4


class _Spool:
    """Bytes on their way, with their MD5: a store refuses a body that was garbled, but the sum goes before it."""

    def __init__(self):
        self._file = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115 - closed by `close`
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0

    @property
    def etag(self):
        """What most stores call an object, or a part, with these bytes."""
        return f'"{self._md5.hexdigest()}"'

    def add(self, view):
        try:
            self._file.write(view)
        except OSError as error:
            kind = NoSpace if error.errno in (errno.ENOSPC, errno.EDQUOT) else StorageUnavailable
            raise kind(f"Could not keep a part on its way: {error.strerror}.") from error
        self._md5.update(view)
        self.size += len(view)

    def body(self):
        """Return what an upload takes, from the beginning."""
        self._file.seek(0)
        return {"Body": self._file, "ContentMD5": base64.b64encode(self._md5.digest()).decode()}

    def close(self):
        self._file.close()


def _put_once(client, name, spool):
    """PUT an object where there is none, and return its ETag.

    The condition keeps a PUT that was late (its process stood still) from changing bytes that are in use by then.
    Whoever gets here holds the claim on the key, so what is there already is an earlier writer's, and no row names it.
    """
    condition = {"IfNoneMatch": "*"}
    for _ in range(TRIES):
        try:
            return etag_of(client.put_object(**name, **condition, **spool.body()))
        except ClientError as error:
            code = error_code(error)
            if code == UNKNOWN and condition:
                condition = {}
            elif code == THERE:
                found = etag_of(client.head_object(**name))
                if found == spool.etag:
                    return found
                client.delete_object(**name)
            elif code != UNDER_WAY:
                raise
    raise StorageUnavailable("Could not write an object: others write to the same key.")


class S3PartRange(PartRange):
    """One part of a multipart upload, or without an upload the whole object; it goes up by `sync`, and not before."""

    def __init__(self, client, name, upload, number, offset, length):
        super().__init__(offset, length)
        self._client, self._name, self._upload, self._number = client, name, upload, number
        self._spool = _Spool()

    def try_lock(self):
        self.locked = True
        return True

    def holds_data(self):
        return False

    def reserve(self):
        """A bucket has no end that it would tell."""

    def _put(self, view, offset):
        self._spool.add(view)

    def sync(self):
        with translated("upload a part", action="s3:PutObject"):
            if self._upload:
                part = {"UploadId": self._upload, "PartNumber": self._number}
                self.etag = etag_of(self._client.upload_part(**self._name, **part, **self._spool.body()))
            else:
                self.etag = _put_once(self._client, self._name, self._spool)

    def close(self):
        self.locked = False
        self._spool.close()


class S3NewObject(NewObject):
    """An object of a length that is not known yet: one PUT when it is small, else a multipart upload of 8 MiB parts."""

    def __init__(self, storage, key):
        super().__init__(key)
        self._storage, self._name = storage, storage.name("objects", key)
        self._spool, self._upload, self._parts = _Spool(), "", []

    def write(self, data):
        view = memoryview(data).cast("B")
        while view:
            room = WHOLE_PART_BYTES - self._spool.size
            self._spool.add(view[:room])
            view = view[room:]
            if self._spool.size == WHOLE_PART_BYTES:
                self._send_part()

    def finish(self):
        """Make it an object."""
        client = self._storage.client
        with translated("write an object", action="s3:PutObject"):
            if not self._upload:
                _put_once(client, self._name, self._spool)
            else:
                if self._spool.size:
                    self._send_part()
                parts = {"Parts": self._parts}
                client.complete_multipart_upload(**self._name, UploadId=self._upload, MultipartUpload=parts)
                self._upload = ""
        self.close()

    def close(self):
        """Give up what was not finished."""
        self._spool.close()
        if self._upload:
            upload, self._upload = self._upload, ""
            # What cannot be aborted now is found by the sweep.
            try:
                self._storage.abort(self.key, upload)
            except StorageUnavailable:
                return

    def _send_part(self):
        client, number = self._storage.client, len(self._parts) + 1
        if number > MAX_PARTS:
            raise StorageUnavailable("A file in one request has at most 80,000 MiB here; use a session.")
        with translated("upload a part", action="s3:PutObject"):
            self._upload = self._upload or client.create_multipart_upload(**self._name)["UploadId"]
            part = {"UploadId": self._upload, "PartNumber": number}
            etag = etag_of(client.upload_part(**self._name, **part, **self._spool.body()))
        self._parts.append({"PartNumber": number, "ETag": etag})
        self._spool.close()
        self._spool = _Spool()
