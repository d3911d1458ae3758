"""Read settings from the environment: plain values, values kept in files, and secrets made on first run."""

import base64
import ipaddress
import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

TRUE_WORDS = {"1", "true", "yes", "on"}
FALSE_WORDS = {"0", "false", "no", "off", ""}
#: The most that a time may be set to: with more of it there is no date.
YEAR_SECONDS, CENTURY_DAYS = 366 * 24 * 60 * 60, 36_500


def read(name, default=""):
    """Return the variable `name`, or the content of the file that `name`_FILE points to, or `default`."""
    path = os.environ.get(f"{name}_FILE")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE: cannot read {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ImproperlyConfigured(f"{name}_FILE: {path} is not a text in UTF-8") from error
    return os.environ.get(name) or default


def read_int(name, default, most=2**63 - 1):
    """Return the variable `name` as a whole number from 0 to `most` (what a column holds); refuses anything else."""
    text = read(name, str(default))
    if not text.isascii() or not text.isdigit():
        raise ImproperlyConfigured(f"{name} must be a whole number of 0 or more, not {text!r}")
    if len(text) > len(str(2**63)) or int(text) > most:
        raise ImproperlyConfigured(f"{name} must be {most} or less, not {text[:20]}")
    return int(text)


def read_bool(name, default):
    """Return the variable `name` as a yes or a no; refuses a word that is neither."""
    text = read(name, "yes" if default else "no").lower()
    if text not in TRUE_WORDS | FALSE_WORDS:
        raise ImproperlyConfigured(f"{name} must be yes or no, not {text!r}")
    return text in TRUE_WORDS


def read_choice(name, default, *choices):
    """Return the variable `name`, one of `choices`; refuses another word."""
    text = read(name, default).lower()
    if text not in choices:
        raise ImproperlyConfigured(f"{name} must be {' or '.join(choices)}, not {text!r}")
    return text


def read_list(name, default=""):
    """Return the comma-separated variable `name` as a list without blanks."""
    return [item.strip() for item in read(name, default).split(",") if item.strip()]


def read_networks(name):
    """Return the comma-separated variable `name` as IP networks; refuses what is not one."""
    try:
        return [ipaddress.ip_network(item, strict=False) for item in read_list(name)]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}") from error


def read_origin(name):
    """Return the variable `name` as an http(s) origin without a slash at its end, "" when it is not set."""
    text = read(name).rstrip("/")
    try:
        parts = urlsplit(text)
        # Reading the port refuses one that is no number.
        rest = (parts.path, parts.query, parts.fragment, parts.username, parts.password)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not any(rest)
    except ValueError:
        good = False
    if text and not good:
        # What has a user in it may have a password.
        given = "" if "@" in text else f", not {text!r}"
        raise ImproperlyConfigured(f"{name} must be like https://portal.example.org{given}")
    return text


def new_webhook_secret():
    """Return a new secret for signing events, as Standard Webhooks writes them: 32 random bytes."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


def kept_secret(path, make=lambda: secrets.token_urlsafe(50)):
    """Return the secret in the file `path` (mode 0600), making it by `make()` when it is not there yet."""
    try:
        return _keep(path, make)
    except OSError as error:
        what = f"the secret {path} cannot be kept: {error.strerror}"
        raise ImproperlyConfigured(f"PORTAL_DATA_DIR must be a folder that the portal may write to; {what}") from error


def _keep(path, make):
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Written aside and linked into place: two processes that start together agree on one secret.
    aside = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(make())
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(aside, path)
    except FileExistsError:
        pass
    finally:
        aside.unlink()
    return path.read_text(encoding="ascii").strip()
