"""The client's page: every command and option, every exit code, and a folder by curl alone."""

import os
import subprocess

import pytest
from typer.main import get_command

from portal_client.cli import app
from portal_client.cli.app import Exit
from tests.api import expect
from tests.client.trees import digests, make_tree, stored_files
from tests.docs.pages import backticked, named, read, rows, section, shell_blocks

PAGE = read("client/README.md")
COMMANDS = get_command(app)
OF_TYPER = {"--help", "--install-completion", "--show-completion"}
USAGE = 2


def long_options(command):
    """Return the options of a command as people write them."""
    names = {name for parameter in command.params for name in parameter.opts if name.startswith("--")}
    return names - OF_TYPER


def test_every_command_is_described():
    described = [named(row[0]).split()[1] for row in rows(section(PAGE, "The commands")) if "`portal " in row[0]]
    assert sorted(described) == sorted(COMMANDS.commands)


def test_every_option_is_described():
    described = {name for name in backticked(section(PAGE, "The commands")) if name.startswith("--")}
    options = long_options(COMMANDS).union(*map(long_options, COMMANDS.commands.values()))
    assert described == options


@pytest.mark.parametrize("name", COMMANDS.commands)
def test_a_command_has_the_options_that_the_page_gives_it(name):
    table = [row for row in rows(section(PAGE, "The commands")) if len(row) == 3]
    found = {option for row in table if name in backticked(row[1]) for option in backticked(row[0])}
    all_but_login = {"--json"}
    found = found - all_but_login if name == "login" else found | all_but_login
    assert found == long_options(COMMANDS.commands[name])


def test_every_exit_code_is_described():
    codes = {int(named(row[0])) for row in rows(section(PAGE, "The commands")) if named(row[0]).isdigit()}
    assert codes == {USAGE, *Exit}


def test_a_folder_goes_up_by_curl_and_is_verified(ann_api, need, tmp_path):
    for tool in ("curl", "od", "sha256sum"):
        need(tool)
    files = {"a b/ü.txt": b"1", "-rf": b"2", "100%?#": b"3", "empty": b"", "back `tick` $x": b"4"}
    make_tree(tmp_path, files)
    (script,) = [block for block in shell_blocks(PAGE) if "sha256sum" in block]
    env = {"PATH": os.environ["PATH"], "URL": ann_api.url, "TOKEN": ann_api.token}
    done = subprocess.run(["sh", "-e", "-c", script], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("verified\n")
    batch_id = done.stdout.splitlines()[0].removeprefix("BATCH=")
    assert expect(200, ann_api.get(f"/batches/{batch_id}"))["status"] == "COMPLETE"
    assert stored_files(ann_api, batch_id) == digests(files)
