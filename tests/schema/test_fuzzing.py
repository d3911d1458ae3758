"""Schemathesis over the running portal: whatever is sent, no 5xx and nothing that /schema does not tell of."""

import json
import os
import subprocess
import sys

import pytest

from tests.schema.description import Description
from tests.views.callers import ALL, make_callers, new_name

#: Enough for each operation to be reached with good and bad input, in well under a minute.
EXAMPLES = 40
#: Input that fits the description may be refused all the same: a cursor is opaque, a part must have its size.
#: And a batch that was cancelled is still there, as it has to be.
LEFT_OUT = "positive_data_acceptance,use_after_free"
SECONDS = 240


def fuzz(server, token, folder):
    """Run all phases (coverage, fuzzing, stateful) with all checks but those left out; return the finished process."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/schema"]
    command += ["--header", f"Authorization: Bearer {token}", "--checks", "all", "--exclude-checks", LEFT_OUT]
    # A stream has no end to wait for; tests/transfer/test_live.py is about it.
    command += ["--exclude-path-regex", "/stream$"]
    command += ["--max-examples", str(EXAMPLES), "--generation-deterministic", "--continue-on-failure", "--no-color"]
    env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    # Its own cache and its own settings file, if any: of this folder, not of ours.
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=SECONDS)


def answered(lines, description):
    """Return the operations that were answered with success, by their names."""
    names = set()
    for line in lines:
        told = json.loads(line) if line.startswith("{") else {}
        if told.get("event") == "request" and 200 <= told["status"] < 300:
            _, operation = description.find(told["method"], told["path"])
            names |= {operation["operationId"]} if operation else set()
    return names


def faults(lines):
    """Return the lines that tell of a 5xx or of an error that nobody named."""
    return [line for line in lines if '"status": 5' in line or '"level": "error"' in line or "Traceback" in line]


@pytest.mark.timeout(SECONDS + 60)
def test_no_input_makes_a_fault_or_an_answer_that_is_not_described(portal_server, tmp_path):
    carol = make_callers(portal_server, carol=(new_name(), ALL, "active"))["carol"]
    description = Description(portal_server.url)
    before = len(portal_server.read_log())
    done = fuzz(portal_server, carol.token, tmp_path)
    lines = portal_server.read_log()[before:].splitlines()
    assert done.returncode == 0, f"{done.stdout[-20_000:]}\n{done.stderr[-2_000:]}"
    assert faults(lines) == []
    # A run that never gets past the refusals would find nothing.
    reached = answered(lines, description)
    assert reached >= {"create_batch", "get_batch", "list_batch_files", "create_session", "get_session", "list_files"}
