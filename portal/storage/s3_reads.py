"""What of an S3 store is opened to read: a file to be finalized, whose parts are put together, or an object."""

import io
import random
import time

from urllib3.exceptions import HTTPError

from portal.storage.base import PartsChanged, StorageUnavailable
from portal.storage.handles import HeldFile, StoredObject
from portal.storage.s3_client import GONE, GONE_HEAD, composite_etag, error_code, etag_of, translated

#: How often a stream that breaks is taken up again where it was, before the reader hears of it.
TRIES = 4


class S3Object(StoredObject):
    """An object, read as one stream for as long as the reader goes on where it was."""

    def __init__(self, storage, name):
        self._storage, self._name = storage, name
        self._stream, self._at = None, 0
        try:
            with translated("look at an object", action="s3:GetObject", gone=GONE_HEAD):
                found = storage.client.head_object(**name)
        except FileNotFoundError:
            # The answer to HEAD has no text, and a bucket that is gone must not look like a file that is.
            storage.confirm()
            raise
        self.size, self.etag = found["ContentLength"], etag_of(found)

    def read(self, offset, length):
        block = bytearray(max(0, min(length, self.size - offset)))
        return bytes(block[: self.read_into(memoryview(block), offset)])

    def read_into(self, view, offset):
        """Fill `view` from `offset` on as far as the object goes; return how many bytes that are."""
        done, tries = 0, 0
        while done < min(len(view), self.size - offset):
            try:
                with translated("read an object", action="s3:GetObject", gone=GONE):
                    got = self._take(view[done:], offset + done)
                if not got:
                    raise StorageUnavailable("Could not read an object: it ends early.")
                done += got
            except StorageUnavailable:
                self.close()
                tries += 1
                if tries == TRIES:
                    raise
                time.sleep(random.uniform(0, 0.1 * 4**tries))  # noqa: S311 - jitter, no secret
        return done

    def close(self):
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _take(self, view, offset):
        if self._stream is None or self._at != offset:
            self.close()
            answer = self._storage.client.get_object(**self._name, Range=f"bytes={offset}-")
            self._stream = answer["Body"]
            # Whoever is in between may know nothing of ranges, or answer with a page of its own.
            if answer.get("ContentRange") != f"bytes {offset}-{self.size - 1}/{self.size}":
                raise StorageUnavailable("Could not read an object: the store answers with another range.")
        try:
            block = self._stream.read(len(view))
        except (HTTPError, OSError) as error:
            raise StorageUnavailable(f"Could not read an object: {error}.") from error
        view[: len(block)] = block
        self._at = offset + len(block)
        return len(block)


class S3HeldFile(HeldFile):
    """A file whose parts have been put together: the object that they make, before any row calls it STORED.

    There is no lock. Whoever gets here holds the claim of the session, and to put the same parts together twice is the
    same object.
    """

    def __init__(self, storage, object_key, upload, etags):
        self._storage, self._key, self._name = storage, object_key, storage.name("objects", object_key)
        if upload:
            allowed = self._put_together(upload, etags)
        elif etags:
            allowed = [etags[0][1]]
        else:
            allowed = self._make_empty()
        self._object = S3Object(storage, self._name)
        self.size = self._object.size
        if allowed and self._object.etag not in allowed:
            self._object.close()
            raise PartsChanged([number for number, _ in etags])

    def publish(self):
        """Nothing is left to do: the object is at its place."""

    def close(self):
        self._object.close()

    def _read_into(self, view, offset):
        return self._object.read_into(view, offset)

    def _make_empty(self):
        with translated("write an empty object", action="s3:PutObject"):
            self._storage.client.put_object(**self._name, Body=io.BytesIO())

    def _put_together(self, upload, etags):
        """Make the object of the parts; return the ETags of which it must have one, none when there is no doubt."""
        parts = {"Parts": [{"PartNumber": number, "ETag": etag} for number, etag in etags]}
        try:
            with translated("put an upload together", action="s3:PutObject", gone=GONE):
                self._storage.client.complete_multipart_upload(**self._name, UploadId=upload, MultipartUpload=parts)
        except FileNotFoundError:
            # An earlier answer was lost, or the upload is gone: the object says which, as the caller looks at it next.
            # At the key of a file of one part there may be what an earlier writer put there.
            return [etags[0][1], composite_etag(etags)] if len(etags) == 1 else []
        except StorageUnavailable as error:
            if error_code(error) != "InvalidPart":
                raise
            if self._is_plain(etags):
                self._storage.abort(self._key, upload)
                return []
            listed = {part.number: part.etag for part in self._storage.list_parts(self._key, upload)}
            changed = [number for number, etag in etags if listed.get(number) != etag]
            if not changed:
                raise
            raise PartsChanged(changed) from error
        return []

    def _is_plain(self, etags):
        """Whether the only part was put as the object itself, by a writer who began before there was an upload."""
        try:
            with S3Object(self._storage, self._name) as found:
                return len(etags) == 1 and found.etag == etags[0][1]
        except FileNotFoundError:
            return False
