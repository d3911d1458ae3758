"""The address and the token that `portal login` keeps, in a file for its owner's eyes alone."""

import json
import os
from pathlib import Path

from portal_client.errors import PortalError


def config_file() -> Path:
    """Return the file that they are kept in."""
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "portal-client" / "login.json"


def read_config(url: str | None = None) -> tuple[str, str]:
    """Return address and token, from the environment or as they were kept; empty where there is none.

    A token that was kept for another address than `url` is never given out.
    """
    token = os.environ.get("PORTAL_TOKEN")
    # With both at hand nobody need be logged in, or have a home.
    kept_url, kept_token = ("", "") if url and token else _read_kept()
    url = (url or kept_url).strip().rstrip("/")
    return url, token or (kept_token if kept_url == url else "")


def _read_kept() -> tuple[str, str]:
    place = config_file()
    try:
        kept = json.loads(place.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return "", ""
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise PortalError(f"{place} cannot be read: {why}. Run `portal login` once more.") from error
    url, token = (kept.get("url"), kept.get("token")) if isinstance(kept, dict) else (None, None)
    if not isinstance(url, str) or not isinstance(token, str):
        raise PortalError(f"{place} does not hold an address and a token. Run `portal login` once more.")
    return url, token


def write_config(url: str, token: str) -> Path:
    """Keep address and token; return where. Raises PortalError where it cannot be written."""
    place = config_file()
    try:
        _write(place, {"url": url.strip().rstrip("/"), "token": token})
    except OSError as error:
        raise PortalError(f"{place} cannot be written: {error.strerror or error}. Nothing was kept.") from error
    return place


def _write(place: Path, kept: dict[str, str]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = place.with_suffix(".new")
    draft.unlink(missing_ok=True)
    opened = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(opened, "w", encoding="utf-8") as file:
        json.dump(kept, file)
    draft.replace(place)
