"""A start takes no CPU for what nobody uses; afterwards all can be had, and garbage is collected again."""

import json
import os
import subprocess
import sys

import pytest
from django.conf import settings as kept
from django.test import override_settings

import boot.asgi  # noqa: F401 - from here on settings are read quickly
from boot.lean import UNUSED
from tests.server import OURS, ROOT

#: Loaded by a start once, and used by nothing on SQLite.
HEAVY = (*UNUSED, "psycopg")
CODE = f"""
import gc, importlib, json, sys
there = [name for name in {HEAVY} if name in sys.modules]
for name in {HEAVY}:
    importlib.import_module(name)
print(json.dumps([there, gc.isenabled(), gc.get_freeze_count() > 10_000]))
"""

#: Most commands are checked first, and the checks load all URLs.
CHECKED = "import sys; sys.argv[1:] = ['check']; import manage; manage.main()"
STARTS = {
    "server": ["-c", f"import boot.asgi\n{CODE}"],
    "command": ["manage.py", "shell", "--no-imports", "-c", CODE],
    "checked command": ["-c", f"{CHECKED}\n{CODE}"],
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_a_start_loads_nothing_that_is_not_used(start, tmp_path):
    env = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    env |= {"PORTAL_DATA_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, *start], env=env, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [[], True, True]


def test_a_setting_that_is_read_as_any_attribute_is_follows_every_change(settings):
    def read():
        return kept.PORTAL_RATE_LIMIT

    before = read()
    with override_settings(PORTAL_RATE_LIMIT=before + 1):
        assert read() == before + 1
    settings.PORTAL_RATE_LIMIT = before + 2
    assert read() == before + 2
    del settings.PORTAL_RATE_LIMIT
    with pytest.raises(AttributeError):
        read()
