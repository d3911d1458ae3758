"""A program on a leash ends with whoever started it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from boot.leash import leashed

PARENT = """
import subprocess, sys, time
from boot.leash import leashed
child = subprocess.Popen(leashed(["sleep", "300"]))
print(child.pid, flush=True)
time.sleep(300)
"""


def is_alive(pid):
    """Tell whether the process runs; one that waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has PR_SET_PDEATHSIG")
def test_a_killed_parent_takes_its_program_along():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        deadline = time.monotonic() + 10
        while not Path(f"/proc/{pid}/cmdline").read_text().startswith("sleep"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        parent.kill()
        parent.wait()
        while is_alive(pid):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_the_program_keeps_arguments_and_exit_code():
    done = subprocess.run(leashed(["sh", "-c", 'echo "$0"; exit 7', "two words"]), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (7, "two words\n")


def test_a_program_that_is_not_there_is_named():
    done = subprocess.run(leashed(["/no/such/program"]), capture_output=True, text=True)
    assert done.returncode == 1
    assert "/no/such/program" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_root_is_given_up_with_every_group():
    command = leashed(["sh", "-c", "id -u; id -G"], user=(65534, 65534))
    done = subprocess.run(command, capture_output=True, text=True, extra_groups=[0, 1])
    assert done.stdout == "65534\n65534\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has PR_SET_PDEATHSIG")
def test_a_leash_on_a_parent_that_is_gone_starts_nothing():
    command = leashed(["echo", "started"])
    command[command.index("--parent") + 1] = "1"
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
