"""The supervisor restarts what ends and stops all of it when asked."""

import os
import signal
import sys
import time

import pytest

from boot import supervise
from boot.supervise import Program, Supervisor

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"
PARENT_OF_ONE = "import subprocess, time; subprocess.Popen(['sleep', '300']); time.sleep(300)"


def python(name, code):
    return Program(name, [sys.executable, "-c", code])


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def group_is_gone(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture
def told():
    return []


def test_a_program_that_ends_is_started_again_after_a_pause_that_grows(monkeypatch, told):
    monkeypatch.setattr(supervise, "FIRST_PAUSE", 0.05)
    program = python("worker", "raise SystemExit(3)")
    program.pause = 0.05
    program.start()
    wait_for(lambda: program.restart_when_due(told.append) or len(told) == 3)
    assert told == [
        "The worker ended with code 3; starting it again in 0.05 s.",
        "The worker ended with code 3; starting it again in 0.1 s.",
        "The worker ended with code 3; starting it again in 0.2 s.",
    ]


def test_a_program_that_lived_long_is_started_again_soon(monkeypatch, told):
    monkeypatch.setattr(supervise, "STEADY_SECONDS", 0.0)
    program = python("server", "raise SystemExit(1)")
    program.pause = 16.0
    program.start()
    wait_for(lambda: program.restart_when_due(told.append) or told)
    assert told == ["The server ended with code 1; starting it again in 1 s."]


def test_children_that_a_killed_program_leaves_are_killed_before_its_restart(told):
    program = python("server", PARENT_OF_ONE)
    program.start()
    group = program.process.pid
    time.sleep(0.5)
    os.kill(group, signal.SIGKILL)
    wait_for(lambda: program.restart_when_due(told.append) or told)
    wait_for(lambda: group_is_gone(group))


def test_a_stop_kills_what_does_not_end_in_time(monkeypatch, told):
    monkeypatch.setattr(supervise, "STOP_SECONDS", 0.5)
    supervisor = Supervisor([python("stubborn", STUBBORN), python("plain", PARENT_OF_ONE)], report=told.append)
    supervisor.start()
    groups = [program.process.pid for program in supervisor.programs]
    time.sleep(0.5)
    started = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - started < 5
    wait_for(lambda: all(map(group_is_gone, groups)))
