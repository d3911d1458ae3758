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
    kept: dict[str, str] = {}
    if config_file().exists():
        try:
            kept = json.loads(config_file().read_text(encoding="utf-8"))
        except ValueError as error:
            raise PortalError(f"{config_file()} cannot be read: {error}") from error
    url = (url or kept.get("url", "")).rstrip("/")
    kept_token = kept.get("token", "") if kept.get("url") == url else ""
    return url, os.environ.get("PORTAL_TOKEN") or kept_token


def write_config(url: str, token: str) -> Path:
    """Keep address and token; return where."""
    place = config_file()
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = place.with_suffix(".new")
    draft.unlink(missing_ok=True)
    opened = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(opened, "w", encoding="utf-8") as file:
        json.dump({"url": url.rstrip("/"), "token": token}, file)
    draft.replace(place)
    return place
