"""Streams of many files as clients write them: a tar, a form; whole or broken off, and with odd members."""

import io
import tarfile

BOUNDARY = "B"
FORM_START, FORM_END = f"--{BOUNDARY}\r\n".encode(), f"--{BOUNDARY}--\r\n".encode()
#: What ends a stream too early: its connection, or whoever wrote it.
CUT, BROKEN = "incomplete_body", "broken_stream"
#: The member in which a stream breaks off, unless it does between two.
HALF = "half of one"


def pack_tar(members, *, whole=True, half=False):
    """Return a tar of `(path, data, odd)`; it lacks its end, and has a `half` member, if you like."""
    packed = io.BytesIO()
    tar = tarfile.open(fileobj=packed, mode="w")  # noqa: SIM115 - to close it would write the end
    for path, data, odd in members:
        info = tarfile.TarInfo(path)
        info.size = len(data)
        if odd == "not_a_file":
            info.type, info.linkname, info.size = tarfile.SYMTYPE, "elsewhere", 0
        elif odd == "skipped":
            info.type, info.size = tarfile.DIRTYPE, 0
        tar.addfile(info, io.BytesIO(data))
    if half:
        info = tarfile.TarInfo(HALF)
        info.size = 2 * tarfile.BLOCKSIZE
        tar.addfile(info, io.BytesIO(bytes(info.size)))
        packed.seek(-tarfile.BLOCKSIZE, io.SEEK_CUR)
        packed.truncate()
    return packed.getvalue() + (bytes(2 * tarfile.BLOCKSIZE) if whole else b"")


def pack_form(members, *, whole=True, half=False):
    """Return a form of `(path, data, odd)`; it lacks its end, and has a `half` member, if you like."""
    fields = [
        _field(path, data, odd != "skipped", f"Content-Length: {len(data) + 1}" if odd == "wrong length" else None)
        for path, data, odd in members
    ]
    half_field = _field(HALF, b"half").removesuffix(b"\r\n")
    return b"".join(fields) + (FORM_END if whole else half_field if half else FORM_START)


def _field(path, data, is_file=True, header=None):
    disposition = 'Content-Disposition: form-data; name="files"' + (f'; filename="{path}"' if is_file else "")
    lines = [f"--{BOUNDARY}", disposition, *([header] if header else []), "", ""]
    return "\r\n".join(lines).encode() + data + b"\r\n"


#: By the media type: how it is packed, and what a member is that is refused by what it says of itself.
KINDS = {
    "application/x-tar": (pack_tar, "not_a_file"),
    f"multipart/form-data; boundary={BOUNDARY}": (pack_form, "wrong length"),
}
TAR, FORM = KINDS
