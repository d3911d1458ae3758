"""Question 2: Finalize of 1 GiB that arrived in parallel and out of order, against `openssl dgst -sha256` of the file.

One whose parts came in order, over one connection, is reported beside it.
"""

import os
import random
import re
import shutil
import subprocess
import time

from benchmarks.measure import Answer, Spent, alternate, median, touch_memory
from benchmarks.portal_api import PortalApi
from benchmarks.servers import Portal

PART = 8 * 2**20
BOUND = 1.4
#: The file that openssl reads, made by the uploads themselves.
OBJECTS = "storage/objects"


def measure(run):
    """Return the Answer."""
    answer, parts = Answer(), (16 if run.quick else 128)
    body = random.Random(1).randbytes(PART)  # noqa: S311 - bytes that do not compress, the same each time
    # In the call itself: by itself the worker takes a file of this size, which costs the same and is harder to time.
    with Portal(run.folder / "portal", env={"PORTAL_FINALIZE_INLINE_BYTES": str(2**40)}) as portal:
        openssl = shutil.which("openssl")
        contestants = {
            "out of order": lambda: finalize(portal, parts, body, connections=4, shuffled=True),
            "in order": lambda: finalize(portal, parts, body, connections=1, shuffled=False),
        }
        if openssl:
            file = store(portal, parts, body)
            contestants["openssl dgst"] = lambda: dgst(openssl, file)
        else:
            answer.skip("openssl: it is not installed")
        seen = alternate(contestants, run.rounds, before=lambda: touch_memory(parts * PART * 2))
    wall, cpu = ({name: median(seen[name][kind]) for name in seen} for kind in ("wall", "cpu"))
    ours = wall["out of order"], cpu["out of order"]
    if openssl:
        for kind, value, other in (("wall", ours[0], wall["openssl dgst"]), ("CPU", ours[1], cpu["openssl dgst"])):
            detail = f"{value:.2f} s against {other:.2f} s"
            answer.add(f"finalize, {kind}, parallel and out of order / openssl", value / other, BOUND, detail=detail)
    answer.add("finalize, wall, in order", wall["in order"], unit="s", detail=f"CPU {cpu['in order']:.2f} s")
    return answer


def finalize(portal, parts, body, *, connections, shuffled):
    """Upload one file, and return what its finalize took; CPU is the server's."""
    api = PortalApi(portal)
    session = api.open_session(parts * PART, chunk_size_bytes=PART)
    api.put_parts(session, range(1, parts + 1), body, connections=connections, shuffled=shuffled)
    with Spent(portal.pid) as spent:
        file = api.finalize(session)
    api.delete(f"/files/{file['id']}")
    return {"wall": spent.wall, "cpu": spent.cpu}


def store(portal, parts, body):
    """Upload one file and return the path of its object."""
    api = PortalApi(portal)
    session = api.open_session(parts * PART, chunk_size_bytes=PART)
    api.put_parts(session, range(1, parts + 1), body, connections=4)
    api.finalize(session)
    found = [path for path in (portal.data_dir / OBJECTS).rglob("*") if re.fullmatch("[0-9a-f]{32}", path.name)]
    return found[0]


def dgst(openssl, file):
    """Return what openssl takes for one file; CPU is that of the process."""
    before, began = os.times(), time.perf_counter()
    subprocess.run([openssl, "dgst", "-sha256", file], check=True, capture_output=True)
    wall, after = time.perf_counter() - began, os.times()
    children = [after.children_user - before.children_user, after.children_system - before.children_system]
    return {"wall": wall, "cpu": sum(children)}
