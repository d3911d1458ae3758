"""The command as a process: Ctrl-C leaves everything resumable, and no terminal means plain lines."""

import json
import signal
import time

import pytest

from portal_client.bundles import BUNDLED_BYTES
from tests.client.commands import SOURCES
from tests.client.scripted import LIMITS, NO_FILES, Scripted
from tests.client.test_retries import BATCH
from tests.client.trees import make_tree
from tests.patience import wait_until
from tests.samples import pattern

#: So many files, too large for bundles, that there is a midst.
COUNT, SIZE = 150, BUNDLED_BYTES + 1
DEAF = """
import sys, time
from portal_client.cli import app, main

@app.command()
def deaf():
    while True:
        try:
            print("deaf", flush=True)
            time.sleep(60)
        except BaseException:
            pass

sys.argv = ["portal", "deaf"]
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_in_the_midst_stops_and_says_how_to_go_on(start, tmp_path, client, ann_api, number):
    folder = make_tree(tmp_path / f"folder {number}", {f"{n}.bin": pattern(SIZE, seed=n) for n in range(COUNT)})
    process = start(ann_api.url, ann_api.token, "upload", folder, "--parallel", 1)
    wait_until(lambda: (batch := client.find_batch(folder.name)) and batch.stored_count > 5)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"Go on with: portal upload '{folder}'" in said
    assert "Traceback" not in said
    before = client.find_batch(folder.name).stored_count
    assert 5 < before < COUNT
    process = start(ann_api.url, ann_api.token, "upload", folder, "--json")
    printed, _ = process.communicate(timeout=60)
    members = json.loads(printed)
    assert (members["complete"], members["already"]) == (True, before)


def test_ctrl_c_in_a_pause_ends_at_once(start, scripted, tmp_path):
    scripted.answers = [Scripted(503, {}, {"Retry-After": "60"})]
    process = start(scripted.url, "ptl_x", "upload", make_tree(tmp_path / "folder", {"a": b"a"}))
    wait_until(lambda: scripted.asked)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130


def test_a_file_that_may_not_be_read_is_in_the_failures(start, tmp_path, ann_api):
    folder = make_tree(tmp_path / "with a locked one", {"a": b"a", "locked": b"x"})
    (folder / "locked").chmod(0)
    process = start(ann_api.url, ann_api.token, "upload", folder)
    printed, said = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "1 of 2 files are stored" in printed
    assert "failed: locked (unreadable): Permission denied" in said


def test_without_a_terminal_there_are_plain_lines(start, tmp_path, ann_api):
    folder = make_tree(tmp_path / "plain", {"a": b"a"})
    process = start(ann_api.url, ann_api.token, "upload", folder)
    printed, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "\x1b" not in printed + said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_request_that_hangs_holds_up_no_end(start, scripted, tmp_path, number):
    scripted.answers = [Scripted(200, NO_FILES), Scripted(201, BATCH), Scripted(200, LIMITS), Scripted(hang=True)]
    process = start(scripted.url, "ptl_x", "upload", make_tree(tmp_path / "folder", {"a": b"a"}), "--json")
    wait_until(lambda: len(scripted.asked) == 4)
    process.send_signal(number)
    began = time.monotonic()
    line = process.stderr.readline()
    assert time.monotonic() - began < 1.5
    assert line.startswith("Stopped. What has been stored stays stored. Go on with: portal upload ")
    printed, said = process.communicate(timeout=8)
    assert process.returncode == 130
    assert "Go on with" not in said
    assert json.loads(printed)["error"]["code"] == "stopped"


def test_what_no_exception_ends_is_ended_all_the_same(start, tmp_path):
    # A command that lets no exception through stands for whatever keeps the main thread.
    (tmp_path / "deaf.py").write_text(DEAF)
    process = start("http://127.0.0.1:9", "ptl_x", command=[tmp_path / "deaf.py"])
    assert process.stdout.readline() == "deaf\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=15)
    assert process.returncode == 130
    assert said.startswith("Stopped.")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_while_modules_are_imported_is_no_traceback(start, tmp_path, number):
    # One that takes its time stands in front of the real one.
    (tmp_path / "urllib3.py").write_text("import time\nprint('imported', flush=True)\ntime.sleep(60)\n")
    process = start("http://127.0.0.1:9", "ptl_x", "batches", path=f"{tmp_path}:{SOURCES}")
    assert process.stdout.readline() == "imported\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said == "Stopped before anything was done.\n"
