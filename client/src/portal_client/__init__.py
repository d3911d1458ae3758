"""Hands files and folders over to an ingest portal, goes on where it broke off, and proves what was stored.

`PortalClient(url, token).upload_folder("scans", batch="March")` is the whole of it for most; `portal upload scans` the
same on the command line. It keeps to the portal's published API and imports nothing of the server.

What stands here is imported when it is asked for: the command is to hear Ctrl-C before it has loaded all of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from portal_client import errors
    from portal_client.client import PortalClient
    from portal_client.downloads import DownloadReport
    from portal_client.errors import ApiError, Corrupt, PortalError, SourceFailed, Stopped, Unreachable
    from portal_client.folders import UploadReport
    from portal_client.members import Batch, File, Limits, Receipt, Session
    from portal_client.progress import Progress
    from portal_client.sources import Failure
    from portal_client.verifying import VerifyReport

__version__ = "0.1.0"
__all__ = [
    "ApiError",
    "Batch",
    "Corrupt",
    "DownloadReport",
    "Failure",
    "File",
    "Limits",
    "PortalClient",
    "PortalError",
    "Progress",
    "Receipt",
    "Session",
    "SourceFailed",
    "Stopped",
    "Unreachable",
    "UploadReport",
    "VerifyReport",
    "errors",
]
_HOMES = ("errors", "members", "client", "downloads", "folders", "progress", "sources", "verifying")


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return import_module(f"portal_client.{name}")
    if name in __all__:
        for home in map(import_module, (f"portal_client.{each}" for each in _HOMES)):
            if hasattr(home, name):
                return getattr(home, name)
    raise AttributeError(f"module 'portal_client' has no attribute {name!r}")
