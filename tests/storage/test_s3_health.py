"""What is told of a bucket: which permission is missing, that it is not there, a wrong clock, and what to set there."""

import threading

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from portal.storage import s3_client, s3_health
from portal.storage.base import StorageUnavailable
from portal.storage.s3 import S3Storage

#: The call of the client, and the permission that it needs.
NEEDS = [
    ("create_multipart_upload", "s3:PutObject"),
    ("list_parts", "s3:ListMultipartUploadParts"),
    ("list_multipart_uploads", "s3:ListBucketMultipartUploads"),
    ("abort_multipart_upload", "s3:AbortMultipartUpload"),
    ("put_object", "s3:PutObject"),
    ("get_object", "s3:GetObject"),
    ("list_objects_v2", "s3:ListBucket"),
    ("head_bucket", "s3:ListBucket"),
    ("delete_object", "s3:DeleteObject"),
]


@pytest.fixture
def bucket(ministack):
    return ministack.new_bucket()


@pytest.fixture
def storage(ministack, bucket):
    return S3Storage(ministack.storage_url(bucket))


@pytest.fixture
def hasty(storage):
    """The client that asks for health."""
    return storage._health._client


def error(code, status=400):
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "call")


def failing(monkeypatch, client, call, fault):
    """Let the client's `call` raise `fault`."""

    def fail(**_):
        raise fault

    monkeypatch.setattr(client, call, fail)


def fault_of(storage):
    """Return what the check says is wrong."""
    with pytest.raises(StorageUnavailable) as caught:
        storage.check()
    return str(caught.value)


@pytest.mark.parametrize(("call", "action"), NEEDS)
@pytest.mark.parametrize("code", ["AccessDenied", "403"])
def test_the_permission_that_is_missing_is_named(storage, hasty, monkeypatch, call, action, code):
    failing(monkeypatch, hasty, call, error(code, 403))
    told = fault_of(storage)
    assert f"the permission {action} is missing" in told
    # HEAD has no text that tells the one from the other.
    assert ("credentials are wrong" in told) == (code == "403")


def test_a_check_that_fails_leaves_nothing_that_it_may_remove(storage, hasty, monkeypatch, ministack, bucket):
    for call in ("list_parts", "list_multipart_uploads", "get_object", "list_objects_v2"):
        with monkeypatch.context() as refused:
            failing(refused, hasty, call, error("AccessDenied", 403))
            assert s3_health.find_fault(storage, hasty)
    assert (ministack.uploads(bucket), ministack.objects(bucket)) == ([], {})


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (error("RequestTimeTooSkewed", 403), "clock of this machine is wrong"),
        (error("InvalidAccessKeyId", 403), "InvalidAccessKeyId"),
        (error("NoSuchBucket", 404), "bucket does not exist"),
        (error("404", 404), "the store says 404"),
        (NoCredentialsError(), "there are no credentials"),
    ],
    ids=str,
)
def test_other_faults_are_told_in_a_sentence(storage, hasty, monkeypatch, fault, words):
    failing(monkeypatch, hasty, "create_multipart_upload", fault)
    assert words in fault_of(storage)


def test_a_bucket_that_is_not_there_is_told(ministack):
    assert fault_of(S3Storage(ministack.storage_url("no-such-bucket"))) == "The bucket does not exist."


def test_a_store_that_is_not_there_is_told_without_its_address():
    storage = S3Storage("s3://bucket/x?endpoint_url=http%3A%2F%2F127.0.0.1%3A9")
    assert fault_of(storage) == "Could not look at the bucket: the store does not answer (EndpointConnectionError)."


def test_one_answer_serves_for_a_while_and_for_those_who_come_meanwhile(storage, hasty, monkeypatch):
    asked, go_on = [], threading.Event()

    def slowly(storage, client):
        asked.append(1)
        assert go_on.wait(30)
        return ""

    monkeypatch.setattr(s3_health, "find_fault", slowly)
    first = threading.Thread(target=storage.check)
    first.start()
    assert fault_of(storage) == "The store was not asked yet."
    go_on.set()
    first.join()
    for _ in range(3):
        storage.check()
    assert asked == [1]
    now = s3_health.time.monotonic()
    monkeypatch.setattr(s3_health.time, "monotonic", lambda: now + s3_health.FOUND_SECONDS + 1)
    storage.check()
    assert asked == [1, 1]


def test_what_to_set_is_asked_for_once_in_a_while(storage, monkeypatch):
    asked = []
    monkeypatch.setattr(s3_health, "advise_on_bucket", lambda *_: asked.append(1) or ["set it"])
    for _ in range(3):
        assert storage.advice(session_days=7) == ["set it"]
    assert asked == [1]
    now = s3_health.time.monotonic()
    monkeypatch.setattr(s3_health.time, "monotonic", lambda: now + s3_health.ADVISED_SECONDS + 1)
    storage.advice(session_days=7)
    assert asked == [1, 1]


def test_health_is_asked_for_once_and_without_long_waiting(hasty):
    config = hasty.meta.config
    assert (config.retries["total_max_attempts"], config.read_timeout) == (1, s3_client.CONNECT_SECONDS)


# What an operator should set


def rule(days, *, prefix="", status="Enabled", **more):
    return {
        "ID": f"r{days}{prefix.replace('/', '')}{status}",
        "Status": status,
        "Filter": {"Prefix": prefix},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days},
        **more,
    }


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([], "No lifecycle rule"),
        ([rule(30, status="Disabled")], "No lifecycle rule"),
        ([rule(30, prefix="other/")], "No lifecycle rule"),
        ([rule(30, prefix="portal/objects/aa/")], "No lifecycle rule"),
        ([rule(7)], "aborts uploads that are in use"),
        ([rule(30), rule(7, prefix="portal/")], "aborts uploads that are in use"),
        ([rule(30)], ""),
        ([rule(40, prefix="portal/")], ""),
    ],
)
def test_a_lifecycle_rule_is_wanted_that_leaves_live_uploads_alone(storage, ministack, bucket, rules, words):
    if rules:
        ministack.client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    advice = storage.advice(session_days=7)
    assert words in advice[0] if words else advice == []


def test_rules_that_may_not_be_read_are_no_fault(storage, hasty, monkeypatch):
    failing(monkeypatch, hasty, "get_bucket_lifecycle_configuration", error("AccessDenied", 403))
    assert "s3:GetLifecycleConfiguration" in storage.advice(session_days=7)[0]
    storage.check()
