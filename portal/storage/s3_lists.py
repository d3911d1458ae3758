"""What an S3 store has, page by page: objects, unfinished uploads, parts of one upload."""

from datetime import UTC, datetime

from portal.storage.base import StoredPart
from portal.storage.keys import KEY_SHAPES, object_key_of, staging_key_of
from portal.storage.s3_client import GONE, translated


def list_keys(storage, kind, only=""):
    """Yield `(key, changed)` of each key of a kind, or of the `only` one; `changed` in seconds since the epoch."""
    place = f"{storage.prefix}{kind}/"
    if kind == "staging":
        kind, place = "objects", f"{storage.prefix}objects/"
        found = list_uploads(storage.client, storage.bucket, place + (object_key_of(only) if only else ""))
        listed = ((upload["Key"], upload["Initiated"], staging_key_of) for upload in found)
    else:
        found = list_objects(storage.client, storage.bucket, place + only)
        listed = ((one["Key"], one["LastModified"], str) for one in found)
    for name, changed, as_key in listed:
        key = name.removeprefix(place)
        # What has another shape is not ours.
        if KEY_SHAPES[kind].fullmatch(key):
            yield as_key(key), changed.timestamp()


def list_objects(client, bucket, prefix):
    """Yield the store's description of each object below `prefix`."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    yield from _each(pages, "Contents", "list objects", "s3:ListBucket")


def list_uploads(client, bucket, prefix):
    """Yield the store's description of each unfinished upload below `prefix`."""
    pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix)
    try:
        for upload in _each(pages, "Uploads", "list unfinished uploads", "s3:ListBucketMultipartUploads"):
            # Not every store says when an upload was begun: such a one counts as new.
            yield {"Initiated": datetime.now(UTC), **upload}
    except FileNotFoundError:
        # So rclone's server says that there is none.
        return


def list_parts(client, name, upload, after):
    """Yield each StoredPart of an upload behind number `after`; FileNotFoundError when the upload is gone."""
    marker = last = after
    while True:
        with translated("list parts", action="s3:ListMultipartUploadParts", gone=GONE):
            page = client.list_parts(**name, UploadId=upload, PartNumberMarker=marker)
        for part in page.get("Parts", ()):
            # With S3 a page begins behind the marker, with rclone's server at it.
            if part["PartNumber"] > last:
                last = part["PartNumber"]
                yield StoredPart(last, part["Size"], part["ETag"])
        if not page.get("IsTruncated") or page.get("NextPartNumberMarker", 0) <= marker:
            return
        marker = page["NextPartNumberMarker"]


def _each(pages, member, doing, action):
    with translated(doing, action=action, gone=GONE):
        for page in pages:
            yield from page.get(member, ())
