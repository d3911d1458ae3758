"""What a storage opens: a range to write a part, a whole file to finalize, an object to write or to read."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

from blake3 import blake3

from portal.storage.hashing import digest_parts


class Closing(ABC):
    """Something that holds a resource until it is closed; a context manager."""

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Give up everything that is held, locks included; safe to call twice, from any thread."""


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
        #: Asked before bytes leave this process for good; raises when they are not this writer's to send any more.
        self.require: Callable[[], object] = lambda: None
        #: What the backend calls these bytes once they are synced.
        self.etag = ""
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
