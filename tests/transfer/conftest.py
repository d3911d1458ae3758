"""What the tests of the byte door share: bare connections to the running portal, and an upload to try on."""

import contextlib

import pytest

from tests.raw import RawClient
from tests.transfer.uploads import Upload


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
