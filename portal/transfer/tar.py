"""A reader of tar streams (POSIX ustar and pax, GNU, V7) that is fed piece by piece and holds one header at a time.

A header that is not plain is decoded by the standard library. Its stream mode is not used: it reads from a file, so
that each slow client would hold a thread; it keeps every member; it reads headers of any length into memory; and it
takes a damaged or missing header for the end of the archive, so that what follows would be lost without a word.
"""

import re
import tarfile

from portal.exceptions import NotAFile, StreamBroken
from portal.transfer.members import make_member

BLOCK = tarfile.BLOCKSIZE
ZEROS = bytes(BLOCK)
#: A long name, or the records of a pax header; longer ones have no honest use.
MAX_HEADER_BYTES = 2**20

#: Types whose bytes describe the next member, those that have no file to store, and those without bytes of their own.
GNU_NAME, GNU_LINK, PAX, PAX_GLOBAL = b"L", b"K", (b"x", b"X"), b"g"
DESCRIBING = (GNU_NAME, GNU_LINK, *PAX, PAX_GLOBAL)
FOLDERS = (tarfile.DIRTYPE, b"D")
LABEL = b"V"
NO_BYTES = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE)

#: The header of a plain file as all programs write it: its name, size, checksum and prefix, among numbers that are
#: octal. The library takes nearly four times as long, and there is one for each small file.
_NUMBER, _LONG_NUMBER = rb"(?:[0-7]{7}[ \0]|[0-7]{6} \0)", rb"[0-7]{11}[ \0]"
PLAIN_HEADER = re.compile(
    rb"(.{100})" + _NUMBER * 3 + rb"([0-7]{11})[ \0]" + _LONG_NUMBER + rb"([0-7]{6}\0 )0.{100}ustar(?:\x0000|  \0).{64}"
    rb"(?:" + _NUMBER * 2 + rb"|\0{16})(.{155}).{12}",
    re.DOTALL,
)

#: How a compressed archive begins.
COMPRESSED = {
    "gzip": re.compile(rb"\x1f\x8b\x08"),
    "bzip2": re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"),
    "xz": re.compile(rb"\xfd7zXZ\0"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd"),
}

PAX_RECORD = re.compile(rb"(\d{1,7}) ([^=]+)=")


class TarReader:
    """Reads one archive; see `portal.transfer.members`."""

    def __init__(self):
        self._begun = self._complete = False
        self._block = bytearray()
        #: Bytes that are skipped, that belong to the member, and that describe the next one.
        self._skip = self._left = self._describing = 0
        self._padding = 0
        self._describes = None
        self._pax, self._long_name = {}, None
        self._extended = False

    def feed(self, piece):
        """Yield what the next bytes of the stream tell."""
        view = memoryview(piece)
        while view:
            if self._complete:
                return self._expect_zeros(view)
            if self._skip and not self._extended:
                view, self._skip = view[self._skip :], max(0, self._skip - len(view))
            elif self._left:
                data, view = view[: self._left], view[self._left :]
                self._left -= len(data)
                yield data
                if not self._left:
                    self._skip = self._padding
                    yield None
            else:
                wanted = (self._describing or BLOCK) - len(self._block)
                self._block += view[:wanted]
                view = view[wanted:]
                if len(self._block) == (self._describing or BLOCK):
                    block, self._block = bytes(self._block), bytearray()
                    yield from self._take_block(block)
        return None

    def finish(self):
        """Raise StreamBroken unless the archive has come to its end: whoever wrote it may have died."""
        if not self._complete:
            raise StreamBroken(self._compression(self._block) or "The archive ends without its end mark.")

    def _compression(self, block):
        """Return what to say of an archive that begins like this, None unless it is compressed."""
        names = [] if self._begun else [name for name, magic in COMPRESSED.items() if magic.match(block)]
        return f"The archive is compressed with {names[0]}; send it as tar alone." if names else None

    def _take_block(self, block):
        if self._describing:
            return self._take_description(block)
        if self._extended:
            # One more map of a GNU sparse file; its last byte but seven says whether another one follows.
            self._extended = bool(block[504])
            return ()
        if block == ZEROS:
            self._complete = True
            return ()
        return self._take_header(block)

    def _take_header(self, block):
        try:
            header = read_header(block)
        except StreamBroken as error:
            raise StreamBroken(self._compression(block) or error.detail) from error
        self._begun = True
        size = self._pax.get(b"size", header.size)
        if size < 0:
            raise StreamBroken("A member has a negative size.")
        if header.type in DESCRIBING:
            return self._begin_description(header)
        name, sparse = self._name_of(header), any(key.startswith(b"GNU.sparse.") for key in self._pax)
        self._pax, self._long_name = {}, None
        self._extended = header.type == tarfile.GNUTYPE_SPARSE and bool(block[482])
        return self._begin_member(header, name, 0 if header.type in NO_BYTES else size, sparse)

    def _begin_member(self, header, name, size, sparse):
        padding = -size % BLOCK
        # Before folders had a type, the slash at the end of the name told.
        old_folder = header.type == tarfile.REGTYPE and name.endswith(b"/") and not size
        if header.type in FOLDERS or header.type == LABEL or old_folder:
            self._skip = size + padding
            return
        # A folder's own `./` before each name is how `tar c .` writes them.
        member = make_member(re.sub(rb"^(\./+)+", b"", name), size=size)
        if header.type not in tarfile.REGULAR_TYPES or header.type == tarfile.GNUTYPE_SPARSE or sparse:
            member.error = NotAFile()
        yield member
        if member.error:
            self._skip = size + padding
        elif size:
            self._left, self._padding = size, padding
        else:
            yield None

    def _name_of(self, header):
        # A sparse file of pax has a made-up path, and its own name apart.
        for keyword in (b"GNU.sparse.name", b"path"):
            if keyword in self._pax:
                return self._pax[keyword]
        return self._long_name or header.name.encode("utf-8", "surrogateescape")

    def _begin_description(self, header):
        if not 0 < header.size <= MAX_HEADER_BYTES:
            raise StreamBroken(f"A header of {header.size} bytes; at most {MAX_HEADER_BYTES} are taken.")
        self._describes, self._describing = header, header.size
        return ()

    def _take_description(self, data):
        self._skip, self._describing = -len(data) % BLOCK, 0
        kind = self._describes.type
        if kind == GNU_NAME:
            self._long_name = data.rstrip(b"\0")
        elif kind in PAX:
            self._pax = read_pax(data)
        elif kind == PAX_GLOBAL and read_pax(data).keys() & {b"path", b"size"}:
            raise StreamBroken("A global header gives all members one name or size.")
        return ()

    def _expect_zeros(self, view):
        if view.tobytes().strip(b"\0"):
            raise StreamBroken("Bytes follow the end of the archive.")


def read_header(block):
    """Return the TarInfo of a header, of which only name, size and type can be relied on; raises StreamBroken."""
    plain = PLAIN_HEADER.fullmatch(block)
    if plain:
        name, size, checksum, prefix = plain.groups()
        if sum(block) - sum(checksum) + len(checksum) * 32 == int(checksum[:6], 8):
            name, _, _ = name.partition(b"\0")
            prefix, _, _ = prefix.partition(b"\0")
            header = tarfile.TarInfo((prefix + b"/" + name if prefix else name).decode("utf-8", "surrogateescape"))
            header.size = int(size, 8)
            return header
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise StreamBroken(f"Not a header of a tar archive: {error}.") from error


def read_pax(data):
    """Return the records of a pax header as `{keyword: value}` in bytes, `size` as a number; raises StreamBroken."""
    records, offset = {}, 0
    while offset < len(data) and data[offset]:
        found = PAX_RECORD.match(data, offset)
        end = offset + int(found[1]) if found else 0
        if not found or end <= found.end() or end > len(data) or data[end - 1 : end] != b"\n":
            raise StreamBroken("A pax header cannot be read.")
        records[found[2]] = data[found.end() : end - 1]
        offset = end
    if b"size" in records:
        if not re.fullmatch(rb"\d{1,19}", records[b"size"]):
            raise StreamBroken("A pax header gives a size that is no number.")
        records[b"size"] = int(records[b"size"])
    return records
