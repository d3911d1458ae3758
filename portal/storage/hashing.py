"""One pass over a file for both its digests: SHA-256 of the whole, BLAKE3 of each part."""

import hashlib

from blake3 import blake3

#: Read and hashed at once; how much is held in memory, however large the file.
BLOCK_BYTES = 2**20


def digest_parts(read_into, size, part_sizes, beat):
    """Return the SHA-256 of `size` bytes and the BLAKE3 of each part; `beat` is called between blocks.

    `read_into(view, offset)` fills a memoryview and returns how many bytes it put there, 0 at the end. A part
    that the file is too short for has the digest of what there is; bytes past the last part count for the
    SHA-256 alone.
    """
    sha256, digests, offset = hashlib.sha256(), [], 0
    buffer = memoryview(bytearray(BLOCK_BYTES))
    for part_size in part_sizes:
        part, end = blake3(), offset + part_size
        for block in _read_blocks(read_into, buffer, offset, end):
            sha256.update(block)
            part.update(block)
            beat()
        digests.append(part.hexdigest())
        offset = end
    for block in _read_blocks(read_into, buffer, offset, size):
        sha256.update(block)
        beat()
    return sha256.hexdigest(), digests


def _read_blocks(read_into, buffer, offset, end):
    while offset < end:
        count = read_into(buffer[: end - offset], offset)
        if not count:
            return
        yield buffer[:count]
        offset += count
