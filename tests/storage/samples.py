"""Keys, bytes and files to test a storage with."""

import hashlib
import time
from uuid import uuid4

from portal.storage.keys import object_key_of


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


class Staged(str):
    """The key of a staging file, with what the storage calls it and its parts."""

    upload = ""

    def __new__(cls, key, upload=""):
        made = super().__new__(cls, key)
        made.upload, made.etags = upload, {}
        return made

    @property
    def object_key(self):
        """Where its bytes go."""
        return object_key_of(self)


def put(storage, key, data, offset=0, number=1):
    """Write `data` as a part."""
    with storage.open_part(key, offset=offset, length=len(data), number=number, upload=key.upload) as part:
        assert part.try_lock()
        part.reserve()
        part.write(data)
        part.sync()
    key.etags[number] = part.etag


def new_staging(storage, *, single=False):
    """Return the key of an empty staging file."""
    key = staging_key()
    return Staged(key, storage.create_staging(key, single=single))


def staged(storage, data=b"data", *, single=False):
    """Return the key of a staging file with these bytes."""
    key = new_staging(storage, single=single or not data)
    if data:
        put(storage, key, data)
    return key


def hold(storage, key):
    """Hold a staging file as finalize does."""
    return storage.hold(key, object_key_of(key), upload=key.upload, etags=sorted(key.etags.items()))


def stored(storage, data=b"data"):
    """Return the key of an object with these bytes."""
    key = staged(storage, data)
    return publish(storage, key)


def publish(storage, key):
    """Publish a staging file and return the key of its object."""
    with hold(storage, key) as held:
        held.publish()
    return object_key_of(key)


def read(storage, key):
    """Return the bytes of an object."""
    with storage.open_object(key) as found:
        return found.read(0, found.size)


def published(storage, staging):
    """Publish a staging file and return its bytes."""
    return read(storage, publish(storage, staging))
