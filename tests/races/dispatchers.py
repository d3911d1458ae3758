"""Workers that send events and can be killed: each line on stdin forks one, and its process id comes back on stdout.

    python -m tests.races.dispatchers LOG

Loaded once and forked, so that a kill costs no start. Whoever sends writes into LOG, a JSON line before and one after:
`{"what", "event", "claim", "pid", "at"}`, by the clock that all processes share.
"""

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta

import configurations

from boot.leash import hold, leashed
from portal.runner.base import Message
from portal.runner.webhook import WebhookRunner
from tests.patience import wait_until

#: In place of a minute and of ten seconds: what the dead had is due again soon, and a slow receiver is given up soon.
LEASE_SECONDS = 4
ATTEMPT_SECONDS = 0.3


@dataclass(frozen=True)
class Claimed(Message):
    """A message that says under which claim it is sent."""

    claim: str = ""


class ToldRunner(WebhookRunner):
    """Sends webhooks, and writes down when it begins and ends."""

    seconds = ATTEMPT_SECONDS

    def __init__(self, path):
        self.log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def send(self, target, message):
        """Send it between two lines of the log."""
        self._tell("begin", message)
        try:
            return super().send(target, message)
        finally:
            self._tell("end", message)

    def _tell(self, what, message):
        line = {"what": what, "event": message.event_id, "claim": message.claim, "pid": os.getpid()}
        os.write(self.log, json.dumps(line | {"at": time.monotonic()}).encode() + b"\n")


class Dispatchers:
    """Workers on one database; a context manager that leaves none behind. `died` is when each was gone."""

    def __init__(self, log, env):
        self.log, self.env = log, env
        self.alive, self.died = [], {}

    def __enter__(self):
        command = leashed([sys.executable, "-m", "tests.races.dispatchers", self.log])
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.nursery = subprocess.Popen(command, env=os.environ | self.env, **pipes)
        return self

    def __exit__(self, *_):
        for pid in list(self.alive):
            self.kill(pid)
        self.nursery.stdin.close()
        self.nursery.stdout.close()
        self.nursery.wait()

    def start(self):
        """Start one more."""
        self.nursery.stdin.write("\n")
        self.nursery.stdin.flush()
        self.alive.append(int(self.nursery.stdout.readline()))

    def kill(self, pid):
        """kill -9; return when it is gone."""
        self.alive.remove(pid)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_there(pid))
        self.died[pid] = time.monotonic()

    def sendings(self):
        """Return for each event its sendings in order: `(begin, end, claim)`, the end of the dead being their death."""
        begun, ended, sendings = [], {}, defaultdict(list)
        for line in map(json.loads, self.log.read_text().splitlines()):
            key = line["event"], line["claim"], line["pid"]
            if line["what"] == "begin":
                begun.append((line["at"], key))
            else:
                ended[key] = line["at"]
        for at, key in sorted(begun):
            sendings[key[0]].append((at, ended.get(key) or self.died[key[2]], key[1]))
        return sendings


def is_there(pid):
    """Whether there is such a process."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def work(path):
    """Send what is due until the end by kill -9."""
    names = ("deliveries", "dispatch", "numbering")
    deliveries, dispatch, numbering = (importlib.import_module(f"portal.services.{name}") for name in names)
    deliveries.LEASE = timedelta(seconds=LEASE_SECONDS)
    plain = dispatch.message_of

    def message_of(delivery):
        message = plain(delivery)
        return Claimed(message.event_id, message.body, str(delivery.claim_token))

    dispatch.message_of = message_of
    threading.Thread(target=numbering.Numberer(stopped=never).run).start()
    dispatch.Dispatcher(runner=ToldRunner(path), stopped=never).run()


def never(seconds):
    """Wait; no stop is ever asked for."""
    time.sleep(seconds)
    return False


def main():
    """Load everything once, then fork for each line."""
    configurations.setup()
    importlib.import_module("portal.services.dispatch")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    nursery = os.getpid()
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            hold(nursery, signal.SIGKILL)
            work(sys.argv[1])
        print(pid, flush=True)


if __name__ == "__main__":
    main()
