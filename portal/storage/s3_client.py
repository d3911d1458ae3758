"""The client of an S3-compatible store: made from PORTAL_STORAGE_URL, its errors translated into the contract's."""

import hashlib
import re
from contextlib import contextmanager
from functools import cache
from urllib.parse import parse_qsl, unquote, urlsplit

import boto3
import botocore.session
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from portal.storage.base import NoSpace, StorageMisconfigured, StorageUnavailable

#: Bucket names as S3 has them: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
#: `public_endpoint_url` is how clients reach the store, where that is not how the portal does.
OPTIONS = ("endpoint_url", "region", "public_endpoint_url")
MD5 = re.compile("[0-9a-f]{32}")
#: Without a connection, or without a byte, for so long a call is tried again, so often in all.
CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 5, 30, 4
GONE = ("NoSuchKey", "NoSuchUpload")
#: The answer to HEAD has no text, only its status.
GONE_HEAD = (*GONE, "404", "NotFound")
REFUSED, REFUSED_HEAD = ("AccessDenied", "AllAccessDisabled"), ("403", "Forbidden")
FULL = ("QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "InsufficientCapacity", "507")
SKEWED = ("RequestTimeTooSkewed", "RequestExpired")


def parse_url(url):
    """Return `(bucket, prefix, options)` of `s3://bucket/prefix?endpoint_url=…&region=…`; refuses everything else."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    wrong = None
    if parts.scheme != "s3" or parts.fragment:
        wrong = "it is no such URL"
    elif not BUCKET.fullmatch(parts.netloc):
        wrong = "a bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens"
    elif set(options) - set(OPTIONS):
        wrong = f"its only options are {', '.join(OPTIONS)}"
    if wrong:
        # A URL may hold a password by mistake, so it is not repeated.
        raise StorageMisconfigured(f"PORTAL_STORAGE_URL must be s3://bucket/prefix?endpoint_url=…&region=…: {wrong}.")
    return parts.netloc, unquote(parts.path).strip("/"), {name: text for name, text in options.items() if text}


@cache
def make_client(endpoint_url=None, region="us-east-1", *, hasty=False):
    """Return a client for many threads; credentials come from the standard chain (environment, files, instance).

    A `hasty` one asks once and does not wait long.
    """
    config = Config(
        signature_version="s3v4",
        # Retried with jitter; each body can be read again from its beginning.
        retries={"mode": "standard", "total_max_attempts": 1 if hasty else ATTEMPTS},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=CONNECT_SECONDS if hasty else READ_SECONDS,
        max_pool_connections=64,
        # Bodies go with their Content-MD5, which every store checks; newer checksums are not known to all of them.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if endpoint_url else "auto"},
    )
    try:
        core = botocore.session.Session()
        core.register_component("data_loader", _known_services())
        session = boto3.session.Session(botocore_session=core)
        return session.client("s3", endpoint_url=endpoint_url, region_name=region, config=config)
    except (BotoCoreError, ValueError) as error:
        raise StorageMisconfigured(f"S3 cannot be used: {error}.") from error


@cache
def _known_services():
    """Return what knows the calls of S3: megabytes of JSON, which each client would read again."""
    return botocore.session.Session().get_component("data_loader")


@contextmanager
def translated(doing, *, action, gone=()):
    """Turn the store's errors into the contract's; `action` is the S3 permission that the call needs.

    Those whose code is in `gone` become FileNotFoundError; a caller that does not ask for it never sees one.
    """
    try:
        yield
    except ClientError as error:
        if error_code(error) in gone:
            raise FileNotFoundError(f"Could not {doing}: {error_code(error)}.") from error
        raise _translate(error, doing, action) from error
    except NoCredentialsError as error:
        raise StorageUnavailable(f"Could not {doing}: there are no credentials.") from error
    except (BotoCoreError, Boto3Error) as error:
        # Its own text names addresses that are nobody else's business; a log has it as the cause.
        raise StorageUnavailable(f"Could not {doing}: the store does not answer ({type(error).__name__}).") from error


def error_code(error):
    """Return the code of an S3 error, or of the S3 error that caused `error`; empty when there is none."""
    error = error if isinstance(error, ClientError) else error.__cause__
    return error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""


def etag_of(answer):
    """Return the ETag of an answer; StorageUnavailable for one without: it is not the store's."""
    try:
        return answer["ETag"]
    except KeyError as error:
        raise StorageUnavailable("The store gave no ETag.") from error


def composite_etag(etags):
    """Return what most stores call an object of these parts: the MD5 of their MD5s, and how many they are."""
    sums = b"".join(bytes.fromhex(etag.strip('"')) for _, etag in etags if MD5.fullmatch(etag.strip('"')))
    return f'"{hashlib.md5(sums, usedforsecurity=False).hexdigest()}-{len(etags)}"'


def _translate(error, doing, action):
    code = error_code(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code in FULL or status == 507:
        return NoSpace(f"Could not {doing}: {code}.")
    if code == "NoSuchBucket":
        return StorageUnavailable(f"Could not {doing}: the bucket does not exist.")
    if code in SKEWED:
        return StorageUnavailable(f"Could not {doing}: the clock of this machine is wrong ({code}).")
    if code in REFUSED_HEAD:
        return StorageUnavailable(
            f"Could not {doing}: the permission {action} is missing, or the credentials are wrong."
        )
    if code in REFUSED:
        return StorageUnavailable(f"Could not {doing}: the permission {action} is missing.")
    return StorageUnavailable(f"Could not {doing}: the store says {code}.")
