"""The manifest that the client reckons is that of the portal and of coreutils."""

import subprocess

import pytest

from portal.services.receipts import manifest_line
from portal_client import Corrupt
from portal_client.manifests import read_manifest, write_manifest

NAMES = ["a", "ü", "Z", "a b", " ", "-n", "back\\slash", "new\nline", "both\\n\n\r", "\U0001f600", "\uffff"]
DIGESTS = {name: f"{number:064x}" for number, name in enumerate(NAMES)}


def test_lines_are_those_of_the_portal_bytewise_sorted():
    expected = [manifest_line(name, DIGESTS[name]) for name in sorted(NAMES, key=str.encode)]
    assert list(write_manifest(DIGESTS)) == expected


def test_what_was_written_is_read_back():
    assert read_manifest(b"".join(write_manifest(DIGESTS))) == DIGESTS
    assert read_manifest(b"") == {}


def test_lines_of_sha256sum_are_read(need, tmp_path):
    names = [name for name in NAMES if name != "\uffff"]
    for name in names:
        (tmp_path / name).write_text(name)
    done = subprocess.run([need("sha256sum"), "--", *names], cwd=tmp_path, capture_output=True, check=True)
    assert set(read_manifest(done.stdout)) == set(names)


@pytest.mark.parametrize("line", [b"\n", b"abc  name\n", b"0" * 64 + b" name\n", b"0" * 64 + b"  \n"])
def test_what_is_no_manifest_is_corrupt(line):
    with pytest.raises(Corrupt):
        read_manifest(line)
