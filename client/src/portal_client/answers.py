"""What comes back, how long it asks to wait, and the error that a refusal (RFC 9457) names."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from portal_client.errors import ApiError


def read_retry_after(text: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which are digits or an HTTP date; None when it has neither."""
    if not text:
        return None
    if text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


@dataclass(frozen=True)
class Answer:
    """What came back; `members` are those of a JSON body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def members(self) -> Any:
        """The body as JSON; an empty object when it is none."""
        try:
            return json.loads(self.body) if self.body else {}
        except ValueError:
            return {}

    @property
    def retry_after(self) -> float | None:
        """The seconds that Retry-After asks for."""
        return read_retry_after(self.headers.get("Retry-After"))


def make_error(status: int, members: Any, headers: Mapping[str, str]) -> ApiError:
    """Return the ApiError of an answer, of the class that its code has; `members` may be anything."""
    members = members if isinstance(members, dict) else {}
    code = str(members.get("code") or f"http_{status}")
    detail = str(members.get("detail") or members.get("title") or f"The answer was {status}.")
    fields = members.get("errors")
    if isinstance(fields, list) and fields:
        detail = "; ".join(f"{field.get('field')}: {field.get('detail')}" for field in fields)
    error = ApiError.by_code.get(code, ApiError)(status, code, detail, members)
    error.request_id = headers.get("X-Request-Id", "")
    error.retry_after = read_retry_after(headers.get("Retry-After"))
    return error
