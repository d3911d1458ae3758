"""Question 10: What a portal on S3 sends to its store, what it holds in memory, and how long 1 GiB takes.

The store is rclone's S3 server on this machine, the peer `rclone copyto` to that same server; all share its cores.
"""

import os
import random
import subprocess
import sysconfig
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.client import ask, run_all
from benchmarks.measure import Answer, alternate, median, memory_bytes, process_tree, reset_peak, touch_memory
from benchmarks.memory import one_of_each
from benchmarks.portal_api import PortalApi
from benchmarks.servers import Portal
from tests.s3 import CREDENTIALS, KEY, SECRET, S3Server
from tests.s3_proxy import FaultProxy

MIB = 2**20
PART = 8 * MIB
CONNECTIONS = 4
WALL_BOUNDS = {"portal": 1.25, "presigned": 1.1}
MEMORY_MIB = 96
LARGE_PART, LARGE_PARTS = 64 * MIB, 8


def measure(run):
    """Return the Answer."""
    os.environ.update(CREDENTIALS)
    answer = Answer()
    with S3Server("rclone", run.folder / "store") as store:
        _count(answer, store, run)
        _weigh(answer, store, run)
        _time(answer, store, run)
    return answer


def _portal(store, folder, *, endpoint=None):
    env = CREDENTIALS | {"PORTAL_STORAGE_URL": store.storage_url(endpoint=endpoint)}
    env |= {"PORTAL_FINALIZE_INLINE_BYTES": str(2**40), "PORTAL_DOWNLOAD": "proxy"}
    return Portal(folder, env=env)


def _count(answer, store, run):
    """Requests and bytes to the store, seen by a proxy before it."""
    with FaultProxy(store.endpoint) as proxy, _portal(store, run.folder / "count", endpoint=proxy.endpoint) as portal:
        api = PortalApi(portal)

        def spend(size, parts):
            requests, sent = len(proxy.requests), proxy.sent_bytes
            body = random.Random(1).randbytes(min(size, PART))  # noqa: S311 - bytes that do not compress
            session = api.open_session(size, chunk_size_bytes=PART)
            api.put_parts(session, range(1, parts + 1), body, connections=CONNECTIONS)
            api.finalize(session)
            return len(proxy.requests) - requests, (proxy.sent_bytes - sent) / size

        one, _ = spend(MIB, 1)
        four, _ = spend(4 * PART, 4)
        eight, ratio = spend(8 * PART, 8)
    answer.add(
        "bytes sent to the store / bytes uploaded", ratio, 1.005, detail="8 parts of 8 MiB; XML of the last call"
    )
    answer.add("requests to the store for a file of one part", one, unit="", detail="PUT, HEAD, GET of the digest")
    answer.add("requests to the store for each part more", (eight - four) / 4, unit="")
    answer.add("requests beside the parts of a larger file", eight - 8, unit="", detail="open, put together, HEAD, GET")


def _weigh(answer, store, run):
    """The peak of a server process over its idle, for large parts at once."""
    grown = []
    for number in range(1 if run.quick else 3):
        with _portal(store, run.folder / f"memory-{number}") as portal:
            pid = max(process_tree(portal.pid), key=lambda pid: memory_bytes(pid, "VmRSS"))
            api, body = PortalApi(portal), random.Random(1).randbytes(LARGE_PART)  # noqa: S311
            for _ in range(2):
                one_of_each(api, body[:PART])
            time.sleep(1)
            idle = memory_bytes(pid, "VmRSS")
            reset_peak(pid)
            session = api.open_session(LARGE_PARTS * LARGE_PART, chunk_size_bytes=LARGE_PART)
            api.put_parts(session, range(1, LARGE_PARTS + 1), body, connections=LARGE_PARTS)
            api.finalize(session)
            grown.append((memory_bytes(pid, "VmHWM") - idle) / MIB)
    detail = f"{len(grown)} rounds: {', '.join(f'{each:.0f}' for each in grown)}"
    answer.add("peak over idle, 8 parts of 64 MiB at once", max(grown), MEMORY_MIB, unit="MiB", detail=detail)


def _time(answer, store, run):
    """Wall time of one large file, three ways."""
    parts = 16 if run.quick else 128
    body = random.Random(1).randbytes(PART)  # noqa: S311 - bytes that do not compress
    source, bucket = run.folder / "source.bin", store.new_bucket()
    source.write_bytes(body * parts)
    with ExitStack() as stack:
        api = PortalApi(stack.enter_context(_portal(store, run.folder / "portal")))
        seen = alternate(
            {
                "rclone": lambda: _rclone(store, source, bucket),
                "portal": lambda: _by_portal(api, parts, body),
                "presigned": lambda: _past_portal(api, store, parts, body),
            },
            run.rounds,
            before=lambda: touch_memory(parts * PART * 2),
        )
    source.unlink()
    theirs = median(seen["rclone"]["wall"])
    for name, bound in WALL_BOUNDS.items():
        parts_only, whole = median(seen[name]["parts"]), median(seen[name]["wall"])
        detail = f"{parts_only:.2f} s against {theirs:.2f} for {parts * PART / 2**30:g} GiB"
        answer.add(f"wall of the upload, {name} / rclone copyto", parts_only / theirs, bound, detail=detail)
        answer.add(f"until STORED, {name} / rclone copyto", whole / theirs, detail="the bytes are read back and hashed")


def _rclone(store, source, bucket):
    program = Path(sysconfig.get_path("scripts")) / "rclone"
    remote = f":s3,provider=Other,endpoint='{store.endpoint}',access_key_id={KEY},secret_access_key={SECRET}:{bucket}/x"
    options = ["--s3-chunk-size", "8M", "--s3-upload-concurrency", str(CONNECTIONS), "--config", os.devnull]
    began = time.perf_counter()
    subprocess.run([program, "copyto", source, remote, *options], check=True, capture_output=True)
    wall = time.perf_counter() - began
    store.client.delete_object(Bucket=bucket, Key="x")
    return {"wall": wall}


def _by_portal(api, parts, body):
    began = time.perf_counter()
    session = api.open_session(parts * PART, chunk_size_bytes=PART)
    api.put_parts(session, range(1, parts + 1), body, connections=CONNECTIONS)
    return _finish(api, session, began)


def _past_portal(api, store, parts, body):
    began = time.perf_counter()
    session = api.open_session(parts * PART, chunk_size_bytes=PART)
    path = f"/uploads/sessions/{session['session_id']}/presign"
    for first in range(1, parts + 1, 100):
        _, signed = api.call("POST", path, {"parts": [[first, min(first + 99, parts)]]})
        urls = [urlsplit(each["url"]) for each in signed["parts"]]
        jobs = [lambda client, url=url: ask(client, "PUT", f"{url.path}?{url.query}", body=body) for url in urls]
        run_all(store.endpoint, jobs, connections=CONNECTIONS)
    return _finish(api, session, began)


def _finish(api, session, began):
    sent = time.perf_counter() - began
    file = api.finalize(session)
    wall = time.perf_counter() - began
    api.delete(f"/files/{file['id']}")
    return {"parts": sent, "wall": wall}
