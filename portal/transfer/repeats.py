"""Which paths a stream has had, in room that does not grow: one that it had is known, and rarely another one too."""

import hashlib

#: With 100,000 paths, one new one in a million is taken for known; whoever asks then looks into the database.
TABLE_BYTES, PROBES = 2 * 2**20, 4


class Repeats:
    """A Bloom filter of texts; a page of its table takes memory when it is first written."""

    def __init__(self):
        self._table = bytearray(TABLE_BYTES)

    def meet(self, text):
        """Note `text`; return whether it may have been met before. False is certain."""
        digest = hashlib.blake2b(text.encode(), digest_size=4 * PROBES).digest()
        known = True
        for start in range(0, len(digest), 4):
            place, bit = divmod(int.from_bytes(digest[start : start + 4]) % (TABLE_BYTES * 8), 8)
            known = known and bool(self._table[place] >> bit & 1)
            self._table[place] |= 1 << bit
        return known
