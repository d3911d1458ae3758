"""How often chance is tried, and from which seed: both chosen by the environment, the seed told by the report.

PORTAL_TEST_ROUNDS=full asks for the full counts (`make test-full`); a run is repeated with the PORTAL_TEST_SEED
that it told.
"""

import os
import random
import secrets

import pytest

FULL = os.environ.get("PORTAL_TEST_ROUNDS") == "full"
LEAST = 20
#: Kept in the environment, so that processes which this one starts throw the same dice.
SEED = int(os.environ.setdefault("PORTAL_TEST_SEED", str(secrets.randbelow(10**9))))


def rounds(full):
    """Return `full` when the full counts are asked for, else a tenth of it, and at least 20."""
    return full if FULL else max(LEAST, full // 10)


def make_dice(name):
    """Return the random numbers of `name`: the same for the same seed, whatever else runs."""
    return random.Random(f"{SEED} {name}")


def seed_line():
    """Return the line of the report that tells how to repeat this run."""
    return f"chance: PORTAL_TEST_SEED={SEED}, {'full counts' if FULL else 'a tenth of the full counts'}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Put the seed under a failure; a conftest imports this hook for the tests of its folder."""
    report = yield
    if report.failed:
        report.sections.append(("Chance", seed_line()))
    return report
