"""Real S3 servers for the tests, from wheels: rclone's, and ministack for what rclone's lacks.

rclone serves a folder, and knows neither conditional writes nor lifecycle rules. ministack keeps all in memory.
"""

import contextlib
import os
import secrets
import subprocess
import sys
import sysconfig
import time
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from boot.leash import leashed
from tests.postgres import free_port

START_SECONDS = 60
KEY, SECRET = "portalkey", "portal-secret-key"
#: What a process needs to use these servers, and none of the developer's own.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


class S3Server:
    """One server of `kind` "rclone" or "ministack" on a free port; a context manager. It ends when the tests do."""

    def __init__(self, kind, folder):
        self.kind, self.folder = kind, Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process = self.endpoint = None

    def __enter__(self):
        for _ in range(3):  # somebody else may take the free port first
            if self._start(free_port()):
                return self
        raise AssertionError(f"{self.kind} does not start:\n{(self.folder / 'log').read_text()[-2000:]}")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    @cached_property
    def client(self):
        """A client of the tests' own, that sees what the portal left."""
        config = Config(
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"total_max_attempts": 1},
        )
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            config=config,
        )

    def new_bucket(self):
        """Return the name of a new, empty bucket."""
        bucket = f"bucket-{secrets.token_hex(6)}"
        self.client.create_bucket(Bucket=bucket)
        return bucket

    def storage_url(self, bucket=None, prefix="portal", endpoint=None):
        """Return a PORTAL_STORAGE_URL for a bucket, a new one by default; `endpoint` is a proxy before the server."""
        endpoint = quote(endpoint or self.endpoint, safe="")
        return f"s3://{bucket or self.new_bucket()}/{prefix}?endpoint_url={endpoint}&region=us-east-1"

    def uploads(self, bucket):
        """Return the keys of the unfinished uploads of a bucket."""
        try:
            return [found["Key"] for found in self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]
        except self.client.exceptions.NoSuchUpload:
            return []  # so rclone's server says that there is none

    def keys(self, bucket):
        """Return the keys of a bucket."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [found["Key"] for page in pages for found in page.get("Contents", ())]

    def read(self, bucket, key):
        """Return the bytes of one object."""
        return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()

    def objects(self, bucket):
        """Return `{key: bytes}` of a bucket."""
        return {key: self.read(bucket, key) for key in self.keys(bucket)}

    def _command(self, port):
        if self.kind == "ministack":
            return [sys.executable, "-m", "ministack"], {
                "GATEWAY_PORT": str(port),
                "BIND_HOST": "127.0.0.1",
                "SERVICES": "s3",
            }
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        options = [
            "serve",
            "s3",
            "--addr",
            f"127.0.0.1:{port}",
            "--auth-key",
            f"{KEY},{SECRET}",
            "--config",
            os.devnull,
        ]
        return [Path(sysconfig.get_path("scripts")) / "rclone", *options, data], {}

    def _start(self, port):
        command, env = self._command(port)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                leashed(command, end_with="KILL"),
                env=os.environ | env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )
        self.endpoint = f"http://127.0.0.1:{port}"
        self.__dict__.pop("client", None)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(BotoCoreError, ClientError):
                self.client.list_buckets()
                return True
            time.sleep(0.1)
        return False
