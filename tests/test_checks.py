"""System checks: each goes off for the settings that it is about, and is silent for those that are shipped."""

import pytest
from django.db import DatabaseError, connection

from portal import checks
from portal.checks import check_durability, check_public_url, check_runner, check_sizes, check_storage, check_store
from portal.services.limits import CHUNK_STEP
from tests.services.situations import failing


def found(problems):
    """Return the ids of what a check found."""
    return [problem.id for problem in problems]


@pytest.fixture
def sizes(settings):
    """Sizes that fit together."""
    settings.PORTAL_CHUNK_SIZE_MIN, settings.PORTAL_CHUNK_SIZE = CHUNK_STEP, 2 * CHUNK_STEP
    settings.PORTAL_CHUNK_SIZE_MAX = 4 * CHUNK_STEP
    settings.PORTAL_MAX_FILE_SIZE, settings.PORTAL_SESSION_TTL_HOURS = 10_000 * 4 * CHUNK_STEP, 1
    return settings


def test_the_settings_that_are_shipped_pass():
    assert found(check_sizes(None)) == []
    assert found(check_public_url(None)) == []
    assert found(check_storage(None)) == []


def test_sizes_that_fit_together_pass(sizes):
    assert found(check_sizes(None)) == []


@pytest.mark.parametrize(
    ("columns", "ids"),
    [
        ({"PORTAL_CHUNK_SIZE": 5 * CHUNK_STEP}, ["portal.E001"]),
        ({"PORTAL_CHUNK_SIZE_MIN": 3 * CHUNK_STEP}, ["portal.E001"]),
        ({"PORTAL_CHUNK_SIZE_MIN": 0}, ["portal.E002"]),
        ({"PORTAL_MAX_FILE_SIZE": 0}, ["portal.E002"]),
        ({"PORTAL_SESSION_TTL_HOURS": 0}, ["portal.E002"]),
        ({"PORTAL_CHUNK_SIZE": 2 * CHUNK_STEP + 1}, ["portal.W002"]),
        ({"PORTAL_CHUNK_SIZE_MIN": CHUNK_STEP - 1}, ["portal.W002"]),
        ({"PORTAL_MAX_FILE_SIZE": 10_000 * 4 * CHUNK_STEP + 1}, ["portal.W001"]),
    ],
)
def test_sizes_that_contradict_are_named(sizes, columns, ids):
    for name, value in columns.items():
        setattr(sizes, name, value)
    assert found(check_sizes(None)) == ids


@pytest.mark.parametrize(
    "url", ["", "https://portal.example.org", "http://portal.example.org:8000", "https://a.example.org"]
)
def test_a_public_url_that_is_an_origin_of_ours_passes(settings, url):
    settings.PORTAL_PUBLIC_URL, settings.ALLOWED_HOSTS = url, ["portal.example.org", "a.example.org"]
    assert found(check_public_url(None)) == []


def test_a_public_url_that_the_hosts_do_not_take_is_named(settings):
    settings.PORTAL_PUBLIC_URL, settings.ALLOWED_HOSTS = "https://other.example.org", ["portal.example.org"]
    assert found(check_public_url(None)) == ["portal.E004"]


@pytest.mark.parametrize("url", ["", "https://runner.example.org/hook?a=b", "http://10.1.2.3:8080", "http://[::1]/x"])
def test_a_runner_that_can_be_called_passes(settings, url):
    settings.PORTAL_RUNNER_ENDPOINT, settings.PORTAL_RUNNER_SECRET = url, "a-secret whsec_dHdv" if url else ""
    assert found(check_runner(None)) == []


@pytest.mark.parametrize("secret", ["", " ", "whsec_", "whsec_A", "whsec_ü", "whsec_dHdv whsec_!!", "whsec_ a-secret"])
def test_a_secret_that_signs_nothing_is_named_and_not_told(settings, secret):
    settings.PORTAL_RUNNER_ENDPOINT, settings.PORTAL_RUNNER_SECRET = "https://runner.example.org/", secret
    (problem,) = check_runner(None)
    assert problem.id == "portal.E011"
    assert "dHdv" not in problem.msg


@pytest.mark.parametrize(
    "url",
    [
        "runner",
        "ftp://a/",
        "http://",
        "http://user:secret@a/",
        "http://a/#b",
        "http://a b/",
        "http://a:x/",
        "http://ü/",
    ],
)
def test_a_runner_that_cannot_be_called_is_named_without_its_url(settings, url):
    settings.PORTAL_RUNNER_ENDPOINT, settings.PORTAL_RUNNER_SECRET = url, "a-secret"
    (problem,) = check_runner(None)
    assert problem.id == "portal.E010"
    assert "secret" not in problem.msg


def test_an_event_that_is_never_tried_is_named(settings):
    settings.PORTAL_OUTBOX_MAX_ATTEMPTS = 0
    assert found(check_runner(None)) == ["portal.E002"]


def test_a_storage_that_can_be_used_passes(settings, tmp_path):
    settings.PORTAL_STORAGE_URL = f"file://{tmp_path / 'storage'}"
    assert found(check_storage(None)) == []


@pytest.mark.parametrize("url", ["", "ftp://bucket", "file://relative", "file:///", "/no/scheme"])
def test_a_storage_that_there_is_not_is_named(settings, url):
    settings.PORTAL_STORAGE_URL = url
    assert found(check_storage(None)) == ["portal.E005"]


def test_a_storage_folder_that_cannot_be_made_is_named(settings, tmp_path):
    (tmp_path / "file").write_text("in the way")
    settings.PORTAL_STORAGE_URL = f"file://{tmp_path / 'file' / 'storage'}"
    assert found(check_storage(None)) == ["portal.E005"]


def test_the_database_of_this_run_keeps_what_it_acknowledges(db):
    assert found(check_durability(None, databases=["default"])) == []


def test_without_a_database_to_look_at_there_is_nothing_to_say():
    assert found(check_durability(None, databases=None)) == []


@pytest.mark.django_db(transaction=True)
def test_this_database_is_named_once_it_may_forget():
    off, on, name = {
        "sqlite": ("PRAGMA synchronous=NORMAL", "PRAGMA synchronous=FULL", "portal.E008"),
        "postgresql": ("SET synchronous_commit=off", "SET synchronous_commit=on", "portal.E007"),
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(off)
        try:
            assert found(check_durability(None, databases=["default"])) == [name]
        finally:
            cursor.execute(on)
    assert found(check_durability(None, databases=["default"])) == []


class PostgreSQL:
    """A connection to a server with settings of our choice."""

    vendor = "postgresql"

    def __init__(self, **options):
        self.options = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"} | options

    def cursor(self):
        """Itself, for what a check asks of one."""
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def execute(self, sql):
        """Note which setting is asked for."""
        self.asked = sql.removeprefix("SHOW ")

    def fetchone(self):
        """Return the setting that was asked for."""
        return (self.options[self.asked],)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, []),
        ({"fsync": "off"}, ["fsync"]),
        ({"synchronous_commit": "off"}, ["synchronous_commit"]),
        ({"full_page_writes": "off"}, ["full_page_writes"]),
        ({"fsync": "off", "synchronous_commit": "off"}, ["fsync", "synchronous_commit"]),
        ({"synchronous_commit": "remote_apply"}, []),
    ],
)
def test_each_setting_of_postgresql_that_may_forget_is_named(monkeypatch, options, named):
    monkeypatch.setattr(checks, "connections", {"default": PostgreSQL(**options)})
    problems = check_durability(None, databases=["default"])
    assert found(problems) == ["portal.E007"] * len(named)
    assert all(name in problem.msg for name, problem in zip(named, problems, strict=True))


def test_a_database_that_does_not_answer_is_named(monkeypatch):
    server = PostgreSQL()
    server.cursor = failing(DatabaseError("connection refused"))
    monkeypatch.setattr(checks, "connections", {"default": server})
    assert found(check_durability(None, databases=["default"])) == ["portal.E006"]


def test_a_store_that_cannot_be_used_is_named_and_advice_is_a_warning(settings, rclone):
    settings.PORTAL_STORAGE_URL = rclone.storage_url("no-such-bucket")
    assert [(found.id, found.msg) for found in check_store(None)] == [("portal.E009", "The bucket does not exist.")]
    settings.PORTAL_STORAGE_URL = rclone.storage_url()
    assert [found.id for found in check_store(None)] == ["portal.W003"]
    settings.PORTAL_STORAGE_URL = "ftp://nowhere"
    assert check_store(None) == []


def test_two_storages_of_one_kind_are_named(settings, tmp_path):
    settings.PORTAL_STORAGE_URL, settings.PORTAL_STORAGE_OTHER_URL = (f"file://{tmp_path}/{n}" for n in (1, 2))
    assert [found.id for found in check_storage(None)] == ["portal.E005"]
