"""A bucket in memory: what of botocore's client the portal's S3 storage calls, and the storage on it.

It answers as S3 does: ETags are MD5s, a condition is kept to, an upload takes no part once it has ended, and is put
together of the very parts that are named.
"""

import hashlib
import io
from collections import namedtuple
from datetime import UTC, datetime
from types import SimpleNamespace

from botocore.exceptions import ClientError

from portal.storage import s3
from portal.storage.s3 import S3Storage
from portal.storage.s3_client import composite_etag
from tests.stateful.fates import Clock

Url = namedtuple("Url", "key upload number")


def refuse(code, status=404):
    """Raise S3's error of this code."""
    raise ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "call")


def etag(data):
    """Return the ETag of what was sent at once."""
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


class Bucket:
    """The client of one bucket, which is not named again."""

    def __init__(self, clock):
        self.clock, self.objects, self.uploads, self.made = clock, {}, {}, 0

    def _keep(self, key, data, tag=None):
        self.objects[key] = SimpleNamespace(data=data, etag=tag or etag(data), changed=self.clock())
        return {"ETag": self.objects[key].etag}

    def _find(self, key):
        return self.objects.get(key) or refuse("NoSuchKey")

    def _upload(self, key, upload):
        found = self.uploads.get(upload)
        return found if found and found.key == key else refuse("NoSuchUpload")

    def put_object(self, *, Bucket, Key, Body, IfNoneMatch=None, ContentMD5=None):
        """Keep an object; with a condition, where there is none."""
        if IfNoneMatch and Key in self.objects:
            refuse("PreconditionFailed", 412)
        return self._keep(Key, Body.read())

    def head_object(self, *, Bucket, Key):
        """Describe an object."""
        found = self._find(Key)
        return {"ETag": found.etag, "ContentLength": len(found.data)}

    def get_object(self, *, Bucket, Key, Range):
        """Give an object from some place on."""
        data, start = self._find(Key).data, int(Range.removeprefix("bytes=").rstrip("-"))
        return {"Body": io.BytesIO(data[start:]), "ContentRange": f"bytes {start}-{len(data) - 1}/{len(data)}"}

    def delete_object(self, *, Bucket, Key):
        """Remove an object, if it is there."""
        self.objects.pop(Key, None)

    def copy_object(self, *, Bucket, Key, CopySource):
        """Copy an object."""
        self._keep(Key, self._find(CopySource["Key"]).data)

    def copy(self, source, bucket, key, Config):
        """Copy an object, whatever its size."""
        self.copy_object(Bucket=bucket, Key=key, CopySource=source)

    def head_bucket(self, *, Bucket):
        """It is there."""

    def create_multipart_upload(self, *, Bucket, Key):
        """Begin an upload."""
        self.made += 1
        self.uploads[f"upload-{self.made}"] = SimpleNamespace(key=Key, parts={}, begun=self.clock())
        return {"UploadId": f"upload-{self.made}"}

    def upload_part(self, *, Bucket, Key, UploadId, PartNumber, Body, ContentMD5=None):
        """Keep a part in the place of whatever was there."""
        self._upload(Key, UploadId).parts[PartNumber] = data = Body.read()
        return {"ETag": etag(data)}

    def list_parts(self, *, Bucket, Key, UploadId, PartNumberMarker):
        """List the parts behind a number, two at a time."""
        parts = sorted(self._upload(Key, UploadId).parts.items())
        parts = [(number, data) for number, data in parts if number > PartNumberMarker]
        page = [{"PartNumber": number, "Size": len(data), "ETag": etag(data)} for number, data in parts[:2]]
        return {
            "Parts": page,
            "IsTruncated": len(parts) > 2,
            "NextPartNumberMarker": page[-1]["PartNumber"] if page else 0,
        }

    def complete_multipart_upload(self, *, Bucket, Key, UploadId, MultipartUpload):
        """Make the object of these parts, which must be there as they are named."""
        found, wanted = self._upload(Key, UploadId), [tuple(part.values()) for part in MultipartUpload["Parts"]]
        if any(number not in found.parts or etag(found.parts[number]) != tag for number, tag in wanted):
            refuse("InvalidPart", 400)
        del self.uploads[UploadId]
        self._keep(Key, b"".join(found.parts[number] for number, _ in wanted), composite_etag(wanted))

    def abort_multipart_upload(self, *, Bucket, Key, UploadId):
        """Give an upload up."""
        self._upload(Key, UploadId)
        del self.uploads[UploadId]

    def get_paginator(self, call):
        """Return what lists objects, or uploads, below a prefix, one a page."""
        return SimpleNamespace(paginate=lambda Bucket, Prefix: getattr(self, f"_{call}")(Prefix))

    def _list_objects_v2(self, prefix):
        for key, one in list(self.objects.items()):
            if key.startswith(prefix):
                yield {"Contents": [{"Key": key, "LastModified": datetime.fromtimestamp(one.changed, UTC)}]}

    def _list_multipart_uploads(self, prefix):
        for pk, one in list(self.uploads.items()):
            if one.key.startswith(prefix):
                begun = datetime.fromtimestamp(one.begun, UTC)
                yield {"Uploads": [{"Key": one.key, "UploadId": pk, "Initiated": begun}]}

    def generate_presigned_url(self, call, *, Params, ExpiresIn):
        """Return a URL that `send` takes."""
        assert call == "upload_part"
        return "|".join([Params["Key"], Params["UploadId"], str(Params["PartNumber"])])

    def send(self, url, data):
        """Do what a client does with a signed URL; return the ETag, None where there is no upload any more."""
        key, upload, number = url.split("|")
        try:
            part = {"Key": key, "UploadId": upload, "PartNumber": int(number)}
            return self.upload_part(Bucket="", **part, Body=io.BytesIO(data))["ETag"]
        except ClientError:
            return None


class BucketStorage(S3Storage):
    """The portal's S3 storage on a bucket in memory."""

    def __init__(self, monkeypatch, pool):
        self.clock = Clock()
        made = Bucket(self.clock)
        monkeypatch.setattr(s3, "make_client", lambda **_: made)
        monkeypatch.setattr(s3, "ThreadPoolExecutor", pool)
        super().__init__("s3://bucket", clock=self.clock)

    @property
    def files(self):
        """By kind and key, what is there."""
        client = self.client
        objects = {key: one for key, one in client.objects.items() if key.startswith("objects/")}
        return {"objects": objects, "staging": {one.key: one for one in client.uploads.values()}}

    def wipe(self):
        """Forget everything."""
        self.client.objects.clear()
        self.client.uploads.clear()

    def release_locks(self):
        """There are none."""
