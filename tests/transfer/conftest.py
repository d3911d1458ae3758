"""What the tests of the byte door share: bare connections to the running portal, and an upload to try on."""

import contextlib

import pytest

from portal.storage.local import LocalStorage
from portal.transfer import whole_intake
from tests.raw import RawClient
from tests.samples import make_batch, make_token
from tests.transfer.at_once import AtOnce
from tests.transfer.uploads import Upload
from tests.transfer.wire import own_thread_pools


@pytest.fixture
def connect(portal_server, ann_api):
    """`connect()` opens a bare connection of ann's, or of the caller of `token`; all are closed at the end."""
    with contextlib.ExitStack() as stack:

        def open_client(token=ann_api.token, **options):
            return stack.enter_context(RawClient(portal_server.url, token=token, **options))

        yield open_client


@pytest.fixture
def upload(ann_api):
    """An upload of ann's: two whole parts and one of ten bytes, nothing sent yet."""
    return Upload(ann_api)


@pytest.fixture
def own_pools(transactional_db, monkeypatch):
    """Thread pools of this test's own, so that their database connections end with it; and no line of an ended loop."""
    monkeypatch.setattr(whole_intake.STORE, "_lines", {})
    with own_thread_pools(monkeypatch, 2):
        yield


@pytest.fixture(params=[True, False], ids=["in one step", "headers first"])
def put_at_once(request, own_pools, ann, tmp_path, monkeypatch):
    """What PUTs many files of ann's at once into one batch."""
    return AtOnce(make_token(ann), make_batch(ann), LocalStorage(tmp_path), monkeypatch, early=request.param)
