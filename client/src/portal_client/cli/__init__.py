"""The command `portal`: a folder handed over by one line, to be run again at any time."""

import signal
from types import FrameType

from portal_client.cli import batches, checks, downloads, login, seals, uploads
from portal_client.cli.app import app

__all__ = ["app", "batches", "checks", "downloads", "login", "main", "seals", "uploads"]


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command that the arguments name; SIGTERM ends it as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _interrupt)
    app(prog_name="portal")
