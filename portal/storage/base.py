"""The storage contract: what every place for bytes can do, and which errors it names.

A session's bytes go one way: `create_staging` makes an empty staging file; each part is written to its own
byte range of it (`open_part`); `hold` locks the whole file, whose bytes are hashed once and then moved to
their object (`publish`); `open_object` gives them out. A file that comes in one request is written straight
to an object that nobody names yet (`create_object`, `finish_objects`). What nobody names any more is removed,
or goes by way of the trash.

A staging key is `<2 hex>/<32 hex>`, an object key `<2 hex>/<2 hex>/<32 hex>`; the caller makes them, never
from a name that a client sent. Any other shape is refused with ValueError. Sizes and offsets are bytes,
digests lower-case hex. Errors: FileNotFoundError, FileExistsError, and the four below; every other OSError
comes as StorageUnavailable.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

from portal.storage.handles import HeldFile, NewObject, PartRange, StoredObject


class StorageMisconfigured(Exception):
    """This storage cannot keep its promises here; a person has to change a setting. Raised at start only."""


class StorageUnavailable(OSError):
    """The storage does not do what it should; nothing is lost, and trying again later may help."""


class NoSpace(StorageUnavailable):
    """The disk or the quota is full."""


class RangeBusy(Exception):
    """Somebody else is writing to the file, or holds it."""


class Storage(ABC):
    """Where bytes live. Knows keys and bytes; knows no models, no HTTP, no users.

    Every backend passes tests/storage/contract.py. A kind is "staging", "objects" or "trash".
    """

    backend: str  #: The name that a row keeps of where its bytes are.
    presigns = False  #: True when clients may send parts straight to the backend.

    @abstractmethod
    def create_staging(self, key: str) -> None:
        """Make an empty staging file that survives a power cut; FileExistsError if it is there."""

    @abstractmethod
    def open_part(self, key: str, *, offset: int, length: int) -> PartRange:
        """Open one byte range for one writer, not locked yet; never creates: FileNotFoundError."""

    @abstractmethod
    def hold(self, staging_key: str, object_key: str) -> HeldFile:
        """Lock the whole file: the staging file, or the object where a crash came after the move.

        RangeBusy while any range is held, FileNotFoundError if it is at neither place.
        """

    @abstractmethod
    def create_object(self, key: str) -> NewObject:
        """Begin an object for one writer; FileExistsError if it is there. Until it is finished it is rubbish."""

    @abstractmethod
    def finish_objects(self, objects: Iterable[NewObject]) -> None:
        """Make these objects survive a power cut, bytes and names, and close them: one round of syncs for all.

        After an error nothing is known of any of them.
        """

    @abstractmethod
    def open_object(self, key: str) -> StoredObject:
        """Open an object for reading; takes no lock. FileNotFoundError if it is gone."""

    @abstractmethod
    def remove_staging(self, key: str) -> None:
        """Remove a staging file for good; does nothing when it is gone."""

    @abstractmethod
    def remove_object(self, key: str) -> None:
        """Remove an object for good; does nothing when it is gone."""

    @abstractmethod
    def trash_staging(self, key: str) -> None:
        """Move a staging file to the trash; does nothing when it is gone."""

    @abstractmethod
    def trash_object(self, key: str) -> None:
        """Move an object to the trash; does nothing when it is gone."""

    @abstractmethod
    def purge_trash(self, name: str) -> None:
        """Remove what `old_keys("trash", …)` named; does nothing when it is gone."""

    @abstractmethod
    def old_keys(self, kind: str, *, older_than_seconds: float) -> Iterator[str]:
        """Yield the keys (for the trash the names) of what is older, in no order and in constant memory."""

    @abstractmethod
    def count_keys(self, kind: str) -> int:
        """Count everything of a kind; takes as long as a listing."""

    @abstractmethod
    def age_seconds(self, kind: str, key: str) -> float | None:
        """Return the time since its bytes or its name changed, whichever is later; None when it is gone."""

    @abstractmethod
    def free_bytes(self) -> int:
        """Return how many more bytes fit."""

    @abstractmethod
    def check(self) -> None:
        """Write, sync and remove a probe; StorageUnavailable with a sentence that says what is wrong."""
