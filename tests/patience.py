"""Waiting for what another thread or process brings about, instead of a pause that is too short or too long."""

import time


def wait_until(condition, seconds=30):
    """Return once `condition()` is true; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)
