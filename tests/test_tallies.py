"""Counts that processes of one machine share: none is lost, none counts twice, none goes back."""

import json
import signal
import subprocess
import sys

import pytest

from portal import tallies
from portal.tallies import FILE_BYTES, RETIRED, Tallies
from tests.server import ROOT

#: A process that counts `a` as often as it is told, says so, and waits to be killed.
NEIGHBOUR = """
import sys
from portal.tallies import Tallies
ours = Tallies()
ours.share(sys.argv[1])
for _ in range(int(sys.argv[2])):
    ours.add([(("a",), 1), (("b", "x y"), 0.5)])
print("counted", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start_neighbour(tmp_path):
    """Give a function that starts a process that has counted so often."""
    started = []

    def start(count):
        command = [sys.executable, "-c", NEIGHBOUR, tmp_path, str(count)]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "counted\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def shared(folder):
    """Return the counts of a new process of this machine."""
    ours = Tallies()
    ours.share(folder)
    return ours


def test_a_process_alone_counts_for_itself():
    ours = Tallies()
    ours.add([(("a",), 2), (("a",), 1)])
    assert ours.read() == {("a",): 3}


def test_any_of_them_answers_for_all(tmp_path, start_neighbour):
    ours = Tallies()
    ours.add([(("a",), 1)])
    ours.share(tmp_path)
    start_neighbour(20)
    start_neighbour(30)
    ours.add([(("a",), 1)])
    assert ours.read() == {("a",): 52, ("b", "x y"): 25}
    assert shared(tmp_path).read() == ours.read()


def test_what_a_killed_process_has_counted_stays_and_its_file_goes(tmp_path, start_neighbour):
    neighbour = start_neighbour(20)
    neighbour.send_signal(signal.SIGKILL)
    neighbour.wait()
    for _ in range(3):
        ours = shared(tmp_path)
        assert ours.read()[("a",)] == 20
    # Those of this process hold their locks still.
    assert len(list(tmp_path.glob("*.tally"))) == 3


def test_a_crash_while_the_dead_are_added_counts_none_of_them_twice(tmp_path, start_neighbour):
    neighbour = start_neighbour(20)
    neighbour.kill()
    neighbour.wait()
    left = next(tmp_path.glob("*.tally")).read_bytes()
    ours = shared(tmp_path)
    assert ours.read()[("a",)] == 20
    # As if it had been killed before the file was gone.
    (tmp_path / json.loads((tmp_path / RETIRED).read_text())["from"][0]).write_bytes(left)
    assert ours.read()[("a",)] == shared(tmp_path).read()[("a",)] == 20


def test_a_full_file_loses_nothing_of_its_own_process(tmp_path, monkeypatch):
    monkeypatch.setattr(tallies, "FILE_BYTES", 4096)
    ours = shared(tmp_path)
    ours.add(((f"key {number}",), 1) for number in range(200))
    assert len(ours.read()) == 200
    assert 0 < len(shared(tmp_path).read()) < 200


@pytest.mark.parametrize("broken", ["a folder that cannot be", "a disk that is full"])
def test_what_cannot_be_shared_is_counted_all_the_same(tmp_path, monkeypatch, broken):
    folder = tmp_path / "metrics"
    if broken == "a folder that cannot be":
        folder.write_text("")
    else:

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(tallies.os, "posix_fallocate", full)
    ours = shared(folder)
    ours.add([(("a",), 1)])
    assert ours.read() == {("a",): 1}
    assert not list(tmp_path.glob("metrics/*.tally"))


def test_the_space_of_a_file_is_reserved(tmp_path):
    ours = shared(tmp_path)
    assert ours.path.stat().st_blocks * 512 >= FILE_BYTES


@pytest.mark.parametrize("left", [b"", b"\0" * 100, b"[1]", b'{"from": 3}', b"{"])
def test_what_a_power_cut_has_left_keeps_nobody_from_starting(tmp_path, left):
    (tmp_path / RETIRED).write_bytes(left)
    garbage = bytearray(FILE_BYTES)
    garbage[:24] = (9).to_bytes(8, "little") + bytes(16)
    (tmp_path / "dead.tally").write_bytes(garbage)
    ours = shared(tmp_path)
    ours.add([(("a",), 1)])
    assert ours.read() == {("a",): 1}
    assert shared(tmp_path).read() == {("a",): 1}
