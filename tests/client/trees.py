"""Folders to hand over, and what a batch holds of one afterwards."""

import hashlib

from tests.samples import pattern


def make_tree(folder, files):
    """Write `files`, a dict of relative paths and bytes, below `folder`, and return it."""
    for path, data in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return folder


def some_files(count, *, size=1000):
    """Return paths and bytes of so many small files, their names odd enough."""
    return {f"d{number % 7}/-x {number} ü.txt": pattern(number * 37 % size, seed=number) for number in range(count)}


def stored_files(api, batch_id):
    """Return path and SHA-256 of each STORED file of a batch, asked of the portal without the package."""
    path, found = f"/batches/{batch_id}/files?limit=1000&status=STORED", {}
    while path:
        page = api.get(path).json()
        found |= {file["path"]: file["sha256"] for file in page["results"]}
        path = page["next"] and page["next"].removeprefix(api.url)
    return found


def digests(files):
    """Return path and SHA-256 of `files`."""
    return {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
