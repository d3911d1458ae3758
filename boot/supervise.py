"""Keep a few programs running: start, restart with a pause that grows, stop all of them cleanly."""

import contextlib
import os
import signal
import subprocess
import threading
import time

from boot.leash import leashed

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
#: A program that has lived this long has earned a fresh start: its next pause is the first one again.
STEADY_SECONDS = 60.0
STOP_SECONDS = 15.0


class Program:
    """One program in a process group of its own, on a leash: it ends when the supervisor does."""

    def __init__(self, name, command, *, env=None):
        self.name, self.command, self.env = name, command, env
        self.process = None
        self.started_at = self.due_at = 0.0
        self.pause = FIRST_PAUSE

    def start(self):
        """Start it; its own group keeps the terminal's Ctrl-C away, so that the supervisor stops it."""
        self.process = subprocess.Popen(leashed(self.command), env=self.env, process_group=0)
        self.started_at = time.monotonic()

    def ended(self):
        """Return the code that it ended with, or None while it runs."""
        return self.process.poll()

    def restart_when_due(self, report):
        """Start it again once it has been down for its pause; `report` gets a line each time it goes down."""
        now = time.monotonic()
        if self.process is not None:
            code = self.ended()
            if code is None:
                return
            self.signal(signal.SIGKILL)  # what a killed server leaves behind still holds the port
            self.process = None
            if now - self.started_at >= STEADY_SECONDS:
                self.pause = FIRST_PAUSE
            self.due_at = now + self.pause
            report(f"The {self.name} ended with code {code}; starting it again in {self.pause:g} s.")
            self.pause = min(self.pause * 2, LONGEST_PAUSE)
        elif now >= self.due_at:
            self.start()

    def signal(self, number):
        """Send the signal to the program and whatever it started; nothing when they are gone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def terminate(self):
        """Ask the program itself to stop; it tells its own children."""
        if self.process is not None and self.ended() is None:
            self.process.terminate()

    def end_by(self, deadline):
        """Wait until `deadline` for it to end, then kill what is left of its group."""
        if self.process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.0, deadline - time.monotonic()))
        self.signal(signal.SIGKILL)
        self.process.wait()


class Supervisor:
    """Runs programs until SIGTERM or SIGINT comes, then stops them within 15 seconds."""

    def __init__(self, programs, *, report):
        self.programs, self.report = programs, report
        self._stop = threading.Event()

    def catch_signals(self):
        """From here on SIGTERM and SIGINT ask for a clean stop instead of ending the process."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())

    @property
    def stopping(self):
        """True once a stop was asked for."""
        return self._stop.is_set()

    def pause(self, seconds):
        """Wait; return True when a stop was asked for."""
        return self._stop.wait(seconds)

    def start(self):
        """Start every program, in order."""
        for program in self.programs:
            program.start()

    def run(self):
        """Keep every program running until a stop is asked for."""
        while not self.pause(0.25):
            for program in self.programs:
                program.restart_when_due(self.report)

    def stop(self):
        """Stop all programs at once: SIGTERM, 15 seconds, SIGKILL."""
        deadline = time.monotonic() + STOP_SECONDS
        for program in self.programs:
            program.terminate()
        for program in self.programs:
            program.end_by(deadline)
