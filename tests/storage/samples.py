"""Keys, bytes and files to test a storage with."""

import hashlib
import time
from uuid import uuid4


class Clock:
    """Now, plus what a test lets pass."""

    passed = 0

    def __call__(self):
        return time.time() + self.passed


def staging_key():
    """Return a fresh key as services make them."""
    name = uuid4().hex
    return f"{name[-2:]}/{name}"


def object_key():
    """Return a fresh key as services make them."""
    name = uuid4().hex
    return f"{name[-2:]}/{name[-4:-2]}/{name}"


def pattern(size, seed=0):
    """Return `size` bytes that differ from place to place."""
    return hashlib.shake_128(str(seed).encode()).digest(size)


def put(storage, key, data, offset=0):
    """Write `data` as a part."""
    with storage.open_part(key, offset=offset, length=len(data)) as part:
        assert part.try_lock()
        part.reserve()
        part.write(data)
        part.sync()


def staged(storage, data=b"data"):
    """Return the key of a staging file with these bytes."""
    key = staging_key()
    storage.create_staging(key)
    if data:
        put(storage, key, data)
    return key


def stored(storage, data=b"data"):
    """Return the key of an object with these bytes."""
    key = object_key()
    with storage.hold(staged(storage, data), key) as held:
        held.publish()
    return key


def read(storage, key):
    """Return the bytes of an object."""
    with storage.open_object(key) as found:
        return found.read(0, found.size)


def published(storage, staging):
    """Publish a staging file and return its bytes."""
    key = object_key()
    with storage.hold(staging, key) as held:
        held.publish()
    return read(storage, key)
