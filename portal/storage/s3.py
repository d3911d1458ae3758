"""Bytes in an S3-compatible store, shared by any number of machines.

What is stored where, below the prefix: `objects/<key>` are whole files. A session's staging file is an unfinished
multipart upload of the object of the same name: a part of ours is a part of theirs, and the object is there once
CompleteMultipartUpload has put it together, no byte copied. A file of one part is put as the object at once, and named
by its session from the start. `trash/<name>` is what no row named, kept for a day. An unfinished upload cannot be
moved, so it is aborted instead.

Permissions, on the bucket: s3:ListBucket, s3:ListBucketMultipartUploads, and s3:GetLifecycleConfiguration for a hint;
on its objects: s3:PutObject, s3:GetObject, s3:DeleteObject, s3:AbortMultipartUpload, s3:ListMultipartUploadParts.
Credentials come from the standard chain.

What it does not do: it makes no bucket and sets no lifecycle rule. It has no locks: whoever writes a part must hold a
claim on it. The limits of the format: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from boto3.s3.transfer import TransferConfig

from portal.storage.base import SignedUrl, Storage, StorageUnavailable, StoredPart
from portal.storage.keys import check_key, object_key_of, trash_name
from portal.storage.s3_client import GONE_HEAD, make_client, parse_url, translated
from portal.storage.s3_health import Health
from portal.storage.s3_lists import list_keys, list_parts, list_uploads
from portal.storage.s3_reads import S3HeldFile, S3Object
from portal.storage.s3_writes import S3NewObject, S3PartRange, copy_object

#: How long a signed URL is good.
URL_SECONDS = 3600
#: The most that one request copies; below that a copy is there whole or not at all.
COPY_AT_ONCE = TransferConfig(multipart_threshold=5 * 2**30)
#: How many objects are finished at once.
FINISHERS = 8


class S3Storage(Storage):
    """A bucket, or what lies below a prefix in it."""

    backend = "s3"
    locks = False
    presigns = True
    #: Far below the 5 GiB that one request copies: it is over within seconds, or the bytes are sent.
    copies_up_to = 2**30

    def __init__(self, url, *, clock=time.time):
        self.bucket, prefix, options = parse_url(url)
        self.prefix = f"{prefix}/" if prefix else ""
        self._clock = clock
        public = options.pop("public_endpoint_url", None)
        self.client = make_client(**options)
        self._hasty = make_client(**options, hasty=True)
        self._health = Health(self, self._hasty)
        #: What clients are sent to.
        self._signer = make_client(**options | {"endpoint_url": public}) if public else self.client

    def create_staging(self, key, *, single=False):
        name = self.name("objects", object_key_of(key))
        if single:
            return ""
        with translated("begin an upload", action="s3:PutObject"):
            return self.client.create_multipart_upload(**name)["UploadId"]

    def open_part(self, key, *, offset, length, number=1, upload=""):
        return S3PartRange(self.client, self.name("objects", object_key_of(key)), upload, number, offset, length)

    def hold(self, staging_key, object_key, *, upload="", etags=()):
        if object_key_of(staging_key) != check_key("objects", object_key):
            # It was begun while another storage was set: its bytes are there.
            raise FileNotFoundError(object_key)
        return S3HeldFile(self, object_key, upload, etags)

    def create_object(self, key):
        return S3NewObject(self, check_key("objects", key))

    def finish_objects(self, objects):
        objects = list(objects)
        if len(objects) == 1:
            return objects[0].finish()
        with ThreadPoolExecutor(FINISHERS, thread_name_prefix="portal-s3") as threads:
            for done in [threads.submit(new.finish) for new in objects]:
                done.result()

    def copy_objects(self, sources, *, seconds):
        until = time.monotonic() + seconds
        names = [[self.name("objects", key) for key in pair] for pair in sources.items()]
        with ThreadPoolExecutor(FINISHERS, thread_name_prefix="portal-s3") as threads:
            copied = threads.map(lambda pair: copy_object(self._hasty, *pair, until=until), names)
            return {key for key, done in zip(sources, copied, strict=True) if done}

    def open_object(self, key):
        return S3Object(self, self.name("objects", key))

    def remove_staging(self, key, *, upload=None):
        object_key = object_key_of(key)
        for upload_id in self._uploads_of(object_key) if upload is None else filter(None, [upload]):
            self.abort(object_key, upload_id)

    trash_staging = remove_staging

    def remove_object(self, key):
        self._delete(self.name("objects", key))

    def trash_object(self, key):
        source, target = self.name("objects", key), self.name("trash", trash_name("objects", key))
        try:
            with translated("move an object to the trash", action="s3:GetObject", gone=GONE_HEAD):
                self.client.copy(source, target["Bucket"], target["Key"], Config=COPY_AT_ONCE)
        except FileNotFoundError:
            return
        self._delete(source)

    def purge_trash(self, name):
        self._delete(self.name("trash", name))

    def old_keys(self, kind, *, older_than_seconds):
        now = self._clock()
        for key, changed in list_keys(self, kind):
            if now - changed > older_than_seconds:
                yield key

    def count_keys(self, kind):
        return sum(1 for _ in list_keys(self, kind))

    def age_seconds(self, kind, key):
        for found, changed in list_keys(self, kind, check_key(kind, key)):
            if found == key:
                return self._clock() - changed
        return None

    def sign_part(self, object_key, *, upload, number, length):
        part = {"UploadId": upload, "PartNumber": number, "ContentLength": length}
        url = self._sign("upload_part", self.name("objects", object_key) | part)
        return SignedUrl(url, {"Content-Length": str(length)}, URL_SECONDS)

    def sign_content(self, key, *, method, disposition):
        forced = {"ResponseContentDisposition": disposition, "ResponseContentType": "application/octet-stream"}
        url = self._sign(f"{method.lower()}_object", self.name("objects", key) | forced)
        return SignedUrl(url, {}, URL_SECONDS)

    def public_key(self, key):
        return self.name("objects", key)["Key"]

    def free_bytes(self):
        return sys.maxsize

    def check(self):
        self._health.check()

    def advice(self, *, session_days):
        return self._health.advice(session_days)

    def confirm(self, client=None):
        """Raise StorageUnavailable when the bucket is not there."""
        try:
            with translated("look at the bucket", action="s3:ListBucket", gone=(*GONE_HEAD, "NoSuchBucket")):
                (client or self.client).head_bucket(Bucket=self.bucket)
        except FileNotFoundError as error:
            raise StorageUnavailable("The bucket does not exist.") from error

    def name(self, kind, key):
        """Return how the store calls a key: `{"Bucket", "Key"}`."""
        return {"Bucket": self.bucket, "Key": f"{self.prefix}{kind}/{check_key(kind, key)}"}

    def abort(self, object_key, upload):
        """Abort one upload, with the parts that it has; does nothing when it is gone."""
        try:
            with translated("abort an upload", action="s3:AbortMultipartUpload", gone=GONE_HEAD):
                self.client.abort_multipart_upload(**self.name("objects", object_key), UploadId=upload)
        except FileNotFoundError:
            pass

    def list_parts(self, object_key, upload, *, after=0):
        """Yield each StoredPart of an upload, by number; without an upload the object is the only part."""
        if not upload:
            with self.open_object(object_key) as found:
                yield StoredPart(1, found.size, found.etag)
            return
        yield from list_parts(self.client, self.name("objects", object_key), upload, after)

    def _uploads_of(self, object_key):
        name = self.name("objects", object_key)["Key"]
        return [upload["UploadId"] for upload in list_uploads(self.client, self.bucket, name) if upload["Key"] == name]

    def _sign(self, call, parameters):
        with translated("sign a URL", action="none"):
            return self._signer.generate_presigned_url(call, Params=parameters, ExpiresIn=URL_SECONDS)

    def _delete(self, name):
        # Most stores answer well where there is nothing, and some do not.
        with suppress(FileNotFoundError), translated("remove an object", action="s3:DeleteObject", gone=GONE_HEAD):
            self.client.delete_object(**name)
