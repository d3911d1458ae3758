from pathlib import Path

import pytest

from portal.storage import folders, mounts
from portal.storage.base import StorageMisconfigured
from portal.storage.local import LocalStorage
from portal.storage.mounts import find_mount, parse_mounts, refuse_network

TABLE = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /srv/share rw,relatime shared:7 master:2 - nfs4 10.0.0.1:/export rw,vers=4.2
31 22 0:41 / /srv/with\\040space rw - cifs //host/share rw
32 30 8:1 / /srv/share/local\\134disk rw,relatime propagate_from:2 - xfs /dev/sdb1 rw
33 22 0:42 / /home rw - ext4 /dev/vdb rw
34 33 0:43 / /home rw - fuse.sshfs ann@host: rw
35 22 0:44 / /mnt/form\x0cfeed rw - 9p host rw
"""


def kind_of(path):
    return find_mount(Path(path), parse_mounts(TABLE))[1]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/var/lib/portal", "ext4"),
        ("/srv", "ext4"),
        ("/srv/share", "nfs4"),
        ("/srv/share/a/b", "nfs4"),
        ("/srv/shared", "ext4"),
        ("/srv/with space/a", "cifs"),
        ("/srv/share/local\\disk/a", "xfs"),
        ("/mnt/form\x0cfeed/a", "9p"),
    ],
)
def test_a_folder_is_on_the_longest_mount_point_above_it(path, kind):
    assert kind_of(path) == kind


def test_the_last_mount_on_a_point_covers_the_others():
    assert kind_of("/home/ann") == "fuse.sshfs"


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "lustre"])
def test_a_network_file_system_is_refused_with_the_way_out(kind):
    table = parse_mounts(f"30 22 0:40 / /srv rw - {kind} host:/export rw\n")
    with pytest.raises(StorageMisconfigured, match=rf"\({kind}, mounted on /srv\).*S3"):
        refuse_network(Path("/srv/portal"), table)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuse.fuse-overlayfs"])
def test_a_local_file_system_is_fine(kind):
    refuse_network(Path("/srv/portal"), parse_mounts(f"30 22 0:40 / /srv rw - {kind} /dev/sdb rw\n"))


def table_for(monkeypatch, *lines):
    monkeypatch.setattr(folders, "read_mounts", lambda: parse_mounts("\n".join(lines)))


def test_nothing_is_made_on_a_network_file_system(tmp_path, monkeypatch):
    table_for(monkeypatch, f"30 22 0:40 / {tmp_path} rw - nfs4 host:/export rw")
    with pytest.raises(StorageMisconfigured):
        LocalStorage(tmp_path / "storage")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "says"), [("nfs4", "network"), ("xfs", "one file system and in one mount")])
def test_a_mount_below_the_root_is_refused(tmp_path, monkeypatch, kind, says):
    local, inner = "22 1 254:0 / / rw - ext4 /dev/vda rw", f"{tmp_path}/storage/objects"
    table_for(monkeypatch, local, f"30 22 0:40 / {inner} rw - {kind} source rw")
    with pytest.raises(StorageMisconfigured, match=says):
        LocalStorage(tmp_path / "storage")


def test_without_a_mount_table_nothing_is_guessed(tmp_path, monkeypatch):
    monkeypatch.setattr(mounts, "MOUNTINFO", tmp_path / "missing")
    with pytest.raises(StorageMisconfigured, match="cannot be read"):
        LocalStorage(tmp_path / "storage")


def test_the_table_of_this_machine_can_be_read():
    assert find_mount(Path("/proc/self"), mounts.read_mounts())[1] == "proc"
