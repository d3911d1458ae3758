"""What many durable files cost by themselves: hashed, written, synced; no HTTP, no records, no answers.

python -m benchmarks.bare_files FOLDER FILES BYTES

Prints the CPU and wall seconds. Files are written in groups, as the portal writes the members of a tar: all of a group,
then a sync of each, then one of their folder.
"""

import hashlib
import os
import sys
import time
from pathlib import Path

import orjson

GROUP = 128


def main(folder, files, size):
    """Write `files` files of `size` bytes into new folders of `folder`."""
    data, place = os.urandom(size), Path(folder)
    before, began = os.times(), time.perf_counter()
    for first in range(0, files, GROUP):
        group = place / str(first)
        group.mkdir()
        opened = [_write(group / str(n), data) for n in range(first, min(first + GROUP, files))]
        opened.append(os.open(group, os.O_RDONLY | os.O_CLOEXEC))
        for descriptor in opened:
            os.fsync(descriptor)
            os.close(descriptor)
    after = os.times()
    cpu = after.user + after.system - before.user - before.system
    sys.stdout.buffer.write(orjson.dumps({"cpu": cpu, "wall": time.perf_counter() - began}))


def _write(path, data):
    hashlib.sha256(data).hexdigest()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.write(descriptor, data)
    return descriptor


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
