"""Values from the environment: plain, from files, checked; and a secret that is made once and kept."""

import ipaddress
import stat
import threading

import pytest
from django.core.exceptions import ImproperlyConfigured

from boot import environment

NAME = "PORTAL_FOR_TESTS"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    """Neither the variable nor its file."""
    monkeypatch.delenv(NAME, raising=False)
    monkeypatch.delenv(f"{NAME}_FILE", raising=False)


def test_a_variable_that_is_not_set_or_empty_has_its_default(monkeypatch):
    assert environment.read(NAME, "default") == "default"
    monkeypatch.setenv(NAME, "")
    assert environment.read(NAME, "default") == "default"


def test_a_variable_is_its_value(monkeypatch):
    monkeypatch.setenv(NAME, "value")
    assert environment.read(NAME, "default") == "value"


def test_a_secret_may_come_from_a_file_without_its_line_end(monkeypatch, tmp_path):
    (tmp_path / "secret").write_text("from a file\n")
    monkeypatch.setenv(NAME, "from the variable")
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "secret"))
    assert environment.read(NAME) == "from a file"


def test_a_file_that_cannot_be_read_is_named(monkeypatch, tmp_path):
    for path in (tmp_path / "missing", tmp_path):
        monkeypatch.setenv(f"{NAME}_FILE", str(path))
        with pytest.raises(ImproperlyConfigured, match=f"{NAME}_FILE.*{path}"):
            environment.read(NAME)


def test_a_file_that_is_no_text_is_named(monkeypatch, tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "binary"))
    with pytest.raises(ImproperlyConfigured, match=f"{NAME}_FILE"):
        environment.read(NAME)


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("5497558138880", 5 * 2**40), ("007", 7)])
def test_a_whole_number_is_read(monkeypatch, text, number):
    monkeypatch.setenv(NAME, text)
    assert environment.read_int(NAME, 1) == number


@pytest.mark.parametrize("text", ["-1", "1.5", "8MiB", " 1", "1_000", "٣", "²", "0x10", "1e3", "yes"])
def test_what_is_no_whole_number_is_refused_by_name(monkeypatch, text):
    monkeypatch.setenv(NAME, text)
    with pytest.raises(ImproperlyConfigured, match=NAME):
        environment.read_int(NAME, 1)


def test_a_number_that_is_not_set_has_its_default():
    assert environment.read_int(NAME, 7) == 7


@pytest.mark.parametrize("text", ["1", "true", "YES", "On"])
def test_a_yes_is_read(monkeypatch, text):
    monkeypatch.setenv(NAME, text)
    assert environment.read_bool(NAME, False) is True


@pytest.mark.parametrize("text", ["0", "False", "no", "OFF"])
def test_a_no_is_read(monkeypatch, text):
    monkeypatch.setenv(NAME, text)
    assert environment.read_bool(NAME, True) is False


@pytest.mark.parametrize("default", [True, False])
def test_a_yes_or_no_that_is_not_set_has_its_default(monkeypatch, default):
    assert environment.read_bool(NAME, default) is default
    monkeypatch.setenv(NAME, "")
    assert environment.read_bool(NAME, default) is default


@pytest.mark.parametrize("text", ["maybe", "2", "y", "enabled", " yes"])
def test_a_word_that_is_neither_is_refused_by_name(monkeypatch, text):
    monkeypatch.setenv(NAME, text)
    with pytest.raises(ImproperlyConfigured, match=NAME):
        environment.read_bool(NAME, True)


def test_a_list_has_no_blanks(monkeypatch):
    monkeypatch.setenv(NAME, " a, b ,,c,")
    assert environment.read_list(NAME) == ["a", "b", "c"]
    monkeypatch.delenv(NAME)
    assert environment.read_list(NAME) == []
    assert environment.read_list(NAME, "x,y") == ["x", "y"]


def test_networks_are_read(monkeypatch):
    monkeypatch.setenv(NAME, "10.0.0.0/8, 192.168.1.7, fd00::/8, 172.16.5.4/12")
    expected = ["10.0.0.0/8", "192.168.1.7/32", "fd00::/8", "172.16.0.0/12"]
    assert environment.read_networks(NAME) == [ipaddress.ip_network(text) for text in expected]


@pytest.mark.parametrize("text", ["10.0.0.0/33", "proxy.example", "10.0.0.0/8; 11.0.0.0/8", "*"])
def test_what_is_no_network_is_refused_by_name(monkeypatch, text):
    monkeypatch.setenv(NAME, text)
    with pytest.raises(ImproperlyConfigured, match=NAME):
        environment.read_networks(NAME)


@pytest.mark.parametrize("text", ["", "https://portal.example.org", "http://10.0.0.1:8080", "https://[::1]:8000"])
def test_an_origin_is_read_without_its_slash(monkeypatch, text):
    monkeypatch.setenv(NAME, f"{text}/" if text else "")
    assert environment.read_origin(NAME) == text


@pytest.mark.parametrize(
    "text",
    [
        *[
            "portal.example.org",
            "ftp://portal.example.org",
            "https://",
            "https://portal.example.org/app",
            "https://[bad",
        ],
        *["https://portal.example.org?a=b", "https://portal.example.org#top", "https://localhost:bad"],
        *["https://u:p@localhost", "https://localhost:0", "https://localhost:70000"],
    ],
)
def test_what_is_no_origin_is_refused_by_name(monkeypatch, text):
    monkeypatch.setenv(NAME, text)
    with pytest.raises(ImproperlyConfigured, match=f"{NAME} must be like https") as caught:
        environment.read_origin(NAME)
    assert "u:p" not in str(caught.value)


def test_a_secret_is_made_once_for_its_owner_alone_and_kept(tmp_path):
    path = tmp_path / "secrets" / "key"
    secret = environment.kept_secret(path)
    assert len(secret) >= 50
    assert environment.kept_secret(path) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path], "nothing is left beside it"
    assert environment.kept_secret(tmp_path / "other") != secret


def test_a_secret_that_cannot_be_kept_is_told_in_one_line(tmp_path):
    (tmp_path / "data").write_text("not a folder")
    with pytest.raises(ImproperlyConfigured, match=r"^PORTAL_DATA_DIR .*/data/key cannot be kept: Not a directory$"):
        environment.kept_secret(tmp_path / "data" / "key")


def test_two_that_start_together_agree_on_one_secret(tmp_path):
    path, secrets = tmp_path / "key", []
    barrier = threading.Barrier(8)

    def start():
        barrier.wait()
        secrets.append(environment.kept_secret(path))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(secrets) == 8
    assert len(set(secrets)) == 1
