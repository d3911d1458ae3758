"""What the portal answers, as typed values; members that a newer portal adds are left out."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from types import UnionType
from typing import Any, Self, get_args, get_origin, get_type_hints
from uuid import UUID

from portal_client.errors import BadAnswer


def is_id(text: str) -> bool:
    """Whether `text` has the form of an id."""
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


class Members:
    """A value whose fields are members of a JSON object of the same names."""

    @classmethod
    def read(cls, members: Any) -> Self:
        """Return the value of a JSON object; raises BadAnswer for anything else, wherever it came from."""
        if not isinstance(members, Mapping):
            raise BadAnswer("The answer is not that of a portal. Is the address right?")
        found = {}
        for name, kinds, required in _kinds(cls):  # type: ignore[arg-type]
            if name in members or required:
                found[name] = members.get(name)
                if not isinstance(found[name], kinds):
                    raise BadAnswer(f"The answer is not that of a portal: it has no {name!r}. Is the address right?")
        return cls(**found)


@cache
def _kinds(kind: type) -> list[tuple[str, tuple[type, ...], bool]]:
    """Return name, types and whether there must be one, of each member."""
    hints = get_type_hints(kind)
    return [
        (each.name, _outer(hints[each.name]), each.default is MISSING and each.default_factory is MISSING)
        for each in fields(kind)
    ]


def _outer(hint: Any) -> tuple[type, ...]:
    """Return the types that a value may have, whatever is in it."""
    return tuple(get_origin(one) or one for one in (get_args(hint) if isinstance(hint, UnionType) else [hint]))


@dataclass(frozen=True)
class Batch(Members):
    """A batch with its counters: `total_files` = stored + failed + pending. Times are RFC 3339 in UTC."""

    id: str
    name: str
    status: str
    expected_files: int | None
    total_files: int
    stored_count: int
    failed_count: int
    pending_count: int
    total_bytes: int
    stored_bytes: int
    created_at: str
    sealed_at: str | None
    completed_at: str | None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class File(Members):
    """A file; `sha256` is lower-case hex once it is STORED, `error` has code and detail once it is FAILED."""

    id: str
    batch_id: str | None
    session_id: str | None
    original_filename: str
    path: str | None
    content_type: str
    size_bytes: int
    sha256: str | None
    status: str
    error: dict[str, str] | None
    created_at: str
    stored_at: str | None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def listed_as(self) -> str:
        """The name under which the receipt lists it."""
        if self.path is not None:
            return self.path
        name = self.original_filename.replace("/", "_")
        return f"{self.id}/{'_' if name in ('.', '..') else name}"


@dataclass(frozen=True)
class Session(Members):
    """An upload in parts: part n, from 1, is the n-th piece of `chunk_size_bytes`; ranges are `[first, last]`."""

    session_id: str
    file_id: str
    batch_id: str | None
    status: str
    chunk_size_bytes: int
    total_parts: int
    total_size_bytes: int
    completed_parts: int
    received_bytes: int
    received_parts: list[list[int]]
    missing_parts: list[list[int]]
    expires_at: str

    def size_of(self, number: int) -> int:
        """Return the bytes of part `number`."""
        return min(self.chunk_size_bytes, self.total_size_bytes - (number - 1) * self.chunk_size_bytes)


@dataclass(frozen=True)
class Limits(Members):
    """What the portal takes; sizes are bytes."""

    max_file_size_bytes: int
    chunk_size_bytes: int
    max_parts: int
    max_bulk_files: int
    session_ttl_seconds: int


@dataclass(frozen=True)
class Receipt(Members):
    """The proof of what a completed batch holds; `manifest_sha256` is the digest of its manifest."""

    batch_id: str
    name: str
    status: str
    total_files: int
    stored_count: int
    failed_count: int
    total_bytes: int
    stored_bytes: int
    created_at: str
    completed_at: str
    manifest_sha256: str


@dataclass(frozen=True)
class SignedPart(Members):
    """Where one part may be sent, past the portal, until `expires_at`."""

    part_number: int
    size_bytes: int
    method: str
    url: str
    headers: dict[str, str]
    expires_at: str


@dataclass(frozen=True)
class Page(Members):
    """One page of a list, and the address of the one after it."""

    results: list[Any]
    next: str | None = None


@dataclass(frozen=True)
class Results(Members):
    """What became of each of many."""

    results: list[dict[str, Any]]


@dataclass(frozen=True)
class SignedParts(Members):
    """Where parts may be sent."""

    parts: list[dict[str, Any]]
