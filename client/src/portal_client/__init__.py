"""Hands files and folders over to an ingest portal, goes on where it broke off, and proves what was stored.

`PortalClient(url, token).upload_folder("scans", batch="March")` is the whole of it for most; `portal upload scans` the
same on the command line. It keeps to the portal's published API and imports nothing of the server.
"""

from portal_client import errors
from portal_client.client import PortalClient
from portal_client.downloads import DownloadReport
from portal_client.errors import ApiError, Corrupt, PortalError, SourceFailed, Stopped, Unreachable
from portal_client.folders import UploadReport
from portal_client.members import Batch, File, Limits, Receipt, Session
from portal_client.progress import Progress
from portal_client.sources import Failure
from portal_client.verifying import VerifyReport

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
