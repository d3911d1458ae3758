"""What the tools say of the whole tree: ruff, Django's checks, and whether a migration is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command

from tests.design.modules import ROOT


def run(tmp_path, *command):
    """Run a command at the root with a data folder of its own; return what it said, fail when it failed."""
    env = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    env |= {"PORTAL_DATA_DIR": str(tmp_path), "DJANGO_CONFIGURATION": "Dev"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("arguments", [["check"], ["format", "--check"]])
def test_ruff_has_nothing_to_say(tmp_path, arguments):
    run(tmp_path, Path(sys.executable).parent / "ruff", *arguments, "--no-cache", ".")


def test_django_checks_the_settings(tmp_path):
    assert "no issues" in run(tmp_path, sys.executable, "manage.py", "check")


@pytest.mark.django_db
def test_no_migration_is_missing():
    call_command("makemigrations", "portal", check=True, dry_run=True, verbosity=0)
