"""File systems of the tests' own, on loop devices: their power can be cut, they can be full or read-only.

A cut is the ioctl FS_IOC_SHUTDOWN without a flush of the log (Linux: `include/uapi/linux/fs.h`, ext4's and XFS's
`_IOR('X', 125, __u32)`): what the file system had not handed to its device is gone, and nothing more reaches it. What
it cannot show is a device that loses what it was handed and not told to flush.
"""

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2
#: XFS makes no file system below 300 MiB; the image is sparse.
MEGABYTES = 512
MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
}
PACKAGES = {"ext4": "e2fsprogs", "xfs": "xfsprogs"}
UNMOUNT_SECONDS = 20


class NoDisk(Exception):
    """This machine lets us mount nothing of this kind; the text says why."""


class LoopDisk:
    """One file system in an image below `folder`, mounted at `path`; a context manager that leaves nothing mounted."""

    def __init__(self, folder, name="disk", *, filesystem="ext4", megabytes=MEGABYTES):
        self.image, self.path = Path(folder) / f"{name}.img", Path(folder) / name
        self.filesystem, self.megabytes = filesystem, megabytes

    def __enter__(self):
        if os.geteuid() != 0:
            raise NoDisk("only root may mount")
        tool = MAKE[self.filesystem]
        if shutil.which(tool[0]) is None:
            raise NoDisk(f"needs {tool[0]} (Debian: {PACKAGES[self.filesystem]})")
        self.path.mkdir(parents=True)
        with self.image.open("wb") as file:
            file.truncate(self.megabytes * 2**20)
        _run(*tool, self.image)
        # One device for good: what `mount -o loop` attaches may still be attached when the next mount comes.
        self.device = _run("losetup", "--find", "--show", self.image)
        self.mount()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(NoDisk):
            self.unmount()
        # Whoever still holds it keeps it until he ends; nobody finds it any more.
        subprocess.run(["umount", "-l", self.path], capture_output=True)
        if self.image:
            subprocess.run(["losetup", "--detach", self.device], capture_output=True)
            self.image.unlink()

    def mount(self):
        """Mount it, which plays its log back; raises NoDisk."""
        _run("mount", "-t", self.filesystem, self.device, self.path)

    def unmount(self):
        """Unmount it; waits for those who just let go of it, and raises NoDisk when somebody does not."""
        deadline = time.monotonic() + UNMOUNT_SECONDS
        while self._is_mounted():
            try:
                _run("umount", self.path)
            except NoDisk:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def _is_mounted(self):
        # To look at the path would fail after a cut.
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
        return str(self.path) in (line.split()[1] for line in lines)

    def read_only(self, yes=True):
        """Take the right to write from everybody, or give it back; raises CalledProcessError where a file is in use."""
        subprocess.run(["mount", "-o", f"remount,{'ro' if yes else 'rw'}", self.path], check=True)

    def cut_power(self):
        """Let all be lost that is not on the device; from now on every call to this file system fails."""
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(folder, SHUTDOWN, struct.pack("=I", NO_LOG_FLUSH))
        finally:
            os.close(folder)


class MemoryDisk(LoopDisk):
    """A file system in memory (tmpfs), of which so much fits."""

    def __enter__(self):
        if os.geteuid() != 0:
            raise NoDisk("only root may mount")
        self.path.mkdir(parents=True)
        self.device, self.image = "tmpfs", None
        _run("mount", "-t", "tmpfs", "-o", f"size={self.megabytes}m", "tmpfs", self.path)
        return self


@contextlib.contextmanager
def ballast(disk, *, leave=0):
    """Fill the disk with a file until less than `leave` bytes are free; gives its path, gone at the end."""
    path = disk.path / "ballast"
    free = os.statvfs(disk.path)
    with path.open("wb") as file:
        with contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, max(free.f_bavail * free.f_frsize - leave, 1))
        # What is still free goes block by block.
        with contextlib.suppress(OSError):
            while not leave:
                os.pwrite(file.fileno(), bytes(4096), file.seek(0, os.SEEK_END))
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def prove_cuts(disk):
    """Raise AssertionError unless a cut takes what was not synced, and leaves what was: else a cut proves nothing."""
    kept, lost = disk.path / "kept", disk.path / "lost"
    kept.write_bytes(b"synced")
    os.sync()
    lost.write_bytes(b"not synced")
    disk.cut_power()
    disk.unmount()
    disk.mount()
    assert kept.read_bytes() == b"synced", "a cut takes what was synced"
    assert not lost.exists() or lost.read_bytes() != b"not synced", "a cut leaves what nobody synced"
    kept.unlink()
    lost.unlink(missing_ok=True)


def _run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise NoDisk(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout.strip()
