"""The command as a process: Ctrl-C leaves everything resumable, and no terminal means plain lines."""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys

import pytest

from portal_client.bundles import BUNDLED_BYTES
from tests.client.scripted import Scripted
from tests.client.trees import make_tree
from tests.design.modules import ROOT
from tests.patience import wait_until
from tests.samples import pattern

#: So many files, too large for bundles, that there is a midst.
COUNT, SIZE = 150, BUNDLED_BYTES + 1
PRCTL = ctypes.CDLL(None).prctl
#: Of linux/prctl.h and linux/capability.h.
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2


def give_up_override():
    """Let files be closed to root too, by their modes; does nothing for anybody else."""
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        PRCTL(PR_CAPBSET_DROP, capability, 0, 0, 0)


@pytest.fixture
def start(tmp_path):
    """Give a function that starts `portal` at an address."""
    started = []

    def start(url, token, *arguments):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_")}
        env = kept | {
            "PYTHONPATH": str(ROOT / "client" / "src"),
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "PORTAL_URL": url,
            "PORTAL_TOKEN": token,
        }
        command = [sys.executable, "-m", "portal_client", *map(str, arguments)]
        process = subprocess.Popen(
            command,
            env=env,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=give_up_override,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.communicate()


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
