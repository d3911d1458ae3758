"""`manage.py doctor`: what is stuck, what to do, and an exit status for whoever watches."""

import pytest
from django.core.management.base import CommandError

from portal.management.commands import doctor
from portal.models import UploadBatch
from portal.services.doctor import STATES
from portal.storage import StorageMisconfigured
from tests.management.commands import run
from tests.samples import make_batch
from tests.server import LiveServer, ServerFailed
from tests.services.situations import failing


def test_nothing_stuck_is_success(db):
    assert run("doctor") == f"states={len(STATES)} stuck=0\n"
    assert run("doctor", "--quick") == f"states={len(STATES) - 3} stuck=0\n"


def test_what_is_stuck_is_named_with_what_to_do_and_fails(ann, capsys):
    batch = make_batch(ann)
    UploadBatch.objects.filter(pk=batch.pk).update(total_files=1)
    lines = []
    command = doctor.Command()
    command.stdout.write = lines.append
    with pytest.raises(CommandError, match="what to do stands above") as error:
        command.handle(quick=False, verbosity=1)
    assert error.value.returncode == 1
    assert lines[0].startswith("drift: 1, ")
    assert lines[1] == f"  batch {batch.pk}: total_files is 1, the rows say 0"
    assert "reconcile_batches --fix" in lines[2]
    assert lines[-1] == f"states={len(STATES)} stuck=1"


def test_a_storage_that_cannot_be_used_is_one_line(db, monkeypatch):
    monkeypatch.setattr(doctor, "get_storage", failing(StorageMisconfigured("no such folder")))
    with pytest.raises(CommandError, match="no such folder"):
        run("doctor")


def test_the_exit_status_is_what_a_shell_sees(tmp_path, fresh_database):
    with fresh_database() as url:
        portal = LiveServer(tmp_path, database_url=url)
        portal.migrate()
        assert portal.manage("doctor").endswith("stuck=0\n")
        portal.env["PORTAL_MIN_FREE_BYTES"] = str(2**62)
        with pytest.raises(ServerFailed, match=r"manage\.py doctor --quick: 1"):
            portal.manage("doctor", "--quick")
