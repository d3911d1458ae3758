"""The settings as a process reads them: safe defaults, files for secrets, and refusals that name the variable."""

import base64
import json
import os
import subprocess
import sys

import pytest

from tests.server import OURS, ROOT

KEY = "no secret at all, but long enough for every check of it: 0123456789"
#: All that a process does before it reads its settings: a start of Django would cost five times as much.
PRINT = """
import json
from configurations import importer
importer.install()
from django.conf import settings
names = {names!r}
print(json.dumps([getattr(settings, name) for name in names], default=str))
"""


@pytest.fixture
def manage(tmp_path):
    """`manage("check", NAME="value")` runs manage.py in an environment of its own; returns the finished process.

    `program` is what Python runs instead of it.
    """

    def run(*arguments, program=(ROOT / "manage.py",), configuration="Dev", **variables):
        env = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        env |= {"DJANGO_SETTINGS_MODULE": "boot.settings", "DJANGO_CONFIGURATION": configuration}
        env |= {"PORTAL_DATA_DIR": str(tmp_path / "data")} | variables
        command = [sys.executable, *program, *arguments]
        return subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    return run


@pytest.fixture
def read(manage):
    """`read("NAME", …)` returns these settings as a process of its own reads them."""

    def values(*names, **options):
        code = PRINT.format(names=names)
        done = manage(program=("-c", code), **options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return values


def test_the_defaults_are_those_of_the_contract(read):
    wanted = {
        "PORTAL_MAX_FILE_SIZE": 5 * 2**40,
        "PORTAL_CHUNK_SIZE": 8 * 2**20,
        "PORTAL_SESSION_TTL_HOURS": 168,
        "PORTAL_FINALIZE_INLINE_BYTES": 256 * 2**20,
        "PORTAL_TRUSTED_PROXIES": [],
        "PORTAL_RUNNER_ENDPOINT": "",
        "PORTAL_RUNNER_SECRET": "",
        "PORTAL_ENDPOINT_ALLOW_NETWORKS": [],
        "PORTAL_OUTBOX_BASE_DELAY_SECONDS": 5,
        "PORTAL_OUTBOX_MAX_DELAY_SECONDS": 3600,
        "PORTAL_OUTBOX_MAX_ATTEMPTS": 12,
        "DEBUG": False,
        "USE_TZ": True,
        "TIME_ZONE": "UTC",
    }
    assert dict(zip(wanted, read(*wanted), strict=True)) == wanted


def test_a_key_is_made_in_the_data_folder_and_found_again(read, tmp_path):
    [first], [second] = read("SECRET_KEY"), read("SECRET_KEY")
    assert first == second == (tmp_path / "data" / "secrets" / "secret_key").read_text().strip()
    assert len(first) >= 50


def test_the_secret_of_a_runner_is_made_when_there_is_one_and_found_again(read, tmp_path):
    path = tmp_path / "data" / "secrets" / "runner_secret"
    assert read("PORTAL_RUNNER_SECRET") == [""]
    assert not path.exists()
    [first], [second] = (
        read("PORTAL_RUNNER_SECRET", PORTAL_RUNNER_ENDPOINT="https://runner.example.org/") for _ in range(2)
    )
    assert first == second == path.read_text().strip()
    assert len(base64.b64decode(first.removeprefix("whsec_"))) == 32


def test_the_secret_of_a_runner_may_come_from_a_file(read, tmp_path):
    (tmp_path / "runner").write_text("whsec_bmV3\nwhsec_b2xk\n")
    assert read("PORTAL_RUNNER_SECRET", PORTAL_RUNNER_SECRET_FILE=str(tmp_path / "runner")) == [
        "whsec_bmV3\nwhsec_b2xk"
    ]


def test_a_key_may_come_from_a_file(read, tmp_path):
    (tmp_path / "key").write_text(f"{KEY}\n")
    assert read("SECRET_KEY", SECRET_KEY_FILE=str(tmp_path / "key")) == [KEY]
    assert read("SECRET_KEY", configuration="Production", SECRET_KEY_FILE=str(tmp_path / "key")) == [KEY]
    assert not (tmp_path / "data" / "secrets").exists()


@pytest.mark.parametrize("key", [{}, {"SECRET_KEY": KEY[:49]}], ids=["no key", "a short key"])
def test_production_does_not_start_without_a_key(manage, key):
    done = manage("check", configuration="Production", **key)
    assert done.returncode != 0
    assert "SECRET_KEY" in done.stderr
    # A second start, which finds what the first may have left, is refused as well.
    assert manage("check", configuration="Production", **key).returncode != 0


@pytest.mark.parametrize("command", ["check", "migrate", "run_portal"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("PORTAL_CHUNK_SIZE", "8MiB"), ("PORTAL_TRUSTED_PROXIES", "proxy"), ("SECRET_KEY_FILE", "/no")],
        *[("PORTAL_LOG_LEVEL", "loud"), ("PORTAL_PUBLIC_URL", "https://[bad")],
    ],
)
def test_a_bad_value_is_told_in_one_line_with_the_name_of_its_variable(manage, command, name, value):
    done = manage(command, **{name: value})
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert name in line
    assert value in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORTAL_QUOTA_BYTES", 2**63),
        ("PORTAL_SESSION_TTL_HOURS", 36_500 * 24 + 1),
        ("PORTAL_OUTBOX_BASE_DELAY_SECONDS", 10**9),
        ("PORTAL_OUTBOX_MAX_DELAY_SECONDS", 10**9),
        ("PORTAL_DELIVERIES_KEEP_DAYS", 36_501),
        ("PORTAL_SCANNER_TIMEOUT_SECONDS", 10**4000),
    ],
    ids=["a column", "hours", "a delay", "the longest delay", "days", "digits"],
)
def test_more_than_there_is_room_or_a_date_for_is_refused(manage, name, value):
    done = manage("check", **{name: str(value)})
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert f"{name} must be" in line


@pytest.mark.parametrize(
    ("command", "database", "said"),
    [
        ("doctor --quick", "postgres://u:hunter2@127.0.0.1:1/x", "refused"),
        ("reconcile_batches", "sqlite:///{folder}/none/at/all", "unable to open"),
        ("create_token ann", "sqlite:///{folder}/text", "not a database"),
        ("cleanup_uploads", "sqlite:///{folder}/empty", "Run manage.py migrate"),
    ],
    ids=["nobody listens", "no folder", "no database", "no tables"],
)
def test_a_database_that_cannot_be_used_is_told_in_one_line(manage, tmp_path, command, database, said):
    (tmp_path / "text").write_text("no database " * 1000)
    done = manage(*command.split(), DATABASE_URL=database.format(folder=tmp_path))
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert said in line
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "x"), ("PORT", "65536"), ("GRANIAN_WORKERS", "0"), ("GRANIAN_WORKERS", "x")]
)
def test_a_number_that_the_server_cannot_have_is_told_before_anything_is_made(manage, tmp_path, name, value):
    done = manage("run_portal", **{name: value})
    assert done.returncode == 1
    assert f"must be a number from 1 to {65535 if name == 'PORT' else 99}, not '{value}'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data" / "portal.sqlite3").exists()


def test_a_postgresql_that_is_gone_without_a_word_is_noticed(read):
    [databases] = read("DATABASES", DATABASE_URL="postgres://u@h/x?tcp_user_timeout=7")
    assert databases["default"]["ENGINE"] == "boot.postgresql", "which knows of one that is frozen"
    options = databases["default"]["OPTIONS"]
    assert options["keepalives_idle"] + options["keepalives_interval"] * options["keepalives_count"] <= 60
    assert options["tcp_user_timeout"] == 7, "what the URL says counts"


@pytest.mark.parametrize(
    "value",
    ["mysql://root:hunter2@localhost/x", "oracle://hunter2", "hunter2", "postgres://u:hunter2@localhost:port/x"],
)
def test_a_database_of_another_kind_is_refused_without_its_password(manage, value):
    done = manage("check", DATABASE_URL=value)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "DATABASE_URL must be postgres:" in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("name", ["Nope", "Path", "database"])
def test_a_configuration_that_there_is_not_is_told_in_one_line(manage, name):
    done = manage("check", configuration=name)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"DJANGO_CONFIGURATION must be Dev or Production, not '{name}'.\n"


def test_production_is_clean_under_djangos_deployment_check(manage):
    done = manage(
        "check",
        "--deploy",
        "--fail-level",
        "WARNING",
        configuration="Production",
        SECRET_KEY=KEY,
        ALLOWED_HOSTS="portal.example.org",
    )
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_production_is_for_https_alone_unless_told_otherwise(read):
    names = ["SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE"]
    assert read(*names, configuration="Production", SECRET_KEY=KEY) == [True, True, True]
    options = {"configuration": "Production", "SECRET_KEY": KEY, "PORTAL_SSL_REDIRECT": "no"}
    assert read("SECURE_SSL_REDIRECT", **options) == [False]


def test_hosts_are_those_of_the_public_address_or_of_this_machine(read):
    address = "https://portal.example.org/"
    options = {"configuration": "Production", "SECRET_KEY": KEY, "PORTAL_PUBLIC_URL": address}
    assert read("ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", **options) == [["portal.example.org"], [address[:-1]]]
    assert read("ALLOWED_HOSTS") == [["localhost", "127.0.0.1", "[::1]"]]
    assert read("ALLOWED_HOSTS", ALLOWED_HOSTS="a.example, b.example") == [["a.example", "b.example"]]


def test_a_sqlite_database_forgets_nothing_that_it_has_acknowledged(manage):
    code = (
        "from django.db import connection as c; q = lambda t: c.cursor().execute(t).fetchone()[0];"
        "print(q('PRAGMA journal_mode'), q('PRAGMA synchronous'))"
    )
    assert manage("shell", "--no-imports", "-c", code).stdout.split()[-2:] == ["wal", "2"]
