"""Where bytes live: `get_storage()` gives the backend that the settings name; `base` is the contract."""

from functools import cache
from pathlib import Path

from django.conf import settings
from django.utils.module_loading import import_string

from portal.storage.base import NoSpace, RangeBusy, Storage, StorageMisconfigured, StorageUnavailable
from portal.storage.local import LocalStorage

__all__ = [
    "NoSpace",
    "RangeBusy",
    "Storage",
    "StorageMisconfigured",
    "StorageUnavailable",
    "get_storage",
    "get_storages",
    "open_storage",
]


def get_storage(backend=None) -> Storage:
    """Return the Storage of PORTAL_STORAGE_URL, or of the two that are set the one of this kind, such as "s3".

    Refuses a URL that it does not know; StorageUnavailable when no storage of that kind is set.
    """
    for storage in get_storages():
        if backend in (None, storage.backend):
            return storage
    raise StorageUnavailable(f"Bytes are in a storage of kind {backend}, which PORTAL_STORAGE_OTHER_URL does not name.")


def get_storages() -> list[Storage]:
    """Return the Storage where new files go, then the other one, if there is one, where files may be as well."""
    first = open_storage(settings.PORTAL_STORAGE_URL)  # type: ignore[misc]  # it is in boot/settings.py
    other_url = settings.PORTAL_STORAGE_OTHER_URL  # type: ignore[misc]
    if not other_url:
        return [first]
    other = open_storage(other_url)
    if other.backend == first.backend:
        # A row says of which kind its storage is, and no more.
        raise StorageMisconfigured("PORTAL_STORAGE_URL and PORTAL_STORAGE_OTHER_URL must be of two kinds.")
    return [first, other]


@cache
def open_storage(url) -> Storage:
    """Return the one Storage of a URL in this process; StorageMisconfigured for one that is not known."""
    if url.startswith("s3://"):
        # Imported only where it is used: the library behind it takes a while.
        return import_string("portal.storage.s3.S3Storage")(url)
    # Taken as it stands, never percent-decoded: a folder may have any name, and the default is a path.
    folder = url.removeprefix("file://")
    if folder == url or not folder.startswith("/") or not folder.strip("/"):
        detail = f"PORTAL_STORAGE_URL must be file:///absolute/folder or s3://bucket/prefix, not {url!r}."
        raise StorageMisconfigured(detail)
    return LocalStorage(Path(folder))
