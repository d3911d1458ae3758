"""Where the portal keeps its bytes in S3, parts go straight to the store, and the token never does."""

import secrets

import pytest

from portal_client import PortalClient, transport
from portal_client.bodies import Bytes
from portal_client.errors import ApiError, Unreachable
from portal_client.transport import Transport
from tests.api import Api
from tests.client.scripted import Scripted
from tests.client.trees import digests, make_tree, stored_files
from tests.s3 import CREDENTIALS
from tests.samples import pattern
from tests.server import LiveServer

MIB = 2**20
LARGE = {"large.bin": pattern(2 * 8 * MIB + 5)}
FILES = LARGE | {"small": b"1", "smaller": b""}


@pytest.fixture(scope="module")
def s3_portal(rclone, fresh_database, tmp_path_factory):
    """A portal with its bytes in a bucket."""
    env = CREDENTIALS | {"PORTAL_STORAGE_URL": rclone.storage_url(rclone.new_bucket())}
    with fresh_database() as url, LiveServer(tmp_path_factory.mktemp("portal"), database_url=url, env=env) as server:
        yield server


@pytest.fixture(scope="module")
def token(s3_portal):
    return s3_portal.create_token("ann")


@pytest.fixture
def s3_client(s3_portal, token):
    return PortalClient(s3_portal.url, token, cache=False)


@pytest.fixture
def name():
    return f"batch {secrets.token_hex(4)}"


@pytest.fixture
def sent(monkeypatch):
    """Each request, as `(method, url, whether it carries the token)`."""
    sent, send = [], Transport._send

    def recorded(pool, method, url, headers, outgoing):
        sent.append((method, url, "Authorization" in headers))
        return send(pool, method, url, headers, outgoing)

    monkeypatch.setattr(Transport, "_send", staticmethod(recorded))
    return sent


def parts_by(sent, url):
    """Return how many parts went to the portal, and how many past it."""
    puts = [place for method, place, _ in sent if method == "PUT" and ("/parts/" in place or "partNumber=" in place)]
    return sum(place.startswith(url) for place in puts), sum(not place.startswith(url) for place in puts)


def test_parts_go_past_the_portal_without_its_token(s3_client, s3_portal, token, tmp_path, name, sent):
    report = s3_client.upload_folder(make_tree(tmp_path / "folder", FILES), name)
    assert report.complete
    assert parts_by(sent, s3_portal.url) == (0, 3)
    assert not [url for _, url, has_token in sent if has_token and not url.startswith(s3_portal.url)]
    assert stored_files(Api(s3_portal.url, token), report.batch.id) == digests(FILES)
    s3_client.download_batch(name, tmp_path / "copy")
    assert s3_client.verify_folder(tmp_path / "copy", name).equal


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (ApiError(403, "http_403", "Expired.", {}), 2),
        (ApiError(503, "http_503", "Slow down.", {}), 1),
        (Unreachable("No way there."), 1),
    ],
    ids=repr,
)
def test_a_store_that_cannot_be_reached_gets_its_parts_by_the_portal(
    s3_client, s3_portal, token, tmp_path, name, sent, monkeypatch, error, asked
):
    tries = []

    def refuse(*_, **__):
        tries.append(1)
        raise error

    monkeypatch.setattr(s3_client.transport, "send_elsewhere", refuse)
    report = s3_client.upload_folder(make_tree(tmp_path / "folder", LARGE), name, parallel=1)
    assert report.complete
    assert (parts_by(sent, s3_portal.url), len(tries)) == ((3, 0), asked)
    assert stored_files(Api(s3_portal.url, token), report.batch.id) == digests(LARGE)


def test_a_store_that_fails_for_a_moment_is_asked_again(scripted, patient):
    scripted.answers = [Scripted(500), Scripted(503), Scripted(drop=True), Scripted(200)]
    body = Bytes(b"part")
    assert patient.transport.send_elsewhere("PUT", f"{scripted.url}/part?partNumber=1", body, {}).status == 200
    assert [asked.body for asked in scripted.asked] == [b"part"] * 4


def test_a_store_that_does_not_answer_is_waited_for_less_than_the_portal(scripted, patient, monkeypatch):
    monkeypatch.setattr(transport, "ELSEWHERE_SECONDS", 0.3)
    scripted.answers = [Scripted(drop=True)]
    patient.transport.patience = 300
    with pytest.raises(Unreachable):
        patient.transport.send_elsewhere("PUT", f"{scripted.url}/part", Bytes(b"part"), {})
    assert len(scripted.asked) > 1


def test_urls_that_have_expired_are_asked_for_again(s3_client, s3_portal, tmp_path, name, sent, monkeypatch):
    send_elsewhere, refused = s3_client.transport.send_elsewhere, []

    def refuse_once(*arguments, **options):
        if not refused:
            refused.append(1)
            raise ApiError(403, "http_403", "Expired.", {})
        return send_elsewhere(*arguments, **options)

    monkeypatch.setattr(s3_client.transport, "send_elsewhere", refuse_once)
    assert s3_client.upload_folder(make_tree(tmp_path / "folder", LARGE), name).complete
    assert parts_by(sent, s3_portal.url) == (0, 3)


def test_a_folder_of_the_portals_own_is_asked_once(client, portal_server, tmp_path, name, sent):
    files = LARGE | {"other.bin": pattern(9 * MIB)}
    assert client.upload_folder(make_tree(tmp_path / "folder", files), name, parallel=1).complete
    assert parts_by(sent, portal_server.url) == (5, 0)
    assert len([url for _, url, _ in sent if url.endswith("/presign")]) == 1
