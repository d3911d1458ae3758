"""Which file system a folder is on, so that one which several hosts can share is refused at start."""

import re
from pathlib import Path

from portal.storage.base import StorageMisconfigured

MOUNTINFO = Path("/proc/self/mountinfo")

#: File systems that other hosts may have mounted too: a lock there ends at the host, if it is one at all.
NETWORK_TYPES = frozenset(
    """
    nfs nfs4 cifs smb smb2 smb3 smbfs ncpfs 9p afs auristorfs coda ceph lustre beegfs gpfs orangefs pvfs2
    gfs2 ocfs2 glusterfs davfs sshfs
    fuse.sshfs fuse.s3fs fuse.goofys fuse.geesefs fuse.rclone fuse.gcsfuse fuse.blobfuse fuse.blobfuse2
    fuse.mount-s3 fuse.mountpoint-s3 fuse.juicefs fuse.glusterfs fuse.ceph fuse.ceph-fuse fuse.davfs
    fuse.davfs2 fuse.curlftpfs fuse.seaweedfs fuse.moosefs fuse.mfs fuse.lizardfs fuse.smbnetfs fuse.nfs
    fuse.gvfsd-fuse
    """.split()
)


def read_mounts():
    """Return the mounts that this process sees; refuses to guess where it cannot."""
    try:
        text = MOUNTINFO.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise StorageMisconfigured(
            f"{MOUNTINFO} cannot be read, so it cannot be told whether the storage folder is on a local disk."
        ) from error
    return parse_mounts(text)


def parse_mounts(text):
    """Return the mount point and the type of each line of a mountinfo, as proc_pid_mountinfo(5) has it."""
    mounts = []
    # Not splitlines(): a folder may have a form feed in its name. The last line ends with a newline too.
    for line in text.rstrip("\n").split("\n"):
        # A varying number of optional fields stands before the dash.
        head, _, tail = line.partition(" - ")
        mounts.append((Path(_unescape(head.split(" ")[4])), tail.split(" ")[0]))
    return mounts


def find_mount(folder, mounts):
    """Return the mount point and type that `folder`, an absolute path without links, is on."""
    above = [(point, kind) for point, kind in mounts if folder.is_relative_to(point)]
    # Of mounts on one point, the last covers the others; reversed, because max() keeps the first of equals.
    return max(reversed(above), key=lambda mount: len(mount[0].parts), default=(Path("/"), "unknown"))


def refuse_network(folder, mounts):
    """Raise StorageMisconfigured if `folder` is on a network file system."""
    point, kind = find_mount(folder, mounts)
    if kind in NETWORK_TYPES or kind.startswith(("nfs", "smb")):
        raise StorageMisconfigured(
            f"{folder} is on a network file system ({kind}, mounted on {point}), where locks do not keep "
            "other hosts out. Use a folder on a disk of this machine, or S3 for storage that several "
            "machines share (PORTAL_STORAGE_URL=s3://…)."
        )


def _unescape(field):
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), field)
