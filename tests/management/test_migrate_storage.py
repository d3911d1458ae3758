"""`manage.py migrate_storage`: moves, says what it moved, and refuses a place that the portal does not know."""

import io

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from portal.storage import get_storage
from tests.management.commands import run
from tests.samples import store_file


@pytest.fixture
def url(tmp_path, rclone, settings):
    """A bucket beside the folder."""
    settings.PORTAL_STORAGE_URL = f"file://{tmp_path}/storage"
    settings.PORTAL_STORAGE_OTHER_URL = rclone.storage_url()
    return settings.PORTAL_STORAGE_OTHER_URL


@pytest.fixture
def files(ann, url):
    return [store_file(ann, get_storage(), name) for name in (b"one", b"two", b"three")]


def refused(*arguments):
    """Return `(output, reason)` of a command that failed."""
    out = io.StringIO()
    with pytest.raises(CommandError) as error:
        call_command("migrate_storage", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue(), str(error.value)


def test_it_counts_and_moves_and_has_nothing_left(files, url):
    assert run("migrate_storage", "--to", url, "--dry-run") == "files=3 bytes=11\n"
    assert run("migrate_storage", "--to", url) == "moved=3 bytes=11 failed=0\n"
    assert run("migrate_storage", "--to", url, "--parallel", "1") == "moved=0 bytes=0 failed=0\n"


def test_what_cannot_be_moved_is_named_and_is_a_failure(files, url, tmp_path):
    (tmp_path / "storage" / "objects" / files[1].storage_key).write_bytes(b"owt")
    out, _ = refused("--to", url)
    assert out.splitlines()[0].startswith(f"file {files[1].pk}: sha256_differs: ")
    assert out.splitlines()[1] == "moved=2 bytes=8 failed=1"


@pytest.mark.parametrize(
    ("to", "reason"),
    [("ftp://x/y", "PORTAL_STORAGE_OTHER_URL"), ("file://{}/mistyped", "PORTAL_STORAGE_OTHER_URL")],
)
def test_a_place_that_the_portal_does_not_know_is_refused_and_not_made(files, url, to, reason, tmp_path):
    assert reason in refused("--to", to.format(tmp_path))[1]
    assert not (tmp_path / "mistyped").exists()


@pytest.mark.parametrize("number", ["0", "65"])
def test_a_number_of_copies_out_of_range_is_refused(files, url, number):
    assert "1 to 64" in refused("--to", url, "--parallel", number)[1]


def test_a_bucket_that_is_not_there_is_told(files, url, settings, rclone):
    settings.PORTAL_STORAGE_OTHER_URL = rclone.storage_url("no-such-bucket")
    assert "does not exist" in refused("--to", settings.PORTAL_STORAGE_OTHER_URL)[1]
