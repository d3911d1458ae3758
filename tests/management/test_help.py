"""Every command says what it is for."""

import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import load_command_class

from portal.management import commands
from tests.server import ROOT

NAMES = sorted(path.stem for path in Path(commands.__path__[0]).glob("*.py") if path.stem != "__init__")


def test_the_commands_of_the_contract_are_there():
    assert set(NAMES) >= {"create_token", "revoke_token", "cleanup_uploads", "reconcile_batches", "run_worker"}


@pytest.mark.parametrize("name", NAMES)
def test_help_says_what_a_command_does_and_what_it_takes(capsys, name):
    command = load_command_class("portal", name)
    parser = command.create_parser("manage.py", name)
    assert len(command.help) > 40
    own = [action for action in parser._actions if action.dest not in command.base_stealth_options]
    told = {action.dest: action.help for action in own}
    assert all(told[action.dest] for action in own if action.dest != "username"), told
    command.print_help("manage.py", name)
    assert command.help.split()[0] in capsys.readouterr().out


def test_help_is_there_from_a_shell():
    command = [sys.executable, ROOT / "manage.py", "create_token", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    assert "--expires-in" in done.stdout
