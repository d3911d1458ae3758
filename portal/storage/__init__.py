"""Where bytes live: `get_storage()` gives the backend that the settings name; `base` is the contract."""

from functools import cache
from pathlib import Path

from django.conf import settings
from django.utils.module_loading import import_string

from portal.storage.base import NoSpace, RangeBusy, Storage, StorageMisconfigured, StorageUnavailable
from portal.storage.local import LocalStorage

__all__ = ["NoSpace", "RangeBusy", "Storage", "StorageMisconfigured", "StorageUnavailable", "get_storage"]


def get_storage() -> Storage:
    """Return the one Storage of PORTAL_STORAGE_URL in this process; refuses a URL that it does not know."""
    return _open_storage(settings.PORTAL_STORAGE_URL)  # type: ignore[misc]  # it is in boot/settings.py


@cache
def _open_storage(url):
    if url.startswith("s3://"):
        # Imported only where it is used: the library behind it takes a while.
        return import_string("portal.storage.s3.S3Storage")(url)
    # Taken as it stands, never percent-decoded: a folder may have any name, and the default is a path.
    folder = url.removeprefix("file://")
    if folder == url or not folder.startswith("/") or not folder.strip("/"):
        detail = f"PORTAL_STORAGE_URL must be file:///absolute/folder or s3://bucket/prefix, not {url!r}."
        raise StorageMisconfigured(detail)
    return LocalStorage(Path(folder))
