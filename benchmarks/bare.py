"""The floor: an ASGI script that writes a body at its place, hashes it and makes it durable. It checks nothing.

PUT /NAME?OFFSET writes into the file NAME of the folder BARE_FOLDER.
"""

import asyncio
import os
from pathlib import Path

from blake3 import blake3

FOLDER = Path(os.environ.get("BARE_FOLDER", "."))


async def application(scope, receive, send):
    """Answer one PUT with the BLAKE3 of its body."""
    if scope["type"] != "http":
        return
    path, offset = FOLDER / Path(scope["path"]).name, int(scope["query_string"] or b"0")
    file, digest, more = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), blake3(), True
    try:
        while more:
            message = await receive()
            piece, more = message.get("body", b""), message.get("more_body", False)
            digest.update(piece)
            offset += os.pwrite(file, piece, offset)
        # In a thread, as the others would wait for the disk otherwise.
        await asyncio.to_thread(os.fdatasync, file)
    finally:
        os.close(file)
    body = digest.hexdigest().encode()
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
