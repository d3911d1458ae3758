"""The scanner that the settings name."""

import shlex
from contextlib import suppress
from urllib.parse import urlsplit

from portal.inspection.base import ScannerMisconfigured
from portal.inspection.clamd import Clamd
from portal.inspection.command import Command

CLAMD_PORT = 3310


def open_scanner(url, timeout):
    """Return the Scanner that `url` names; raises ScannerMisconfigured.

    `clamd:///path/of/socket` and `clamd://host:3310` are ClamAV's daemon, `command:/path/to/scan --option` a command.
    """
    if url.startswith("command:"):
        return Command(shlex.split(url.removeprefix("command:")), timeout)
    parts = urlsplit(url)
    with suppress(ValueError):
        if parts.scheme == "clamd" and bool(parts.hostname) != bool(parts.path):
            return Clamd(parts.path or (parts.hostname, parts.port or CLAMD_PORT), timeout)
    raise ScannerMisconfigured("PORTAL_SCANNER must be like clamd:///run/clamd.ctl, clamd://host:3310 or command:scan.")
