"""Descriptors that are locked, synced and closed with care; every OSError of the disk is translated here."""

import contextlib
import errno
import io
import os
import struct
import threading
import weakref

from portal.storage.base import NoSpace, StorageMisconfigured, StorageUnavailable

try:
    import fcntl
except ImportError:  # Windows: refused at start, with a sentence
    fcntl = None  # type: ignore[assignment]

#: struct flock as 64-bit Linux has it: type, whence, start, length, process id (0 for locks of this kind).
FLOCK = "hhqqi4x"

FULL = (errno.ENOSPC, errno.EDQUOT)
#: No such file; as many names as one may have (65,000 on ext4); a file system without hard links.
UNLINKABLE = (errno.ENOENT, errno.EMLINK, errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP)
PASSED_ON = (FileNotFoundError, FileExistsError, StorageUnavailable)

_locked_files: "weakref.WeakSet[LockedFile]" = weakref.WeakSet()
#: Held while a descriptor is opened and noted, and over a fork: none slips into a child unseen.
_opening = threading.Lock()


class translated:
    """Turn the disk's errors into NoSpace or StorageUnavailable; FileNotFoundError, FileExistsError pass.

    A class, since a generator of contextlib costs three times as much, and a small file needs several.
    """

    __slots__ = ("_doing",)

    def __init__(self, doing):
        self._doing = doing

    def __enter__(self):
        pass

    def __exit__(self, _, error, __):
        if isinstance(error, OSError) and not isinstance(error, PASSED_ON):
            kind = NoSpace if error.errno in FULL else StorageUnavailable
            raise kind(f"Could not {self._doing}: {error}.") from error


def refuse_without_locks():
    """Raise StorageMisconfigured on a platform without locks that belong to an open file."""
    if not hasattr(fcntl, "F_OFD_SETLK") or struct.calcsize(FLOCK) != 32:
        raise StorageMisconfigured(
            "This platform has no open-file-description locks (F_OFD_SETLK), so a local storage folder is "
            "not safe here. Run the portal on 64-bit Linux, or keep its bytes in S3 (PORTAL_STORAGE_URL=s3://…)."
        )


def open_file(path, flags):
    """Open one regular file for this process alone; never follows a link in its place."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        # FileIO forgets its number before it closes it, so two closes never hit somebody else's descriptor.
        return io.FileIO(descriptor, "r" if flags & os.O_ACCMODE == os.O_RDONLY else "r+")
    except OSError as error:
        os.close(descriptor)
        error.filename = str(path)  # else it would name the number
        raise


def sync_folder(folder):
    """Make the names in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def link_file(source, path):
    """Give a file a second name; False when it is gone, or its file system, or the file itself, takes no more names."""
    try:
        os.link(source, path, follow_symlinks=False)
    except OSError as error:
        if error.errno not in UNLINKABLE:
            raise
        return False
    return True


class LockedFile:
    """A writable descriptor of its own, with a lock that lives as long as it does.

    The lock belongs to the open file, not to the process (fcntl(2), "Open file description locks"): threads
    exclude each other, closing another descriptor of the same file takes nothing away, and the kernel gives
    it up when the process dies. It is never unlocked, only closed: nothing is open that has lost its lock.
    """

    def __init__(self, path):
        with _opening:
            self._file = open_file(path, os.O_RDWR)
            _locked_files.add(self)
        self._sync_failed = False

    def fileno(self):
        """Return the descriptor; ValueError once it is closed."""
        return self._file.fileno()

    def try_lock(self, start, length):
        """Take the exclusive lock on `length` bytes from `start`, or return False; length 0 is to the end."""
        wanted = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
        try:
            fcntl.fcntl(self.fileno(), fcntl.F_OFD_SETLK, wanted)
        except (BlockingIOError, PermissionError):  # EAGAIN or EACCES: POSIX allows both
            return False
        return True

    def sync(self, system_call):
        """Call os.fsync or os.fdatasync, never again after it failed.

        The kernel tells of an error once and takes the pages for clean from then on: a later success means
        nothing.
        """
        if self._sync_failed:
            raise StorageUnavailable("An earlier sync of these bytes failed.")
        self._sync_failed = True
        system_call(self.fileno())
        self._sync_failed = False

    def is_at(self, path):
        """Whether `path` names this very file."""
        try:
            return os.path.samestat(path.lstat(), os.fstat(self.fileno()))
        except FileNotFoundError:
            return False

    def close(self):
        """Close the descriptor, which gives up the lock; safe to call twice."""
        # What was synced is safe whatever close says, and nothing else is relied on.
        with contextlib.suppress(OSError):
            self._file.close()


def _close_in_child():
    # A child shares the open file and would keep the lock alive; closing it here leaves the parent's be.
    for file in tuple(_locked_files):
        file.close()
    _opening.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_opening.acquire, after_in_parent=_opening.release, after_in_child=_close_in_child)
