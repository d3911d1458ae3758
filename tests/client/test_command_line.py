"""The command `portal`: what it prints, how it ends, what it keeps."""

import errno
import json
import secrets
import stat
import uuid
from pathlib import Path

import pytest

from portal_client.cli.app import Exit
from portal_client.cli.config import config_file, read_config
from tests.api import expect
from tests.client.commands import run
from tests.client.test_upload_folder import make_unreadable
from tests.client.trees import digests, make_tree, some_files, stored_files
from tests.samples import pattern

MIB = 2**20


@pytest.fixture
def name():
    return f"batch {secrets.token_hex(4)}"


@pytest.fixture
def folder(tmp_path):
    return make_tree(tmp_path / "folder", some_files(8) | {"large.bin": pattern(9 * MIB)})


def test_a_folder_goes_up_is_verified_and_comes_back(portal, folder, name, ann_api, tmp_path):
    done = portal("upload", folder, "--batch", name)
    assert done.exit_code == Exit.DONE
    assert "9 of 9 files are stored: 9 by this run, 0 before" in done.stdout
    assert "Sealed and complete" in done.stdout
    done = portal("verify", name, folder)
    assert (done.exit_code, done.stdout) == (Exit.DONE, "")
    assert "All 9 files are as the receipt says." in done.stderr
    done = portal("download", name, "--into", tmp_path / "copy")
    assert "9 of 9 files fetched" in done.stdout
    assert portal("verify", name, tmp_path / "copy").exit_code == Exit.DONE
    assert "9 were there" in portal("download", name, "--into", tmp_path / "copy").stdout


def test_a_download_tells_what_is_not_stored_yet(portal, folder, name, ann_api, client, tmp_path):
    portal("upload", folder, "--batch", name, "--keep-open")
    ann_api.open_session(5, batch_id=client.find_batch(name).id, path="on its way")
    done = portal("download", name, "--into", tmp_path / "copy")
    assert (done.exit_code, "9 of 9 files fetched" in done.stdout) == (Exit.PARTIAL, True)
    assert "1 files of the batch are not stored: 1 pending, 0 failed." in done.stderr
    done = portal("download", name, "--into", tmp_path / "copy", "--json")
    members = json.loads(done.stdout)
    assert (done.exit_code, members["pending"], members["failed"]) == (Exit.PARTIAL, 1, 0)
    assert (members["already"], members["complete"]) == (9, False)


def test_a_folder_that_cannot_be_made_is_told_in_one_line(portal, folder, name, tmp_path, monkeypatch):
    portal("upload", folder, "--batch", name)

    def locked(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    done = portal("download", name, "--into", folder / "large.bin")
    expected = f"No folder can be made at {folder / 'large.bin'}: File exists.\n"
    assert (done.exit_code, done.stdout, done.stderr) == (Exit.FAILED, "", expected)
    monkeypatch.setattr(Path, "mkdir", locked)
    done = portal("download", name, "--into", tmp_path / "locked/below")
    expected = f"No folder can be made at {tmp_path / 'locked/below'}: Permission denied.\n"
    assert (done.exit_code, done.stdout, done.stderr) == (Exit.FAILED, "", expected)


def test_what_the_portal_knows_is_said_apart(portal, folder, name, monkeypatch):
    monkeypatch.setattr("portal_client.digests.RACY_SECONDS", -60)
    portal("upload", folder, "--batch", name)
    done = portal("upload", folder, "--batch", f"{name} again")
    assert "9 by this run (9 of them known to the portal and not sent), 0 before; 0 bytes sent" in done.stdout
    assert "Asking the portal which of 9 files it knows." in done.stderr


def test_json_is_all_that_stands_on_stdout(portal, folder, name):
    members = json.loads(portal("upload", folder, "-b", name, "--json").stdout)
    assert (members["complete"], members["stored"], members["already"], members["failures"]) == (True, 9, 0, [])
    assert members["receipt"]["stored_count"] == 9
    assert json.loads(portal("status", name, "--json").stdout)["status"] == "COMPLETE"
    assert json.loads(portal("verify", name, folder, "--json").stdout)["equal"] is True
    assert json.loads(portal("missing", name, folder, "--json").stdout) == {"missing": [], "failures": []}
    listed = json.loads(portal("batches", "--json", "--limit", "1").stdout)["batches"]
    assert [batch["name"] for batch in listed] == [name]


def test_quiet_says_nothing_when_all_is_well(portal, folder, name):
    done = portal("upload", folder, "-b", name, "--quiet")
    assert (done.exit_code, done.stdout, done.stderr) == (Exit.DONE, "", "")


def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(portal, folder, name, client):
    done = portal("upload", folder, "-b", name, "--dry-run")
    assert done.exit_code == Exit.DONE
    assert "large.bin" in done.stdout.splitlines()
    assert len(done.stdout.splitlines()) == 9
    assert client.find_batch(name) is None


def test_the_batch_is_called_as_the_folder_unless_there_are_several(portal, tmp_path, client, name):
    folder = make_tree(tmp_path / name, {"a": b"a"})
    other = make_tree(tmp_path / "other", {"a": b"b"})
    assert portal("upload", folder, "--keep-open").exit_code == Exit.DONE
    assert client.find_batch(name).sealed_at is None
    assert portal("upload", folder, other).exit_code == 2
    assert portal("upload", folder, other, "-b", f"{name} 2").exit_code == Exit.DONE
    files = client.files(client.find_batch(f"{name} 2").id)
    assert {file.path for file in files} == {f"{name}/a", "other/a"}


def test_failures_are_listed_and_the_rest_is_stored(portal, folder, name, monkeypatch, ann_api, client):
    make_tree(folder, {"locked": b"x", "new\nline": b"x", "-rf [red]": b"x"})
    make_unreadable(monkeypatch, folder / "locked")
    done = portal("upload", folder, "-b", name)
    assert done.exit_code == Exit.PARTIAL
    assert "failed: locked (unreadable): Permission denied" in done.stderr
    assert "failed: new\\nline (bad_name)" in done.stderr
    stored = stored_files(ann_api, client.find_batch(name).id)
    assert stored == digests(some_files(8) | {"large.bin": pattern(9 * MIB), "-rf [red]": b"x"})


def test_a_batch_of_which_not_all_can_be_had_is_sealed_as_it_is(portal, folder, name, monkeypatch, client):
    make_tree(folder, {"locked": b"x"})
    make_unreadable(monkeypatch, folder / "locked")
    done = portal("upload", folder, "-b", name)
    assert "Not sealed, since not all is stored." in done.stderr
    assert f"seal what there is: portal seal '{name}'" in done.stderr
    assert "Not sealed" not in portal("upload", folder, "-b", name, "--keep-open").stderr
    done = portal("seal", name)
    assert done.exit_code == Exit.DONE
    digest = client.receipt(client.find_batch(name).id).manifest_sha256
    assert f"9 files are sealed.\nComplete. SHA-256 of its manifest: {digest}" in done.stdout
    (folder / "locked").unlink()
    assert portal("verify", name, folder).exit_code == Exit.DONE
    assert json.loads(portal("seal", name, "--json").stdout)["receipt"]["stored_count"] == 9


def test_what_is_left_on_its_way_is_named_and_given_up_when_asked(portal, folder, name, ann_api, client):
    batch = client.create_batch(name)
    ann_api.open_session(5, batch_id=batch.id, path="left over")
    declared = {"files": [{"path": "declared", "total_size_bytes": 1}]}
    expect(200, ann_api.post(f"/batches/{batch.id}/files", declared))
    done = portal("upload", folder, "-b", name)
    assert "Not sealed: 2 other files are on their way: left over, declared." in done.stdout
    done = portal("seal", name)
    assert (done.exit_code, "2 files are on their way" in done.stdout) == (Exit.PARTIAL, True)
    done = portal("seal", name, "--give-up")
    assert (done.exit_code, "Given up: 2 files" in done.stdout) == (Exit.DONE, True)
    assert portal("verify", name, folder).exit_code == Exit.DONE
    assert client.batch(batch.id).failed_count == 1


def test_a_batch_that_was_complete_without_some_gets_its_receipt_when_they_have_ended(portal, name, ann_api, client):
    batch = client.create_batch(name, expected_files=1)
    ann_api.open_session(5, batch_id=batch.id, path="on its way")
    expect(201, ann_api.put(f"/batches/{batch.id}/files/x", b"x"))
    assert client.batch(batch.id).completed_at
    done = portal("seal", name)
    assert (done.exit_code, "1 files are on their way" in done.stdout) == (Exit.PARTIAL, True)
    assert portal("seal", name, "--give-up").exit_code == Exit.DONE


def test_who_may_not_remove_gives_up_nothing(portal, name, ann_api, client, portal_server, monkeypatch):
    batch = client.create_batch(name)
    ann_api.open_session(5, batch_id=batch.id, path="begun")
    expect(200, ann_api.post(f"/batches/{batch.id}/files", {"files": [{"path": "declared", "total_size_bytes": 1}]}))
    scopes = ("--scope", "upload", "--scope", "read")
    monkeypatch.setenv("PORTAL_TOKEN", portal_server.create_token("ann", *scopes))
    done = portal("seal", name, "--give-up")
    assert (done.exit_code, "the scope delete" in done.stderr) == (Exit.FAILED, True)
    assert client.batch(batch.id).pending_count == 2


def test_a_folder_may_be_named_like_an_id(portal, tmp_path):
    folder = make_tree(tmp_path / str(uuid.uuid4()), {"a": b"a"})
    assert portal("upload", folder).exit_code == Exit.DONE
    assert portal("status", folder.name).stdout.startswith("COMPLETE")


def test_what_the_batch_holds_besides_is_said(portal, folder, name):
    portal("upload", folder, "-b", name, "--keep-open")
    for path in list(folder.iterdir())[1:]:
        path.is_file() and path.unlink()
    done = portal("upload", folder, "-b", name)
    assert "files that are not here: " in done.stdout
    assert "Sealed and complete" in done.stdout


@pytest.mark.parametrize("command", [["upload", "-b"], ["status"], ["seal"]])
def test_an_id_that_no_batch_has_is_no_name(portal, folder, command, client):
    unknown = str(uuid.uuid4())
    done = portal(*command, unknown, *([folder] if "-b" in command else []))
    assert (done.exit_code, done.stderr) == (Exit.FAILED, f"There is no batch '{unknown}'.\n")
    assert not [batch for batch in client.batches() if batch.name == unknown]


def test_missing_lists_what_the_batch_does_not_have(portal, folder, name):
    assert portal("missing", name, folder).exit_code == Exit.FAILED  # no such batch
    portal("upload", folder, "-b", name, "--keep-open")
    make_tree(folder, {"new": b"x"})
    done = portal("missing", name, folder)
    assert (done.exit_code, done.stdout) == (Exit.DIFFERS, "new\n")
    (folder / "new").unlink()
    assert portal("missing", name, folder).exit_code == Exit.DONE


def test_verify_finds_every_difference(portal, tmp_path, name):
    folder = make_tree(tmp_path / "folder", {"a": b"a", "b": b"b", "c": b"c"})
    portal("upload", folder, "-b", name)
    (folder / "a").write_bytes(b"A")
    (folder / "b").unlink()
    (folder / "d").write_bytes(b"d")
    done = portal("verify", name, folder)
    assert done.exit_code == Exit.DIFFERS
    assert done.stdout.splitlines() == ["differs: a", "not here: b", "not there: d"]


def test_more_for_a_sealed_batch_is_refused_with_advice(portal, folder, name):
    portal("upload", folder, "-b", name)
    make_tree(folder, {"late": b"x"})
    done = portal("upload", folder, "-b", name)
    assert done.exit_code == Exit.FAILED
    assert "Give another name: --batch NAME." in done.stderr


def test_what_changed_in_a_sealed_batch_is_to_go_into_another(portal, folder, name):
    portal("upload", folder, "-b", name)
    next(path for path in folder.iterdir() if path.is_file()).write_bytes(b"changed since")
    done = portal("upload", folder, "-b", name)
    assert done.exit_code == Exit.PARTIAL
    assert "The batch is sealed and stays as it is; what changed goes into another: --batch NAME" in done.stderr
    assert "portal seal" not in done.stderr


@pytest.mark.parametrize("command", ["seal", "status", "download"])
def test_a_batch_without_a_name_is_none_that_an_empty_word_means(portal, client, command):
    client.create_batch("")
    done = portal(command, "")
    assert (done.exit_code, "is wanted" in done.stderr) == (Exit.FAILED, True)


def test_status_follows_to_the_end(portal, folder, name):
    portal("upload", folder, "-b", name)
    done = portal("status", name, "--follow")
    assert done.exit_code == Exit.DONE
    assert done.stdout.startswith("COMPLETE    9 of 9 files stored, 0 failed, 0 pending")
    assert name in portal("batches", "--status", "COMPLETE").stdout


def test_login_tries_the_token_and_keeps_it_for_its_owner_alone(home, ann_api, name):
    done = run("login", ann_api.url, stdin="ptl_wrong\n")
    assert done.exit_code == Exit.FAILED
    assert not config_file().exists()
    done = run("login", ann_api.url, stdin="")
    assert (done.exit_code, "No token came on stdin" in done.stderr) == (Exit.FAILED, True)
    done = run("login", f"{ann_api.url}/", stdin=f"{ann_api.token}\n")
    assert done.exit_code == Exit.DONE
    assert ann_api.token not in done.stdout + done.stderr
    assert stat.S_IMODE(config_file().stat().st_mode) == 0o600
    assert read_config() == (ann_api.url, ann_api.token)
    assert run("batches").exit_code == Exit.DONE


def test_a_token_is_never_given_to_another_address(home, ann_api):
    run("login", ann_api.url, stdin=f"{ann_api.token}\n")
    assert read_config("http://127.0.0.1:9") == ("http://127.0.0.1:9", "")
    done = run("--url", "http://127.0.0.1:9", "batches")
    assert done.exit_code == Exit.FAILED
    assert "Not logged in to http://127.0.0.1:9:" in done.stderr
    done = run("--url", "127.0.0.1:9", "batches")
    assert (done.exit_code, "it begins with https://" in done.stderr) == (Exit.FAILED, True)


def test_nobody_logged_in_is_told_what_to_do(home):
    done = run("batches")
    assert done.exit_code == Exit.FAILED
    assert "portal login" in done.stderr


def test_a_portal_that_is_not_there_fails_with_how_to_go_on(home, monkeypatch, folder):
    monkeypatch.setenv("PORTAL_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("PORTAL_TOKEN", "ptl_x")
    done = run("upload", folder, "--patience", "0.1")
    assert done.exit_code == Exit.FAILED
    assert "Go on with: portal" in done.stderr
