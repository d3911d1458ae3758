"""The storage contract: what every place for bytes can do, and which errors it names.

A session's bytes go one way: `create_staging` makes an empty staging file; each part is written to its own
byte range of it (`open_part`); `hold` locks the whole file, whose bytes are hashed once and then moved to
their object (`publish`); `open_object` gives them out. A file that comes in one request is written straight
to an object that nobody names yet (`create_object`, `finish_objects`). What nobody names any more is removed,
or goes by way of the trash.

What a backend calls an upload (`create_staging` returns it) and a part (`PartRange.etag`) is kept by the caller
and handed in again; both are empty where keys are enough.

A staging key is `<2 hex>/<32 hex>`, an object key `<2 hex>/<2 hex>/<32 hex>`; the caller makes them, never
from a name that a client sent. Any other shape is refused with ValueError. Sizes and offsets are bytes,
digests lower-case hex. Errors: FileNotFoundError, FileExistsError, and the six below; every other OSError
comes as StorageUnavailable.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from portal.storage.handles import HeldFile, NewObject, PartRange, StoredObject


class StorageMisconfigured(Exception):
    """This storage cannot keep its promises here; a person has to change a setting. Raised at start only."""


class StorageUnavailable(OSError):
    """The storage does not do what it should; nothing is lost, and trying again later may help."""


class NoSpace(StorageUnavailable):
    """The disk or the quota is full."""


class RangeBusy(Exception):
    """Somebody else is writing to the file, or holds it."""


class KeyTaken(Exception):
    """Where the only part of a file goes, there are other bytes, that no row may name; an upload goes around them."""


class PartsChanged(Exception):
    """The backend has other bytes than those on record, or none, for the part numbers in `numbers`."""

    def __init__(self, numbers):
        super().__init__(f"parts {numbers} are not those on record")
        self.numbers = numbers


class StoredPart(NamedTuple):
    """A part as the backend lists it; `size` in bytes."""

    number: int
    size: int
    etag: str


class SignedUrl(NamedTuple):
    """A URL that lets whoever has it do one thing in the store for `seconds`, with these `headers`."""

    url: str
    headers: dict[str, str]
    seconds: int


class Storage(ABC):
    """Where bytes live. Knows keys and bytes; knows no models, no HTTP, no users.

    Every backend passes tests/storage/contract.py. A kind is "staging", "objects" or "trash".
    """

    backend: str  #: The name that a row keeps of where its bytes are.
    bucket: str | None = None  #: Where a runner finds the objects, for backends that have buckets.
    presigns = False  #: True when clients may send parts straight to the backend.
    #: Whether its locks keep two writers of a part apart, as they keep writers from whoever holds the whole file.
    #: Where not, a writer needs a claim; and the bytes grow where the object will be: under `keys.object_key_of`.
    locks = True
    #: Whether a write is over before one could notice, so that it may be made in the event loop.
    swift = False
    #: The largest object, in bytes, that `copy_objects` is asked for.
    copies_up_to = sys.maxsize

    @abstractmethod
    def create_staging(self, key: str, *, single: bool = False) -> str:
        """Make an empty staging file that survives a power cut, for a file of one part or none if `single`.

        Returns what the backend calls it, if anything. FileExistsError if it is there, where there are locks.
        """

    @abstractmethod
    def open_part(self, key: str, *, offset: int, length: int, number: int = 1, upload: str = "") -> PartRange:
        """Open one byte range, that of part `number`, for one writer, not locked yet.

        It never creates the staging file: FileNotFoundError, here or by the time of `sync`.
        """

    @abstractmethod
    def hold(
        self, staging_key: str, object_key: str, *, upload: str = "", etags: Sequence[tuple[int, str]] = ()
    ) -> HeldFile:
        """Lock the whole file: the staging file, or the object where a crash came after the move.

        `etags` are the parts on record as (number, etag), in order. RangeBusy while any range is held,
        FileNotFoundError if it is at neither place, PartsChanged when its parts are not those of `etags`.
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
    def copy_objects(self, sources: Mapping[str, str], *, seconds: float) -> set[str]:
        """Give objects a second, fresh key, `{fresh key: key now}`; return the fresh ones, durable by then.

        No byte passes through here. Left out is what is gone, what this storage cannot copy so, and what was not begun
        after `seconds`; what of that is there all the same is rubbish.
        """

    @abstractmethod
    def open_object(self, key: str) -> StoredObject:
        """Open an object for reading; takes no lock. FileNotFoundError if it is gone."""

    @abstractmethod
    def remove_staging(self, key: str, *, upload: str | None = None) -> None:
        """Remove a staging file for good; does nothing when it is gone. An `upload` of None is looked for."""

    @abstractmethod
    def remove_object(self, key: str) -> None:
        """Remove an object for good; does nothing when it is gone."""

    @abstractmethod
    def trash_staging(self, key: str, *, upload: str | None = None) -> None:
        """Move a staging file to the trash if the backend can, else remove it; does nothing when it is gone."""

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

    def list_parts(self, object_key: str, upload: str, *, after: int = 0) -> Iterator[StoredPart]:
        """Yield the parts of an upload behind number `after`, where the backend keeps parts.

        FileNotFoundError if the upload is gone.
        """
        raise NotImplementedError(f"{self.backend} keeps no parts")

    def sign_part(self, object_key: str, *, upload: str, number: int, length: int) -> SignedUrl:
        """Return where a client PUTs a part of `length` bytes, where `presigns`."""
        raise NotImplementedError(f"{self.backend} signs no URLs")

    def sign_content(self, key: str, *, method: str, disposition: str) -> SignedUrl:
        """Return where a client reads an object by GET or HEAD, where `presigns`; always an attachment."""
        raise NotImplementedError(f"{self.backend} signs no URLs")

    def public_key(self, key: str) -> str:
        """Return the key by which somebody else finds an object in the bucket."""
        return key

    @abstractmethod
    def free_bytes(self) -> int:
        """Return how many more bytes fit."""

    def advice(self, *, session_days: int) -> list[str]:
        """Return a sentence for each thing that works as it is, but that an operator should change.

        `session_days` is how long an upload may stay unfinished.
        """
        return []

    @abstractmethod
    def check(self) -> None:
        """Write, sync and remove a probe; StorageUnavailable with a sentence that says what is wrong."""
