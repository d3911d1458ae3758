"""Question 3: Peak memory of a server process over its idle, during an upload of 4 GiB with 8 parallel parts.

Idle is after one request of each kind.
"""

import random
import threading
import time

from benchmarks.measure import Answer, median, memory_bytes, process_tree, reset_peak, say
from benchmarks.portal_api import PortalApi
from benchmarks.servers import Portal

PART = 8 * 2**20
CONNECTIONS = 8
BOUND_MIB = 48


def measure(run):
    """Return the Answer; each round is a portal of its own."""
    answer, parts = Answer(), (64 if run.quick else 512)
    body = random.Random(1).randbytes(PART)  # noqa: S311 - bytes that do not compress
    grown = []
    for number in range(1, run.rounds + 1):
        with Portal(run.folder / f"portal-{number}", run_worker=True) as portal:
            pids = {"server": max(process_tree(portal.pid), key=lambda pid: memory_bytes(pid, "VmRSS"))}
            pids["worker"] = portal.processes[1].pid
            grown.append(grow(PortalApi(portal), pids, parts, body))
        shown = ", ".join(f"{name} {size:.1f}" for name, size in grown[-1].items())
        say(f"    round {number}: MiB over idle: {shown}")
    size = f"{parts * PART / 2**30:g} GiB"
    detail = f"idle {median([each['idle'] for each in grown]):.0f} MiB"
    peak = max(each["server"] for each in grown)
    answer.add(f"peak of a server process over idle, {size}", peak, BOUND_MIB, unit="MiB", detail=detail)
    worker = max(each["worker"] for each in grown)
    answer.add("peak of the background worker over idle, finalizing it", worker, unit="MiB")
    return answer


def grow(api, pids, parts, body):
    """Return how many MiB each process grew over its idle by one large upload; `idle` is what the server had."""
    for _ in range(2):
        one_of_each(api, body)
    time.sleep(1)
    idle = {name: memory_bytes(pid, "VmRSS") for name, pid in pids.items()}
    for pid in pids.values():
        reset_peak(pid)
    session = api.open_session(parts * PART, chunk_size_bytes=PART)
    api.put_parts(session, range(1, parts + 1), body, connections=CONNECTIONS)
    api.finalize(session)
    grown = {name: (memory_bytes(pid, "VmHWM") - idle[name]) / 2**20 for name, pid in pids.items()}
    return grown | {"idle": idle["server"] / 2**20}


def one_of_each(api, body):
    """Make one request of each kind: what is imported or kept by it belongs to idle."""
    batch = api.make_batch()
    session = api.open_session(2 * PART, chunk_size_bytes=PART, batch_id=batch["id"])
    target = f"/uploads/sessions/{session['session_id']}"
    api.put_parts(session, [1, 2], body, connections=2)
    file = api.finalize(session)
    aborted = api.open_session(PART)
    reads = [f"/batches/{batch['id']}", f"/batches/{batch['id']}/files", "/batches", "/files", "/limits", "/healthz"]
    for path in [*reads, "/readyz", f"/files/{file['id']}", target, f"{target}/parts", "/uploads/sessions"]:
        api.get(path)
    api.download(f"/files/{file['id']}/content")
    api.delete(f"/uploads/sessions/{aborted['session_id']}")
    # Several at once: each thread of the pools is started, and has its connection.
    threads = [threading.Thread(target=api.get, args=("/batches",)) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
