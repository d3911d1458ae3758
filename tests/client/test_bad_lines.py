"""A folder over a line that breaks off, to a portal that is killed now and then, ends complete all the same."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from urllib.parse import unquote

import pytest

from portal_client import PortalClient
from portal_client.transport import Transport
from tests.api import Api, expect
from tests.client.bad_line import BadLine
from tests.client.trees import digests, make_tree, stored_files
from tests.rounds import FULL, make_dice, pytest_runtest_makereport  # noqa: F401 - a hook: the seed is told
from tests.samples import pattern
from tests.server import LiveServer

MIB = 2**20
FILES, LARGE = (10_000, [100 * MIB] * 3) if FULL else (200, [17 * MIB])
CUT_SECONDS, KILL_SECONDS, KILLS = (3.0, 10.0, 1000) if FULL else (0.2, 0.3, 1)
#: The first kill comes sooner: a fast machine is done with all of it within ten seconds.
FIRST_KILL_SECONDS = 2.0 if FULL else KILL_SECONDS
PARALLEL = 8
NAME = "over a bad line"
#: What goes over the line for a file besides its bytes: headers of a request, or of a member of a tar.
HEAD_BYTES = 3072


def source_tree(dice):
    """Return paths and bytes of files as a source tree has them: many small, some not, and a few that are large."""
    sizes = [min(int(dice.lognormvariate(8, 1.6)), 4 * MIB) for _ in range(FILES)]
    small = {f"src/{n % 97}/-m {n} \u00e9.py": pattern(size, seed=n) for n, size in enumerate(sizes)}
    return small | {f"data/{n}.bin": pattern(size, seed=f"large {n}") for n, size in enumerate(LARGE)}


@pytest.fixture
def mortal(tmp_path, fresh_database):
    """A server of this test's own, to be killed."""
    with fresh_database() as url, LiveServer(tmp_path / "portal", database_url=url) as server:
        yield server


def upload_while_killing(server, client, folder):
    """Return the report of an upload, and how often the server was killed under it.

    A process ends with the thread that started it, so this one does the killing.
    """
    kills, pause = 0, FIRST_KILL_SECONDS
    with ThreadPoolExecutor(1) as threads:
        upload = threads.submit(client.upload_folder, folder, NAME)
        while kills < KILLS and not wait([upload], timeout=pause).done:
            server.kill()
            server.start()
            kills, pause = kills + 1, KILL_SECONDS
        return upload.result(), kills


@pytest.fixture
def acknowledged(monkeypatch):
    """How often which file, or which part of one, was answered for as stored."""
    counts = Counter()
    send = Transport._send

    def recorded(pool, method, url, headers, outgoing):
        answer = send(pool, method, url, headers, outgoing)
        if method == "PUT" and answer.status < 300:
            counts[unquote(url.partition("/files/")[2] or url)] += 1
        elif method == "POST" and url.endswith("/files") and answer.status < 300:
            counts.update(result["path"] for result in answer.members["results"] if result["status"] == "STORED")
        return answer

    monkeypatch.setattr(Transport, "_send", staticmethod(recorded))
    return counts


def test_all_arrives_and_nothing_twice_but_what_was_in_flight(mortal, tmp_path, acknowledged):
    dice = make_dice("bad lines")
    files = source_tree(dice)
    folder = make_tree(tmp_path / "folder", files)
    token = mortal.create_token("ann")
    cache = tmp_path / "digests.sqlite3"
    with BadLine(mortal.port, seconds=CUT_SECONDS, dice=dice) as line:
        client = PortalClient(line.url, token, parallel=PARALLEL, cache=cache, patience=600)
        report, kills = upload_while_killing(mortal, client, folder)
    assert report.failures == []
    assert report.complete
    assert (line.cuts > 0, kills > 0) == (True, True)
    # What was answered for was not sent again; all else that went over the line was in flight when it broke off.
    assert set(acknowledged.values()) == {1}
    assert set(acknowledged) >= {path for path, data in files.items() if len(data) <= 8 * MIB}
    assert line.sent - line.lost <= report.size + len(files) * HEAD_BYTES
    acknowledged.clear()
    again = PortalClient(mortal.url, token, cache=cache).upload_folder(folder, NAME)
    assert (again.already, again.sent_bytes, again.receipt) == (len(files), 0, report.receipt)
    assert not acknowledged
    api = Api(mortal.url, token)
    assert stored_files(api, report.batch.id) == digests(files)
    batch = expect(200, api.get(f"/batches/{report.batch.id}"))
    assert (batch["status"], batch["stored_count"], batch["stored_bytes"]) == ("COMPLETE", len(files), report.size)
    assert "drift=0" in mortal.command("reconcile_batches")
    checked = PortalClient(mortal.url, token, cache=False).verify_folder(folder, batch["id"])
    assert checked.equal
