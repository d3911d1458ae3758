"""Who wants to see how it goes is told by these calls, from many threads."""

from portal_client.sources import Failure


class Progress:
    """Does nothing; whoever shows something overrides what it needs. Sizes are bytes."""

    def begin(self, files: int, size: int) -> None:
        """So much is to be handled in all."""

    def start(self, path: str, size: int) -> None:
        """One file is begun."""

    def advance(self, path: str, size: int) -> None:
        """Bytes of it went out; fewer than nothing when a try had failed and is taken back."""

    def finish(self, path: str, failure: Failure | None = None) -> None:
        """One file has ended: stored, or not."""

    def say(self, text: str) -> None:
        """Something that takes a while begins."""
