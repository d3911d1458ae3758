"""The address and the token that somebody gave: what cannot be right is said before anything is sent."""

from urllib.parse import SplitResult, urlsplit

from portal_client.errors import PortalError

#: How a portal's tokens begin: what looks like one, or has a password in it, is never repeated.
TOKEN_MARK = "ptl_"  # noqa: S105 - no token


def split_address(url: str) -> SplitResult:
    """Return the parts of a portal's address; raises PortalError when it is none."""
    try:
        url.encode()
        parts = urlsplit(url)
        good = (
            parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
        )
    except ValueError:
        good = False
    if not good:
        given = "" if TOKEN_MARK in url or "@" in url else f": {url!r}"
        raise PortalError(f"Not the address of a portal{given}; it begins with https:// or http://.")
    return parts


def clean_token(token: str) -> str:
    """Return a token without the white space around it; raises PortalError for what no header can hold."""
    token = token.strip()
    if not all("!" <= character <= "~" for character in token):
        raise PortalError(
            "The token has characters in it that no token has. Copy it again, all of it and nothing else."
        )
    return token
