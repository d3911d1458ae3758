"""The portal's lists, as iterators over all of their pages."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

from portal_client.members import Batch, File, Page, Session
from portal_client.transport import Transport

PAGE = 1000


class Lists:
    """What one has at the portal; a page is asked for when its first row is wanted."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def pages(self, path: str, **query: object) -> Iterator[list[dict[str, Any]]]:
        """Yield the results of a list, page by page."""
        asked = urlencode({"limit": PAGE, **{name: value for name, value in query.items() if value is not None}})
        following: str | None = f"{path}?{asked}"
        while following:
            page = Page.read(self.transport.call("GET", following).members)
            yield page.results
            # The address may be another than ours, behind a proxy: the query is what counts.
            following = f"{path}?{urlsplit(page.next).query}" if page.next else None

    def batches(self, status: str | None = None) -> Iterator[Batch]:
        """Yield one's batches, newest first."""
        for page in self.pages("/batches", status=status):
            yield from map(Batch.read, page)

    def files(
        self, batch_id: str | None = None, *, status: str | None = None, path_prefix: str | None = None
    ) -> Iterator[File]:
        """Yield the files of a batch by id, or by path when a prefix is given (`""` is every path); or all of one's."""
        path = f"/batches/{batch_id}/files" if batch_id else "/files"
        for page in self.pages(path, status=status, path_prefix=path_prefix):
            yield from map(File.read, page)

    def sessions(self, status: str | None = None) -> Iterator[Session]:
        """Yield one's upload sessions, newest first."""
        for page in self.pages("/uploads/sessions", status=status):
            yield from map(Session.read, page)
