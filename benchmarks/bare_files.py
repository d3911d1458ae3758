"""What many durable files cost by themselves: hashed, written, synced; no HTTP, no records, no answers.

python -m benchmarks.bare_files FOLDER FILES BYTES [each|sent|whole]

Prints the CPU and wall seconds. Files are written in groups of as many as members of a tar are stored together. A group
is made durable by a sync of each and of their folder (`each`), by the same after all were sent to the disk (`sent`), as
the portal does it, or by one sync of the whole file system (`whole`), which waits for the bytes of everybody else too.
"""

import ctypes
import hashlib
import os
import sys
import time
from pathlib import Path

import orjson

GROUP = 128


def main(folder, files, size, how="sent"):
    """Write `files` files of `size` bytes into new folders of `folder`."""
    data, place = os.urandom(size), Path(folder)
    before, began = os.times(), time.perf_counter()
    for first in range(0, files, GROUP):
        group = place / str(first)
        group.mkdir()
        opened = [_write(group / str(n), data) for n in range(first, min(first + GROUP, files))]
        opened.append(os.open(group, os.O_RDONLY | os.O_CLOEXEC))
        SYNCS[how](opened)
        for descriptor in opened:
            os.close(descriptor)
    after = os.times()
    cpu = after.user + after.system - before.user - before.system
    sys.stdout.buffer.write(orjson.dumps({"cpu": cpu, "wall": time.perf_counter() - began}))


def _write(path, data):
    hashlib.sha256(data).hexdigest()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.write(descriptor, data)
    return descriptor


def _sync_each(descriptors):
    for descriptor in descriptors:
        os.fsync(descriptor)


def _sync_sent(descriptors):
    for descriptor in descriptors:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    _sync_each(descriptors)


def _sync_whole(descriptors):
    if ctypes.CDLL(None, use_errno=True).syncfs(descriptors[0]):
        raise OSError(ctypes.get_errno(), "syncfs")


SYNCS = {"each": _sync_each, "sent": _sync_sent, "whole": _sync_whole}

if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:4]), *sys.argv[4:])
