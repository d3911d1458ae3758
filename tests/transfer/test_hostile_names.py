"""200 hostile file names: stored under names of our own, listed back exactly, sent in a header that is only a name."""

import email
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.api import Api, expect
from tests.raw import RawClient
from tests.transfer.hostile_names import REFUSED, hostile_names
from tests.transfer.uploads import problem

#: RFC 6266 as far as we use it: a quoted string of printable ASCII, or the extended form; nothing before or after.
QUOTED = re.compile(r'attachment; filename="((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e])*)"')
EXTENDED = re.compile(r"attachment; filename\*=utf-8''((?:[A-Za-z0-9!#$&+.^_`|~/-]|%[0-9A-F]{2})*)")


def read_filename(header):
    """Return the name that a Content-Disposition of ours gives; fails when it gives anything else."""
    quoted, extended = QUOTED.fullmatch(header), EXTENDED.fullmatch(header)
    assert quoted or extended, header
    return re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else unquote(extended[1], errors="strict")


@pytest.fixture(scope="module")
def names():
    """200 names."""
    names = hostile_names()
    assert len(set(names)) == 200
    return names


@pytest.fixture(scope="module")
def files(portal_server, ann_api, names):
    """The members of a file under each name, in their order."""

    def store(name):
        api = Api(portal_server.url, ann_api.token)
        return api.store(name.encode(), original_filename=name)

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(store, names))


def test_each_name_is_told_back_exactly(ann_api, names, files):
    assert [file["original_filename"] for file in files] == names
    listed, path = {}, "/files?limit=1000"
    while path:
        page = expect(200, ann_api.get(path.removeprefix(ann_api.url)))
        listed |= {file["id"]: file["original_filename"] for file in page["results"]}
        path = page["next"]
    assert [listed[file["id"]] for file in files] == names


def test_each_name_comes_with_its_bytes_in_a_header_that_is_only_a_name(portal_server, ann_api, names, files):
    with RawClient(portal_server.url, token=ann_api.token) as client:
        for name, file in zip(names, files, strict=True):
            answer = client.ask("GET", f"/files/{file['id']}/content")
            assert answer.body == name.encode()
            assert read_filename(answer.header("content-disposition")) == name
            assert answer.header("x-evil") is None


def test_a_parser_of_messages_reads_each_header_without_surprise(ann_api, names, files):
    for file in files:
        header = ann_api.call("HEAD", f"/files/{file['id']}/content").headers["Content-Disposition"]
        message = email.message_from_string(f"Content-Disposition: {header}\n\nbody")
        assert message.keys() == ["Content-Disposition"]
        assert message.get_content_disposition() == "attachment"
        assert message.get_payload() == "body"
        parameters = [key for key, _ in message.get_params(header="content-disposition")[1:]]
        assert parameters[:1] == ["filename"]


def test_no_name_becomes_a_name_on_the_disk(portal_server, names, files):
    folder = Path(portal_server.data_dir, "storage")
    stored = [path for path in folder.rglob("*") if not path.is_dir()]
    assert len(stored) >= 200
    assert all(re.fullmatch("[0-9a-f]{32,}", path.name) for path in stored), stored
    for name in names:
        assert not any(path.name == name.rpartition("/")[2] for path in stored)
    for place in (folder, folder.parent, folder.parent.parent, Path.cwd()):
        assert not {"evil", "x", "passwd", "evil.exe"} & {path.name for path in place.iterdir()}


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_with_control_characters_or_none_is_refused(ann_api, name):
    answer = ann_api.post("/uploads/sessions", {"original_filename": name, "total_size_bytes": 1})
    assert problem(answer) == (400, "invalid")


@pytest.mark.parametrize("text", ['"\\ud800"', '"a\\udfffb"', "5", "true", "null", '["a"]', '{"a": 1}'])
def test_what_is_no_text_is_refused(ann_api, text):
    body = f'{{"original_filename": {text}, "total_size_bytes": 1}}'
    answer = ann_api.call("POST", "/uploads/sessions", data=body, headers={"Content-Type": "application/json"})
    assert problem(answer) == (400, "invalid")
