"""CPU of one page of 100 files, in one process: a bare cursor and orjson, the rows and their JSON, the whole request.

python -m benchmarks.page_cpu BATCH_ID TOKEN ROUNDS, with the environment of a portal; prints milliseconds as JSON.
"""

import io
import os
import statistics
import sys
import time
from uuid import UUID

import configurations
import orjson

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "boot.settings")
configurations.setup()

from configurations.wsgi import application  # noqa: E402
from django.db import connection  # noqa: E402

from portal.models import IngestFile, UploadBatch  # noqa: E402
from portal.serializers.files import FILE_FIELDS, render_file  # noqa: E402
from portal.services.batches import list_batch_files  # noqa: E402

CALLS = 20
BARE = (
    f"SELECT {', '.join(FILE_FIELDS)} FROM {IngestFile._meta.db_table} "  # noqa: S608 - names of ours
    "WHERE batch_id = %s ORDER BY id LIMIT 101"
)


def bare(key):
    """Read the rows by a cursor and write the same JSON, with as little done to a value as that takes."""
    with connection.cursor() as cursor:
        cursor.execute(BARE, [key])
        found = [dict(zip(FILE_FIELDS, row, strict=True)) for row in cursor.fetchmany(100)]
    for row in found:
        for name in TEXTS:
            row[name] = FROM_TEXT[name](row[name])
    return orjson.dumps({"results": found}, option=orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC)


def _uuid(text):
    return text and f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _json(text):
    return text and orjson.Fragment(text)


#: What the two databases give as text and the API does not.
FROM_TEXT = {"metadata": _json, "error": _json}
if connection.vendor == "sqlite":
    FROM_TEXT |= {"id": _uuid, "batch_id": _uuid, "session_id": _uuid}
TEXTS = tuple(FROM_TEXT)


def rows(batch):
    """Read and write the rows as the portal does, without the request around them."""
    page = list_batch_files(batch, FILE_FIELDS, limit=100)
    members = {"next": page.next, "previous": page.previous, "results": [render_file(row) for row in page.rows]}
    return orjson.dumps(members, option=orjson.OPT_UTC_Z)


def request(batch_id, token):
    """Ask Django for the page, through all of its middleware."""
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": f"/batches/{batch_id}/files",
        "QUERY_STRING": "limit=100",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_AUTHORIZATION": f"Bearer {token}",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
    }
    response = application(environ, lambda status, headers: None)
    body = b"".join(response)
    response.close()
    return body


def main():
    """Measure the three in turn."""
    batch_id, token, rounds = UUID(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    batch = UploadBatch.objects.get(pk=batch_id)
    key = batch_id if connection.vendor == "postgresql" else batch_id.hex
    contestants = {
        "bare": lambda: bare(key),
        "rows": lambda: rows(batch),
        "request": lambda: request(batch_id, token),
    }
    results = [orjson.loads(call())["results"] for call in contestants.values()]
    if len(results[0]) != 100 or any(result != results[0] for result in results):
        raise SystemExit(f"not the same rows: {[result[0] for result in results]}")
    seen = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, call in contestants.items():
            began = time.process_time()
            for _ in range(CALLS):
                call()
            if number:
                seen[name].append((time.process_time() - began) / CALLS * 1000)
    sys.stdout.write(orjson.dumps({name: statistics.median(values) for name, values in seen.items()}).decode())


if __name__ == "__main__":
    main()
