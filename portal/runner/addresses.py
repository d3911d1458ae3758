"""Which URLs messages may be sent to."""

from urllib.parse import urlsplit

MAX_URL_LENGTH = 2048


def is_endpoint_url(url):
    """Whether `url` is a plain http(s) URL: printable ASCII, a host, a sound port, no user and no fragment."""
    if len(url) > MAX_URL_LENGTH or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        sound = parts.port != 0
    except ValueError:
        return False
    return (
        sound
        and parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and "@" not in parts.netloc
        and "#" not in url
    )
