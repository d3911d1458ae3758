"""Question 13: `portal upload` of a real source tree of 10,000 files against `rclone copy`, and a second run over it.

The tree is of files that Python and its packages have installed, byte code left out. Each round uploads it to a new
batch, then once more to that one; and to a new bucket of rclone's own S3 server on the same disk, which syncs nothing.
"""

import os
import re
import resource
import shutil
import subprocess
import sys
import sysconfig
import time
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from benchmarks.measure import Answer, Spent, alternate, median, say
from benchmarks.peers import ROOT
from benchmarks.portal_api import PortalApi
from benchmarks.servers import Portal
from tests.s3 import CREDENTIALS, KEY, SECRET, S3Server

FILES, QUICK_FILES = 10_000, 1000
PARALLEL = 8
AGAIN_SECONDS, AGAIN_REQUESTS = 2, 20
RCLONE = Path(sysconfig.get_path("scripts")) / "rclone"
TRIED = """
Missed while other work had most of both cores, what was tried, and why. Names, members and lines of the manifest cost
the client one step each now instead of one a character, and digests that are remembered are compared at once: half
of its CPU. What is left, 1.2 to 1.7 s of CPU in all, a sixth of it the portal's, is one after the other: where half a
core is to be had it takes over two seconds.
"""


def measure(run):
    """Return the Answer."""
    os.environ.update(CREDENTIALS)
    answer, tree, numbers = Answer(), run.folder / "tree", count(1)
    files, size = copy_tree(tree, QUICK_FILES if run.quick else FILES)
    with ExitStack() as stack:
        portal = stack.enter_context(Portal(run.folder / "portal", run_worker=True))
        store = stack.enter_context(S3Server("rclone", run.folder / "store"))
        s3 = f":s3,provider=Other,endpoint='{store.endpoint}',access_key_id={KEY},secret_access_key={SECRET}:"
        contestants = {
            "portal": lambda: upload_twice(portal, tree, run.folder / "cache", next(numbers)),
            "rclone": lambda: copy(tree, s3 + store.new_bucket()),
        }
        seen = alternate(contestants, run.rounds, before=os.sync)
    ours = median(seen["portal"]["wall"])
    theirs = median(seen["rclone"]["wall"])
    tree = f"{files:,} files, {size / 2**20:.0f} MiB"
    detail = f"{ours:.1f} s against {theirs:.1f}; {tree}"
    answer.add("wall, portal upload / rclone copy", ours / theirs, 1, detail=detail)
    again, requests = median(seen["portal"]["again"]), max(seen["portal"]["requests"])
    cpu = {name: median(seen["portal"][f"{name} cpu"]) for name in ("client", "server")}
    detail = f"CPU {cpu['client']:.2f} s of the client, {cpu['server']:.2f} of the server"
    answer.add("second run over the unchanged folder", again, AGAIN_SECONDS, unit="s", detail=detail)
    answer.add("requests of the second run", requests, AGAIN_REQUESTS, unit="")
    return answer


def copy_tree(place, wanted):
    """Copy so many files of this Python's packages, then of its library; return how many there were, and bytes."""
    files = size = 0
    for name in ("purelib", "stdlib"):
        root = Path(sysconfig.get_path(name))
        for folder, folders, found in os.walk(root):
            folders[:] = sorted(each for each in folders if each not in ("__pycache__", "site-packages"))
            for file in sorted(Path(folder, each) for each in found):
                if files == wanted:
                    return files, size
                if file.is_symlink() or not file.is_file():
                    continue
                target = place / name / file.relative_to(root)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, target)
                files, size = files + 1, size + target.stat().st_size
    return files, size


def upload_twice(portal, tree, cache, number):
    """Upload the tree to a new batch, with nothing remembered, then again; return what both took."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env |= {"PORTAL_URL": portal.url, "PORTAL_TOKEN": portal.token, "XDG_CACHE_HOME": f"{cache}-{number}"}
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT / "client" / "src"), env.get("PYTHONPATH", "")])
    upload = [sys.executable, "-m", "portal_client", "upload", tree, "--batch", f"tree-{number}", "--quiet"]
    upload += ["--parallel", str(PARALLEL)]
    wall = _timed(upload, env)
    before, ours = count_requests(portal), _children_cpu()
    with Spent(portal.pid) as spent:
        again = _timed(upload, env)
    cpu = {"client cpu": _children_cpu() - ours, "server cpu": spent.cpu}
    return {"wall": wall, "again": again, **cpu, "requests": count_requests(portal) - before}


def copy(tree, remote):
    """Copy the tree by rclone."""
    how = ["--transfers", str(PARALLEL), "--checkers", str(PARALLEL), "--config", os.devnull]
    return {"wall": _timed([RCLONE, "copy", tree, remote, *how], os.environ)}


def count_requests(portal):
    """Return how many requests the portal has answered, but for those that ask it that."""
    text = PortalApi(portal).download("/metrics").decode()
    counted = re.findall(r"^portal_http_requests_total\{(.*)\} (\S+)$", text, re.MULTILINE)
    return sum(float(value) for labels, value in counted if "/metrics" not in labels)


def _children_cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _timed(command, env):
    began = time.perf_counter()
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        say(done.stderr[-2000:])
        done.check_returncode()
    return time.perf_counter() - began
