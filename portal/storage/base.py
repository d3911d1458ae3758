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
from collections.abc import Callable, Iterable, Iterator

from blake3 import blake3

from portal.storage.hashing import digest_parts


class StorageMisconfigured(Exception):
    """This storage cannot keep its promises here; a person has to change a setting. Raised at start only."""


class StorageUnavailable(OSError):
    """The storage does not do what it should; nothing is lost, and trying again later may help."""


class NoSpace(StorageUnavailable):
    """The disk or the quota is full."""


class RangeBusy(Exception):
    """Somebody else is writing to the file, or holds it."""


class Closing(ABC):
    """Something that holds a resource until it is closed; a context manager."""

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Give up everything that is held, locks included; safe to call twice, from any thread."""


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
    def open_part(self, key: str, *, offset: int, length: int) -> "PartRange":
        """Open one byte range for one writer, not locked yet; never creates: FileNotFoundError."""

    @abstractmethod
    def hold(self, staging_key: str, object_key: str) -> "HeldFile":
        """Lock the whole file: the staging file, or the object where a crash came after the move.

        RangeBusy while any range is held, FileNotFoundError if it is at neither place.
        """

    @abstractmethod
    def create_object(self, key: str) -> "NewObject":
        """Begin an object for one writer; FileExistsError if it is there. Until it is finished it is rubbish."""

    @abstractmethod
    def finish_objects(self, objects: Iterable["NewObject"]) -> None:
        """Make these objects survive a power cut, bytes and names, and close them: one round of syncs for all.

        After an error nothing is known of any of them.
        """

    @abstractmethod
    def open_object(self, key: str) -> "StoredObject":
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


class PartRange(Closing):
    """One writer's byte range: open_part, try_lock until True, reserve, write…, sync, close.

    It has a lock of its own and is never shared, kept or handed on; closing it, or the death of the process,
    gives the lock up. Ranges that do not overlap do not meet.
    """

    def __init__(self, offset: int, length: int):
        if offset < 0 or length < 1:
            raise ValueError(f"no byte range: offset {offset}, length {length}")
        self.offset, self.length = offset, length
        self.locked = False
        self.written = 0
        self._blake3 = blake3()

    @abstractmethod
    def try_lock(self) -> bool:
        """Take the exclusive lock on the range without waiting; False when somebody else has any of it."""

    @abstractmethod
    def holds_data(self) -> bool:
        """Whether an earlier writer put bytes into the range; when in doubt, True."""

    @abstractmethod
    def reserve(self) -> None:
        """Make sure that the whole range fits: NoSpace now rather than halfway. Changes no byte."""

    def write(self, data) -> None:
        """Put the next bytes in their place; ValueError past the length, or without the lock."""
        view = memoryview(data).cast("B")
        if not self.locked or self.written + len(view) > self.length:
            raise ValueError("a write without the lock, or past the end of the range")
        self._put(view, self.offset + self.written)
        self._blake3.update(view)
        self.written += len(view)

    @abstractmethod
    def _put(self, view: memoryview, offset: int) -> None: ...

    @abstractmethod
    def sync(self) -> None:
        """Make what was written survive a power cut; never tried again after an error: open a new range."""

    def blake3_hex(self) -> str:
        """Return the BLAKE3 of what was written so far."""
        return self._blake3.hexdigest()


class HeldFile(Closing):
    """A whole file under an exclusive lock: no range of it is being written until this is closed."""

    size: int  #: Of the file, once the lock was taken.

    def digest(self, part_sizes: Iterable[int], *, beat: Callable[[], object] = lambda: None) -> tuple[str, list[str]]:
        """Return the SHA-256 of the whole file and the BLAKE3 of each part, read once, in constant memory.

        Calls `beat()` between blocks; what it raises ends the pass. Bytes that are missing or too many make
        digests that differ.
        """
        return digest_parts(self._read_into, self.size, part_sizes, beat)

    @abstractmethod
    def _read_into(self, view: memoryview, offset: int) -> int: ...

    @abstractmethod
    def publish(self) -> None:
        """Make the file its object, durably: bytes first, then the name.

        Safe to repeat, also after somebody else did it; FileNotFoundError when it was removed meanwhile.
        """


class NewObject(Closing):
    """An object that one writer fills from its beginning: create_object, write…, finish_objects, close."""

    def __init__(self, key: str):
        self.key = key

    @abstractmethod
    def write(self, data) -> None:
        """Add the next bytes."""


class StoredObject(Closing):
    """The bytes of an object, open for reading; any thread may read at any offset."""

    size: int

    @abstractmethod
    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`; fewer only where the object ends."""
