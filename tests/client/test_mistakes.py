"""What goes wrong on the command line is one line and an exit code, never a traceback, and never a token."""

import errno
import json
import os
import stat
import subprocess
import sys
import tomllib

import pytest

from portal_client import PortalError, __version__
from portal_client.cli.app import Exit
from portal_client.cli.config import config_file
from portal_client.cli.telling import told
from portal_client.sources import find_sources
from tests.client.commands import SOURCES, run
from tests.client.scripted import LIMITS, NO_FILES, Scripted, problem
from tests.client.test_retries import BATCH
from tests.client.trees import digests, make_tree, stored_files

NOWHERE = "http://127.0.0.1:9"
TOKEN = "ptl_" + "Secret-43_characters" * 2


def said(done, code=Exit.FAILED):
    """Return the one line on stderr of a command that ended with `code` and nothing on stdout."""
    assert (done.exit_code, done.stdout) == (code, "")
    (line,) = done.stderr.splitlines()
    return line


@pytest.fixture
def nowhere(home, monkeypatch):
    monkeypatch.setenv("PORTAL_URL", NOWHERE)
    monkeypatch.setenv("PORTAL_TOKEN", TOKEN)


# Tokens and addresses


def test_white_space_around_a_token_is_none_of_it(portal, ann_api, monkeypatch):
    monkeypatch.setenv("PORTAL_TOKEN", f" {ann_api.token}\r")
    assert portal("batches", "--limit", 1).exit_code == Exit.DONE


@pytest.mark.parametrize("token", ["ptl_…", "ptl_a\rb", "ptl_a b", "ptl_\udcff"])
def test_a_token_that_no_header_can_hold_is_refused(nowhere, monkeypatch, token):
    monkeypatch.setenv("PORTAL_TOKEN", token)
    assert "characters in it that no token has" in said(run("batches"))


@pytest.mark.parametrize("url", ["http://[::1", "http://a:b", "http://a:99999", "ftp://a", "portal", "http://\udcff"])
def test_what_is_no_address_is_refused(nowhere, url):
    assert said(run("--url", url, "batches")).startswith("Not the address of a portal: ")


def test_an_address_with_a_password_is_refused_and_not_repeated(nowhere):
    assert "hunter2" not in said(run("--url", "http://joe:hunter2@127.0.0.1:9", "batches"))


@pytest.mark.parametrize("kept", ["{", "[]"])
def test_what_the_environment_gives_needs_no_login(portal, kept):
    config_file().parent.mkdir(parents=True)
    config_file().write_text(kept)
    assert portal("batches", "--limit", 1).exit_code == Exit.DONE


def test_a_token_is_never_repeated(home, nowhere):
    for done in (
        run("login", TOKEN, stdin="x\n"),
        run("--url", TOKEN, "batches"),
        run("upload", TOKEN, "-b", "x"),
        run("status", TOKEN, "--patience", 0, "--json"),
    ):
        assert done.exit_code == Exit.FAILED
        assert "Secret" not in done.stdout + done.stderr


def test_a_token_given_for_an_address_is_never_repeated(home):
    done = run("login", stdin=f"{TOKEN}\n")
    assert done.exit_code == Exit.FAILED
    assert done.stderr == "Not the address of a portal; it begins with https:// or http://.\n"  # stdout is the prompt's


@pytest.mark.parametrize("kept", ["[]", '"x"', "{", '{"url": 5, "token": "x"}'])
def test_a_file_of_login_that_holds_something_else_is_named(home, kept):
    config_file().parent.mkdir(parents=True)
    config_file().write_text(kept)
    line = said(run("batches"))
    assert line.startswith(str(config_file()))
    assert "portal login" in line


def test_a_home_that_cannot_be_written_to_is_named(portal, ann_api, tmp_path, monkeypatch):
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "a file"))
    line = said(run("login", ann_api.url, stdin=f"{ann_api.token}\n"))
    assert "login.json cannot be written: Not a directory." in line


# Paths


def test_a_path_that_can_be_nowhere_is_said(nowhere, tmp_path):
    assert said(run("upload", "x" * 300)).startswith("There is no /")
    assert said(run("upload", tmp_path / "not here")) == f"There is no {tmp_path / 'not here'}."


def test_what_may_not_be_read_or_looked_at_holds_up_no_other(start, tmp_path, ann_api, client):
    make_tree(tmp_path, {"ok": b"1", "locked": b"2", "closed/inside": b"3"})
    (tmp_path / "locked").chmod(0)
    (tmp_path / "closed").chmod(0)
    process = start(ann_api.url, ann_api.token, "upload", "-b", tmp_path.name, "ok", "locked", "closed/inside")
    _, heard = process.communicate(timeout=60)
    (tmp_path / "closed").chmod(stat.S_IRWXU)
    assert process.returncode == Exit.PARTIAL
    for name in ("locked", "inside"):
        assert f"failed: {name} (unreadable): Permission denied" in heard
    assert stored_files(ann_api, client.find_batch(tmp_path.name).id) == digests({"ok": b"1"})


def test_a_folder_may_be_as_deep_as_the_system_has_it(tmp_path):
    place = tmp_path / "deep"
    place.mkdir()
    for _ in range(1100):
        place /= "d"
        place.mkdir()
    (tmp_path / "deep" / "a").write_bytes(b"a")
    try:
        assert [source.path for source in find_sources([tmp_path / "deep"]).sources] == ["a"]
    finally:
        subprocess.run(["rm", "-rf", tmp_path / "deep"], check=True)  # pytest's own way is recursive


# Answers


@pytest.mark.parametrize("members", [{}, [], "x", {"results": None}, {"results": [{}], "next": None}])
@pytest.mark.parametrize("command", ["batches", "status", "upload", "download", "verify", "missing", "seal", "login"])
def test_what_answers_and_is_no_portal_is_said(scripted_portal, scripted, tmp_path, command, members):
    scripted.answers = [Scripted(200, members)]
    folder = make_tree(tmp_path / "folder", {"a": b"a"})
    arguments = {
        "batches": [],
        "upload": [folder],
        "verify": ["x", folder],
        "missing": ["x", folder],
        "login": [scripted.url],
    }
    done = scripted_portal(command, *arguments.get(command, ["x"]), stdin="ptl_x\n")
    assert "The answer is not that of a portal" in said(done)
    assert not config_file().exists()


def test_an_error_is_an_object_for_programs(scripted_portal, scripted, tmp_path, monkeypatch):
    scripted.answers = [problem(403, "insufficient_scope")]
    done = scripted_portal("batches", "--json")
    error = {"code": "insufficient_scope", "detail": "It is insufficient_scope."}
    assert (done.exit_code, json.loads(done.stdout)) == (Exit.FAILED, {"error": error})
    scripted.answers = [Scripted(200, [])]
    assert json.loads(scripted_portal("status", "x", "--json").stdout)["error"]["code"] == "bad_answer"
    monkeypatch.setenv("PORTAL_URL", NOWHERE)
    done = scripted_portal("download", "x", "--json", "--patience", 0)
    assert json.loads(done.stdout)["error"]["code"] == "unreachable"
    assert json.loads(scripted_portal("upload", tmp_path / "not here", "--json").stdout)["error"]["code"] == "failed"
    assert scripted_portal("batches", "--patience", 0).stdout == ""


@pytest.mark.parametrize("arguments", [["batches"], ["--help"], ["batches", "--json"]])
def test_a_full_disk_behind_stdout_is_said(start, ann_api, client, arguments):
    client.create_batch("a")
    with open("/dev/full", "w") as full:
        process = start(ann_api.url, ann_api.token, *arguments, stdout=full)
        _, heard = process.communicate(timeout=60)
    assert (process.returncode, heard) == (Exit.FAILED, f"{os.strerror(errno.ENOSPC)}\n")


def test_a_reader_that_has_had_enough_is_no_error_to_speak_of(start, ann_api, client):
    client.create_batch("a")
    reads, writes = os.pipe()
    os.close(reads)
    process = start(ann_api.url, ann_api.token, "batches", stdout=writes)
    os.close(writes)
    assert process.communicate(timeout=60)[1] == ""


# What is waited for


def test_a_portal_that_does_not_answer_is_told_of_once(nowhere):
    done = run("batches", "--patience", 1)
    waiting, over, _ = done.stderr.splitlines()
    assert waiting == f"No answer from {NOWHERE} (Connection refused); trying again for up to 1 s, Ctrl-C ends it."
    assert over.startswith(f"No answer from {NOWHERE} in ")
    assert run("verify", "x", ".", "--patience", 0.5, "--quiet").stderr.count("No answer") == 1


@pytest.mark.parametrize("command", ["batches", "status", "missing", "verify", "seal"])
def test_who_only_asks_waits_half_a_minute(nowhere, command, monkeypatch):
    def refuse(*_, patience, **__):
        raise PortalError(f"patience {patience:.0f}")

    # The module is not to be had by its dotted name: `app` in its package is another thing.
    monkeypatch.setattr(sys.modules["portal_client.cli.app"], "PortalClient", refuse)
    assert (
        said(run(command, *{"batches": [], "status": ["x"], "seal": ["x"]}.get(command, ["x", "."]))) == "patience 30"
    )


def test_a_portal_that_is_silent_is_waited_for_no_longer_than_patience(scripted_portal, scripted, monkeypatch):
    monkeypatch.setattr("portal_client.transport.CONNECT_SECONDS", 1.0)
    scripted.answers = [Scripted(hang=True)]
    done = scripted_portal("batches", "--patience", 0)
    assert done.exit_code == Exit.FAILED
    assert "in 1 tries (timed out)" in done.stderr


def test_a_refusal_that_is_to_pass_is_told_of_with_its_code(scripted_portal, scripted):
    scripted.answers = [problem(503, "server_busy", retry_after=3), Scripted(200, NO_FILES)]
    done = scripted_portal("batches", "--patience", 20)
    assert done.exit_code == Exit.DONE
    waiting = "It is server_busy. (server_busy) Waiting for that; trying again for up to 20 s, Ctrl-C ends it.\n"
    assert done.stderr == waiting


def test_what_passes_at_once_is_not_worth_a_line(scripted_portal, scripted):
    scripted.answers = [problem(503, "server_busy"), Scripted(200, NO_FILES)]
    assert scripted_portal("batches").stderr == ""
    scripted.answers = [Scripted(drop=True), Scripted(200, NO_FILES)]
    assert scripted_portal("batches").stderr == ""


def test_a_file_that_no_quota_has_room_for_holds_up_no_other(scripted_portal, scripted, tmp_path):
    folder = make_tree(tmp_path / "folder", {"a": b"much", "b": b"b"})
    refused = problem(429, "quota_exceeded", retry_after=900)
    ((_, sha256),) = digests({"b": b"b"}).items()
    file = {"id": "1", "batch_id": BATCH["id"], "session_id": None, "original_filename": "b", "path": "b"}
    file |= {"content_type": "", "size_bytes": 1, "sha256": sha256, "status": "STORED", "error": None}
    file |= {"created_at": "", "stored_at": ""}
    scripted.answers = [
        Scripted(200, NO_FILES),
        Scripted(201, BATCH),
        Scripted(200, LIMITS),
        refused,  # both in one request
        refused,
        Scripted(201, file),
        Scripted(200, BATCH),
    ]
    done = scripted_portal("upload", folder, "--parallel", 1)
    assert done.exit_code == Exit.PARTIAL
    assert "failed: a (quota_exceeded): It is quota_exceeded." in done.stderr
    assert "1 of 2 files are stored" in done.stdout


# Names


def test_missing_ends_as_the_page_says_when_the_batch_has_other_bytes(portal, tmp_path):
    folder = make_tree(tmp_path / tmp_path.name, {"a": b"1"})
    portal("upload", folder)
    (folder / "a").write_bytes(b"22")
    done = portal("missing", folder.name, folder)
    assert done.exit_code == Exit.DIFFERS
    assert "failed: a (path_taken)" in done.stderr


def test_names_are_printed_as_they_are(portal, tmp_path, monkeypatch):
    odd = ":key: [red]x[/red]"
    folder = make_tree(tmp_path / odd, {"a": b"1", "\\:key:": b"2"})
    assert "failed: \\:key: (bad_name)" in portal("upload", folder, "-b", tmp_path.name).stderr
    monkeypatch.setattr("sys.argv", ["portal", "upload", str(folder)])
    monkeypatch.setenv("PORTAL_URL", NOWHERE)
    assert odd in portal("upload", folder / ":not: here").stderr
    assert f"Go on with: portal upload '{folder}'" in portal("upload", folder, "--patience", 0).stderr


def test_a_quiet_dry_run_says_nothing(portal, tmp_path):
    folder = make_tree(tmp_path / tmp_path.name, {"a": b"1"})
    done = portal("upload", folder, "--dry-run", "-q")
    assert (done.exit_code, done.stdout, done.stderr) == (Exit.DONE, "", "")


def test_the_way_to_go_on_is_the_same_command_quoted(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["portal", "upload", "-b", "it's", "--", "-a b", "$x"])
    with pytest.raises(Exception, match="130"), told():
        raise KeyboardInterrupt
    assert "Go on with: portal upload -b 'it'\"'\"'s' -- '-a b' '$x'" in capsys.readouterr().err


def test_the_version_is_the_package_s():
    project = tomllib.loads((SOURCES.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    done = run("--version")
    assert (done.exit_code, done.stdout) == (Exit.DONE, f"portal {project['version']}\n")
    assert __version__ == project["version"]
