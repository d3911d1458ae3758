"""What a test asks of the machine: skipped where it is missing at home, a failure where CI is set."""

import os
import shutil

import pytest


def need_tool(name):
    """Return the path of the program `name`; without it skip the test, or fail it when CI is set."""
    path = shutil.which(name)
    if path is None:
        miss(f"needs the program {name}")
    return path


def miss(reason):
    """Skip the test for `reason`, or fail it when CI is set: a run that counts leaves nothing out."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}, and CI is set", pytrace=False)
    pytest.skip(reason)
