"""What content is, by its first bytes."""

import gzip
import importlib
import io
import zipfile
from zlib import crc32

import pytest

from portal.inspection import kinds
from portal.inspection.kinds import HEAD_BYTES, KindsUnavailable, find_kind, is_allowed
from tests.needs import miss

IHDR = b"IHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\r" + IHDR + crc32(IHDR).to_bytes(4, "big")


@pytest.fixture(autouse=True)
def libmagic():
    """Every test here needs it."""
    try:
        find_kind(b"")
    except KindsUnavailable as error:
        miss(str(error))


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "a")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PNG, "image/png"),
        (b"%PDF-1.7\n", "application/pdf"),
        (zipped(), "application/zip"),
        (gzip.compress(b"a", mtime=0), "application/gzip"),
        (b"MZ" + bytes(100), "application/x-dosexec"),
        (b"a,b\n1,2\n", "text/plain"),
        ("Grüße\n".encode(), "text/plain"),
        (b"<!DOCTYPE html><html></html>", "text/html"),
        (b"", "application/x-empty"),
        (bytes(range(1, 256)), "application/octet-stream"),
    ],
)
def test_content_is_told_by_its_bytes(content, kind):
    assert find_kind(content) == kind
    assert find_kind(content + bytes(HEAD_BYTES)) == kind or kind.startswith(("text/", "application/x-empty"))


@pytest.mark.parametrize(
    ("kind", "allowed", "is_in"),
    [
        ("image/png", ["image/png"], True),
        ("image/png", ["text/plain", "IMAGE/*"], True),
        ("image/png", ["*/*"], True),
        ("image/png", ["image/p"], False),
        ("image/png", ["mage/png", "image"], False),
        ("application/x-dosexec", ["image/*", "text/*"], False),
    ],
)
def test_patterns(kind, allowed, is_in):
    assert is_allowed(kind, allowed) is is_in


def test_what_libmagic_gives_up_on_is_no_type_of_its_own(monkeypatch):
    magic = importlib.import_module("magic")

    def give_up(*_):
        raise magic.MagicException("indirect count (100) exceeded")

    monkeypatch.setattr(magic, "magic_buffer", give_up)
    assert find_kind(PNG) == "application/octet-stream"


def test_a_machine_without_the_patterns_of_libmagic_is_told(monkeypatch):
    magic = importlib.import_module("magic")

    def not_there(*_):
        raise magic.MagicException("could not find any valid magic files!")

    monkeypatch.setattr(magic, "magic_load", not_there)
    kinds._magic.cache_clear()
    try:
        with pytest.raises(KindsUnavailable, match="valid magic files"):
            find_kind(PNG)
    finally:
        kinds._magic.cache_clear()
