"""Question 12: CPU of the server for many files of 16 KiB by tar, by single PUTs, by sessions, against three others.

Every contestant stores the same bytes as files of the same names; each round of the portal has a batch of its own.
Memory is that of a tar of many small members, over what a server holds that has served one request of each kind.
"""

import io
import os
import random
import subprocess
import sys
import tarfile
import time
from contextlib import ExitStack
from functools import partial
from itertools import count

import orjson

from benchmarks.client import Refused, ask, run_all
from benchmarks.measure import Answer, Spent, alternate, median, memory_bytes, process_tree, reset_peak
from benchmarks.memory import one_of_each
from benchmarks.peers import ROOT, Missing, find_curl
from benchmarks.portal_api import PortalApi
from benchmarks.servers import Nginx, Portal, Tus
from benchmarks.uploads import versions

SIZE = 16 * 2**10
CONNECTIONS = 8
WAYS = {"tar": 0.15, "PUT": 0.75, "sessions": None}
BARE = "bare files"
OTHERS = {
    "@tus/server": "creation-with-upload; no hash, no sync",
    "nginx": "DAV PUT; no hash, no sync",
    BARE: "hashed and synced in groups of 128; no HTTP, no records",
}
MEMBERS, MEMBER_BYTES, MEMORY_MIB = 100_000, 1024, 48
LINES = ("Content-Type: application/x-tar", "Accept: application/x-ndjson", "Expect:")
TRIED = """
Missed, what was tried, and why. A script that hashes these files, writes them and syncs 128 together as the portal
does takes 0.08 times the CPU of @tus/server, which neither hashes nor syncs. Of what a tar takes, 0.38 is Python, and
the rest is the kernel, SQLite, the C library and SHA-256 (`perf record`, by what the samples lie in): that alone is
0.14 times @tus/server, so the goal leaves 0.01 to Python, which takes 0.08. What a member costs in Python went down by
a fifth, since values that many rows share are made for the database once and events are inserted without a model, by a
quarter more, since rows are made by their columns and plain headers read by one pattern. A PUT was 5.2 times
@tus/server, 2.33 when files that come at once were stored together, 1.9 when looking at the headers became a part of
the same step, 1.6 when those in a step were looked up together and 256 files in a row lay in one folder, 1.0 when a
step waited for clients that were answered a moment ago, 0.87 when the event loop and the step did less for each, and
is 0.66 now with a Python that is built with profile-guided optimisation, as those of distributions are; with one that
is not, as pyenv builds it, 0.79. A file by a session is three requests and three transactions. A file for each member
is not what stands in the way: with all members appended to one file and synced once a group, which keeps no promise
and was only tried, a tar took 0.18, and 0.23 with their own files right after it (three rounds each on a Xeon).
"""


def measure(run):
    """Return the Answer."""
    answer, files = Answer(), run.files or (200 if run.quick else 2000)
    randbytes, numbers = random.Random(1).randbytes, count(1)  # noqa: S311 - bytes that do not compress
    bodies = {f"folder-{n // 100}/file-{n}.bin": randbytes(SIZE) for n in range(files)}
    with ExitStack() as stack:
        portal = stack.enter_context(Portal(run.folder / "portal"))
        contestants = {"PUT": partial(put_files, portal, bodies), "sessions": partial(send_sessions, portal, bodies)}
        try:
            archive = write_tar(run.folder / "files.tar", bodies.items())
            contestants["tar"] = partial(send_tar, portal, find_curl(), archive, files)
        except Missing as error:
            answer.skip(str(error))
        for kind, send in ((Tus, send_to_tus), (Nginx, put_to_nginx)):
            try:
                server = stack.enter_context(kind(run.folder / kind.__name__))
            except Missing as error:
                answer.skip(str(error))
            else:
                contestants[kind.name] = lambda send=send, server=server: send(server, bodies, next(numbers))
        contestants[BARE] = lambda: write_bare(run.folder / f"bare-{next(numbers)}", files)
        seen = alternate(contestants, run.rounds, before=os.sync)
    _compare(answer, seen, files)
    answer.notes.append(f"The others: {', '.join(filter(None, versions()))}.")
    rates = ", ".join(f"{name} {files / median(each['wall']):.0f}" for name, each in seen.items())
    answer.notes.append(f"Files a second, {CONNECTIONS} connections (tar: one), client on the same cores: {rates}.")
    if "tar" in contestants:
        _weigh(answer, run)
    return answer


def _compare(answer, seen, files):
    spent = {name: median(each["cpu"]) * 1000 / files for name, each in seen.items()}
    for other, how in OTHERS.items():
        for way, bound in WAYS.items():
            if way in spent and other in spent:
                detail = f"{spent[way]:.2f} s for 1,000 files against {spent[other]:.2f} ({how})"
                bound = bound if other == Tus.name else None
                answer.add(f"CPU, {way} / {other}", spent[way] / spent[other], bound, detail=detail)
    if Tus.name in spent:
        detail = f"{spent[BARE]:.2f} s for 1,000 files against {spent[Tus.name]:.2f}"
        answer.add(f"CPU, {BARE} / {Tus.name}", spent[BARE] / spent[Tus.name], detail=detail)


def _weigh(answer, run):
    """The peak of the server over its idle while a tar of many members comes in."""
    members = MEMBERS // 10 if run.quick else MEMBERS
    randbytes = random.Random(2).randbytes  # noqa: S311 - as above
    files = ((f"{n // 1000}/{n}", randbytes(MEMBER_BYTES)) for n in range(members))
    archive = write_tar(run.folder / "members.tar", files)
    few = write_tar(run.folder / "few.tar", [(str(n), randbytes(MEMBER_BYTES)) for n in range(200)])
    with Portal(run.folder / "memory") as portal:
        pid = max(process_tree(portal.pid), key=lambda pid: memory_bytes(pid, "VmRSS"))
        for _ in range(2):
            one_of_each(PortalApi(portal), randbytes(8 * 2**20))
            send_tar(portal, find_curl(), few, 200)
        time.sleep(1)
        idle = memory_bytes(pid, "VmRSS")
        reset_peak(pid)
        spent = send_tar(portal, find_curl(), archive, members)
        grown = (memory_bytes(pid, "VmHWM") - idle) / 2**20
    what = f"peak of the server over idle, a tar of {members:,} members of {MEMBER_BYTES // 1024} KiB"
    detail = f"idle {idle / 2**20:.0f} MiB; {members / spent['wall']:.0f} members a second"
    answer.add(what, grown, MEMORY_MIB, unit="MiB", detail=detail)


def write_tar(place, files):
    """Write an archive of `files`, pairs of path and bytes, and return its place."""
    with tarfile.open(place, "w") as archive:
        for path, body in files:
            member = tarfile.TarInfo(path)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return place


def send_tar(portal, curl, archive, members):
    """Send an archive to a new batch by curl; raises Refused unless all of its members are stored."""
    url = f"{portal.url}/batches/{PortalApi(portal).make_batch()['id']}/files"
    lines = [f"-H{line}" for line in (*LINES, f"Authorization: Bearer {portal.token}")]
    told = archive.with_suffix(".ndjson")
    with Spent(portal.pid) as spent:
        subprocess.run([curl, "-sSf", "-XPOST", "-T", archive, *lines, "-o", told, url], check=True)
    with told.open("rb") as results:
        stored = sum(orjson.loads(line)["status"] == "STORED" for line in results)
    if stored != members:
        raise Refused(f"{stored} of {members} members are stored")
    return {"cpu": spent.cpu, "wall": spent.wall}


def put_files(portal, bodies):
    """PUT each file into a new batch."""
    target = f"/batches/{PortalApi(portal).make_batch()['id']}/files/"
    jobs = [partial(ask, method="PUT", target=target + path, body=body) for path, body in bodies.items()]
    return _spend(portal, jobs, token=portal.token)


def send_sessions(portal, bodies):
    """Open a session of a new batch for each file, send its one part, finalize."""
    batch, kind = PortalApi(portal).make_batch()["id"], "Content-Type: application/json"

    def upload(client, path, body):
        fields = {"original_filename": path, "path": path, "total_size_bytes": len(body), "batch_id": batch}
        opened = ask(client, "POST", "/uploads/sessions", kind, body=orjson.dumps(fields))
        target = f"/uploads/sessions/{orjson.loads(opened.body)['session_id']}"
        ask(client, "PUT", f"{target}/parts/1", body=body)
        ask(client, "POST", f"{target}/finalize", expected=(200,))

    return _spend(portal, [partial(upload, path=path, body=body) for path, body in bodies.items()], token=portal.token)


def send_to_tus(server, bodies, _round):
    """Make an upload of each file with its bytes in the same request, which names it itself."""
    lines = ["Tus-Resumable: 1.0.0", "Content-Type: application/offset+octet-stream", f"Upload-Length: {SIZE}"]
    jobs = [
        lambda c, body=body: ask(c, "POST", "/files", *lines, body=body, expected=(201,)) for body in bodies.values()
    ]
    return _spend(server, jobs)


def put_to_nginx(server, bodies, number):
    """PUT each file into a folder of this round."""
    for folder in {path.partition("/")[0] for path in bodies}:
        (server.data / str(number) / folder).mkdir(parents=True, exist_ok=True)
    jobs = [partial(ask, method="PUT", target=f"/{number}/{path}", body=body) for path, body in bodies.items()]
    return _spend(server, jobs)


def write_bare(folder, files):
    """Write as many files as the others store, durable and hashed, by a script that does nothing else."""
    folder.mkdir()
    command = [sys.executable, "-m", "benchmarks.bare_files", str(folder), str(files), str(SIZE)]
    return orjson.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)


def _spend(server, jobs, **options):
    with Spent(server.pid) as spent:
        run_all(server.url, jobs, connections=CONNECTIONS, **options)
    return {"cpu": spent.cpu, "wall": spent.wall}
