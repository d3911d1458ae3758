"""The curl of the README does what the README says, against the server as it is run; the guide fits on a page."""

import hashlib
import json
import os
import re
import subprocess

import pytest

from tests.api import expect
from tests.docs.pages import read, section, shell_blocks
from tests.samples import CHUNK, pattern

THREE = shell_blocks(section(read("README.md"), "Three files in ten lines of curl"))
LARGE = shell_blocks(section(read("README.md"), "A large file, and how to go on with it"))


@pytest.fixture
def shell(ann_api, need, tmp_path):
    """Give a function that runs a block as a reader would, with an address and a token; it returns what was printed."""
    need("curl")

    def run(script, **variables):
        env = {"PATH": os.environ["PATH"], "URL": ann_api.url, "TOKEN": ann_api.token} | variables
        done = subprocess.run(["sh", "-e", "-c", script], env=env, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def last_json(printed):
    """Return the last object that was printed; curl puts no newline between answers."""
    return json.loads(printed[printed.rindex('{"id":') :])


def test_there_is_one_block_for_each():
    assert len(THREE) == len(LARGE) == 1


def test_three_files_make_a_batch_that_is_complete(shell, ann_api):
    printed = shell(THREE[0])
    batch = last_json(printed)
    assert (batch["status"], batch["stored_count"], batch["total_files"]) == ("COMPLETE", 3, 3)
    assert batch["completed_at"]
    files = expect(200, ann_api.get(f"/batches/{batch['id']}/files?status=STORED"))["results"]
    assert [file["original_filename"] for file in files] == ["one", "two", "three"]
    assert [file["path"] for file in files] == ["one.txt", "two.txt", "three.txt"]
    contents = [ann_api.get(f"/files/{file['id']}/content").content for file in files]
    assert contents == [b"one", b"two", b"three"]


def test_three_files_take_ten_lines_of_curl_sed_and_shell():
    lines = THREE[0].splitlines()
    assert len(lines) <= 10
    commands = set(re.findall(r"(?:^|[|(;]) *([a-z]+)\b(?!=)", THREE[0], re.MULTILINE))
    assert commands <= {"curl", "sed", "for", "do", "done", "s"}


def test_every_line_of_shell_can_be_read():
    lines = [line for block in shell_blocks(read("README.md")) for line in block.splitlines()]
    assert max(map(len, lines)) <= 120


def test_a_file_of_several_parts_is_stored(shell, tmp_path, ann_api):
    data = pattern(2 * 8 * 2**20 + 5)
    (tmp_path / "large.bin").write_bytes(data)
    printed = shell(LARGE[0], FILE="large.bin")
    file = last_json(printed)
    assert (file["status"], file["sha256"]) == ("STORED", hashlib.sha256(data).hexdigest())


def test_what_is_missing_is_sent_and_nothing_else(shell, tmp_path, ann_api):
    data = pattern(5 * CHUNK + 7)
    (tmp_path / "again.bin").write_bytes(data)
    session = ann_api.open_session(len(data), original_filename="again.bin")
    for number in (2, 5):
        expect(200, ann_api.put_part(session, number, data[(number - 1) * CHUNK : number * CHUNK]))
    printed = shell(LARGE[0], FILE="again.bin", LARGE=session["session_id"])
    sent = [int(number) for number in re.findall(r'"part_number":(\d+)', printed)]
    assert sent == [1, 3, 4, 6]
    again = shell(LARGE[0], FILE="again.bin", LARGE=session["session_id"])
    assert "part_number" not in again
    assert last_json(again)["sha256"] == hashlib.sha256(data).hexdigest()


def test_the_guide_is_one_page():
    assert len(read("CLAUDE.md").splitlines()) <= 80
