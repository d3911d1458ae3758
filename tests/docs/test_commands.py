"""Every command with its options, and every make target, is described."""

import re

import pytest
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

from tests.docs.pages import ROOT, backticked, named, read, rows, section

COMMANDS = sorted(name for name, app in get_commands().items() if app == "portal")
PAGE = read("aikb/cli.md")
#: What every command of Django's takes.
OF_DJANGO = {action.dest for action in BaseCommand().create_parser("manage.py", "any")._actions}


def make_targets():
    """Return the targets that are no files: all that people call."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())


def known_to_django(command):
    """Return the arguments that Django itself describes: those of every command, and of one that ours adds to."""
    of_django = [
        base for base in type(command).__mro__ if base.__module__.startswith("django.core.management.commands")
    ]
    return OF_DJANGO | {
        action.dest for base in of_django for action in base().create_parser("manage.py", "any")._actions
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_described_with_all_its_arguments(command):
    loaded = load_command_class("portal", command)
    parser = loaded.create_parser("manage.py", command)
    ours = [action for action in parser._actions if action.dest not in known_to_django(loaded)]
    expected = {action.option_strings[0] if action.option_strings else action.dest for action in ours}
    assert {named(row[0]) for row in rows(section(PAGE, command))} == expected


def test_no_command_is_described_that_is_not_there():
    headings = set(re.findall(r"^## ([a-z_]+)$", PAGE, re.MULTILINE))
    assert headings == set(COMMANDS)


def test_the_readme_lists_every_command_and_every_target():
    listed = {named(row[0]).split()[0] for row in rows(section(read("README.md"), "Commands"))}
    assert listed - {"make"} == set(COMMANDS)
    targets = {named(row[0]) for row in rows(section(read("README.md"), "Commands"))}
    assert {text for text in targets if text.startswith("make ")} == {f"make {name}" for name in make_targets()}


def test_the_page_lists_every_target():
    assert {named(row[0]) for row in rows(section(PAGE, "Make targets"))} == {f"make {name}" for name in make_targets()}


def test_the_choices_of_a_scope_are_named():
    parser = load_command_class("portal", "create_token").create_parser("manage.py", "create_token")
    choices = next(action.choices for action in parser._actions if action.dest == "scope")
    assert set(choices) <= set(backticked(section(PAGE, "create_token")))
