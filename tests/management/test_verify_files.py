"""`manage.py verify_files`: says what is wrong, exits accordingly, and goes on where it was stopped."""

import io
import json

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from portal.management.commands import verify_files
from portal.storage import get_storage
from tests.management.commands import run
from tests.samples import CHUNK, open_session, send_part, store_file


@pytest.fixture
def files(ann):
    """Three files on the disk."""
    return [store_file(ann, get_storage(), name) for name in (b"one", b"two", b"three")]


@pytest.fixture
def place():
    """The file that keeps how far a run came."""
    place = settings.PORTAL_DATA_DIR / verify_files.PLACE
    place.unlink(missing_ok=True)
    yield place
    place.unlink(missing_ok=True)


def damage(file):
    """Change one byte of a stored file, as an ill disk would."""
    path = settings.PORTAL_DATA_DIR / "storage" / "objects" / file.storage_key
    path.write_bytes(b"X" + path.read_bytes()[1:])


def run_in_vain(*arguments):
    """Return what a command printed that ended with status 1."""
    out = io.StringIO()
    with pytest.raises(CommandError) as error:
        call_command(*arguments, stdout=out, stderr=io.StringIO())
    assert error.value.returncode == 1
    return out.getvalue()


def test_files_that_are_right_are_a_success(files, place):
    assert run("verify_files") == "files=3 bytes=11 found=0\n"
    assert not place.exists()


def test_a_damaged_file_is_named_and_is_a_failure(files, place):
    damage(files[1])
    assert run_in_vain("verify_files").splitlines()[0].startswith(f"file {files[1].pk}: sha256_differs: ")
    assert run("verify_files", "--quick") == "files=3 bytes=11 found=0\n"


def test_a_run_that_is_stopped_goes_on_behind_the_last_file(files, place, monkeypatch):
    damage(files[0])
    whole = verify_files.verify_stored

    def stopped_after_two(**options):
        for number, row in enumerate(whole(**options)):
            if number == 2:
                raise KeyboardInterrupt
            yield row

    with monkeypatch.context() as patch:
        patch.setattr(verify_files, "verify_stored", stopped_after_two)
        with pytest.raises(CommandError, match="--resume") as error:
            run("verify_files")
    assert error.value.returncode == 130
    assert json.loads(place.read_text()) == {"after": str(files[1].pk), "files": 2, "bytes": 6, "found": 1}
    assert run_in_vain("verify_files", "--resume") == "files=3 bytes=11 found=1\n"
    with pytest.raises(CommandError, match="nothing to go on with"):
        run("verify_files", "--resume")


def test_only_what_was_stored_since_then_is_read(files, place):
    assert run("verify_files", "--since", "2020-01-01") == "files=3 bytes=11 found=0\n"
    assert run("verify_files", "--since", "2120-01-01T00:00Z") == "files=0 bytes=0 found=0\n"


@pytest.mark.parametrize(
    "arguments", [("--since", "soon"), ("--sample", "0"), ("--sample", "101"), ("--sample", "x"), ("--sample", "nan")]
)
def test_what_cannot_be_meant_is_refused(db, arguments):
    with pytest.raises(CommandError, match=arguments[0]):
        run("verify_files", *arguments)


def test_after_a_restore_lost_parts_and_unnamed_bytes_are_told_too(ann, files, place):
    session = open_session(ann, get_storage(), size=2 * CHUNK)
    send_part(ann, get_storage(), session, 1, b"x" * CHUNK)
    get_storage().remove_staging(session.staging_key)
    assert run("verify_files") == "files=3 bytes=11 found=0\n"
    lines = run_in_vain("verify_files", "--after-restore").splitlines()
    assert f"session {session.pk}: missing: its staging file is gone" in lines
