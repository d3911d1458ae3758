"""Whether a bucket does what the portal needs of it, and what an operator should set there."""

import threading
import time
import uuid

from portal.storage.base import StorageUnavailable
from portal.storage.keys import object_key_of
from portal.storage.s3_client import error_code, translated

#: How long an answer serves.
FOUND_SECONDS, ADVISED_SECONDS = 10, 300
#: A rule should leave an upload alone for so many lifetimes of a session, and for so many days.
LIVES, LEAST_DAYS = 4, 30


class Remembered:
    """The last answer to a question that anybody may ask as often as they like.

    It serves for `seconds`, good or bad, and for those who come while one of them asks anew.
    """

    def __init__(self, seconds, answer):
        self._seconds, self._answer = seconds, answer
        self._until, self._asking = float("-inf"), threading.Lock()

    def get(self, ask):
        """Return what `ask()` returned lately, or returns now."""
        if time.monotonic() >= self._until and self._asking.acquire(blocking=False):
            try:
                self._answer = ask()
                self._until = time.monotonic() + self._seconds
            finally:
                self._asking.release()
        return self._answer


class Health:
    """What was last found out of a bucket, with a client that does not wait long; for any number of threads."""

    def __init__(self, storage, client):
        self._storage, self._client = storage, client
        self._fault = Remembered(FOUND_SECONDS, "The store was not asked yet.")
        self._advice = Remembered(ADVISED_SECONDS, [])

    def check(self):
        """Raise StorageUnavailable with a sentence that says what is wrong."""
        fault = self._fault.get(lambda: find_fault(self._storage, self._client))
        if fault:
            raise StorageUnavailable(fault)

    def advice(self, session_days):
        """Return what an operator should set there."""
        return self._advice.get(lambda: advise_on_bucket(self._storage, self._client, session_days))


def find_fault(storage, client):
    """Do, with a probe, all that uploads need; return a sentence that names what is missing, or "" when nothing is."""
    name = uuid.uuid4().hex
    # Of the shape of ours, so that the sweep takes what a crash leaves.
    object_key = object_key_of(f"{name[-2:]}/{name}")
    try:
        storage.confirm(client)
        _try_upload(client, storage.name("objects", object_key))
        _try_object(client, storage.name("objects", object_key))
    except StorageUnavailable as error:
        return str(error)
    return ""


def _try_upload(client, probe):
    bucket, key = probe["Bucket"], probe["Key"]
    with translated("begin an upload", action="s3:PutObject"):
        upload = client.create_multipart_upload(**probe)["UploadId"]
    try:
        with translated("list parts", action="s3:ListMultipartUploadParts"):
            client.list_parts(**probe, UploadId=upload)
        with translated("list unfinished uploads", action="s3:ListBucketMultipartUploads"):
            client.list_multipart_uploads(Bucket=bucket, Prefix=key, MaxUploads=1)
    finally:
        with translated("abort an upload", action="s3:AbortMultipartUpload"):
            client.abort_multipart_upload(**probe, UploadId=upload)


def _try_object(client, probe):
    with translated("write an object", action="s3:PutObject"):
        client.put_object(**probe, Body=b"probe")
    try:
        with translated("read an object", action="s3:GetObject"):
            if client.get_object(**probe)["Body"].read() != b"probe":
                raise StorageUnavailable("The bucket gave out other bytes than it was given.")
        with translated("list objects", action="s3:ListBucket"):
            client.list_objects_v2(Bucket=probe["Bucket"], Prefix=probe["Key"], MaxKeys=1)
    finally:
        with translated("remove an object", action="s3:DeleteObject"):
            client.delete_object(**probe)


def advise_on_bucket(storage, client, session_days):
    """Return a sentence when no lifecycle rule aborts unfinished uploads, or one may do so while they are in use.

    A rule counts from when an upload was begun; a session lives on with each part that comes in.
    """
    days = max(LEAST_DAYS, LIVES * session_days)
    wanted = f"set AbortIncompleteMultipartUpload to at least {days} days for the whole prefix"
    try:
        with translated("read the lifecycle rules", action="s3:GetLifecycleConfiguration"):
            answer = client.get_bucket_lifecycle_configuration(Bucket=storage.bucket)
    except StorageUnavailable as error:
        if error_code(error) not in ("NoSuchLifecycleConfiguration", "NotImplemented"):
            return [str(error)]
        answer = {}
    found = [rule for rule in answer.get("Rules", ()) if rule.get("Status") == "Enabled" and _covers(rule, storage)]
    aborts = [rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] for rule in found if _aborts(rule)]
    if not aborts:
        return [f"No lifecycle rule aborts unfinished uploads: {wanted}."]
    if min(aborts) < days:
        return [f"A lifecycle rule aborts uploads that are in use: {wanted}."]
    return []


def _aborts(rule):
    return "DaysAfterInitiation" in rule.get("AbortIncompleteMultipartUpload", {})


def _covers(rule, storage):
    """Whether the rule is for all objects below our prefix; one with other conditions is not."""
    condition = rule.get("Filter") or {"Prefix": rule.get("Prefix", "")}
    return set(condition) <= {"Prefix"} and f"{storage.prefix}objects/".startswith(condition.get("Prefix", ""))
