"""Whether a bucket does what the portal needs of it, and what an operator should set there."""

import uuid

from portal.storage.base import StorageUnavailable
from portal.storage.keys import object_key_of
from portal.storage.s3_client import error_code, translated


def check_bucket(storage):
    """Do, with a probe, all that uploads need; StorageUnavailable names what is missing."""
    client, bucket = storage.client, storage.bucket
    name = uuid.uuid4().hex
    # Of the shape of ours, so that the sweep takes what a crash leaves.
    staging_key = f"{name[-2:]}/{name}"
    object_key = object_key_of(staging_key)
    probe = storage.name("objects", object_key)
    upload = storage.create_staging(staging_key)
    with translated("list parts", action="s3:ListMultipartUploadParts"):
        client.list_parts(**probe, UploadId=upload)
    with translated("list unfinished uploads", action="s3:ListBucketMultipartUploads"):
        client.list_multipart_uploads(Bucket=bucket, Prefix=probe["Key"], MaxUploads=1)
    storage.abort(object_key, upload)
    with translated(f"write to the bucket {bucket}", action="s3:PutObject"):
        client.put_object(**probe, Body=b"probe")
    with translated(f"read from the bucket {bucket}", action="s3:GetObject"):
        if client.get_object(**probe)["Body"].read() != b"probe":
            raise StorageUnavailable("The bucket gave out other bytes than it was given.")
    with translated("list objects", action="s3:ListBucket"):
        client.list_objects_v2(Bucket=bucket, Prefix=probe["Key"], MaxKeys=1)
    storage.remove_object(object_key)


def advise_on_bucket(storage, session_days):
    """Return a sentence when no lifecycle rule aborts unfinished uploads, or one does so while they are in use."""
    days = session_days + 1
    wanted = f"set AbortIncompleteMultipartUpload to at least {days} days for the whole prefix"
    try:
        with translated("read the lifecycle rules", action="s3:GetLifecycleConfiguration"):
            answer = storage.client.get_bucket_lifecycle_configuration(Bucket=storage.bucket)
    except StorageUnavailable as error:
        if error_code(error) not in ("NoSuchLifecycleConfiguration", "NotImplemented"):
            return [str(error)]
        answer = {}
    found = [rule for rule in answer.get("Rules", ()) if rule.get("Status") == "Enabled" and _covers(rule, storage)]
    aborts = [rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] for rule in found if _aborts(rule)]
    if not aborts:
        return [f"No lifecycle rule of the bucket {storage.bucket} aborts unfinished uploads: {wanted}."]
    if min(aborts) < days:
        return [f"A lifecycle rule of the bucket {storage.bucket} aborts uploads that are in use: {wanted}."]
    return []


def _aborts(rule):
    return "DaysAfterInitiation" in rule.get("AbortIncompleteMultipartUpload", {})


def _covers(rule, storage):
    """Whether the rule is for all objects below our prefix; one with other conditions is not."""
    condition = rule.get("Filter") or {"Prefix": rule.get("Prefix", "")}
    ours = storage.public_key("aa/aa/" + "a" * 32)
    return set(condition) <= {"Prefix"} and ours.startswith(condition.get("Prefix", ""))
