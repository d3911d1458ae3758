"""Django settings: every value comes from the environment, each with a default that is safe on one machine."""

from pathlib import Path
from urllib.parse import urlsplit

import dj_database_url
from configurations import Configuration
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from boot import environment
from boot.logs import LOG_LEVELS, logging_config

ROOT = Path(__file__).resolve().parent.parent

#: WAL and FULL: measured to lose no acknowledged commit in a power cut (aikb/architecture.md has the figures).
SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-8000;",
}

#: Without them a statement to a machine that is gone without a word would wait for a quarter of an hour or more: idle
#: connections find out within a minute, one that has sent a statement within half of one. `tcp_user_timeout` is in ms.
#: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
POSTGRESQL_OPTIONS = {
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

#: As short as `check --deploy` takes it.
SECRET_KEY_LENGTH = 50


def database(data_dir):
    """Return the DATABASES entry of DATABASE_URL, by default an SQLite file in the data folder."""
    url = environment.read("DATABASE_URL") or f"sqlite:///{data_dir / 'portal.sqlite3'}"
    try:
        entry = dj_database_url.parse(url)
    except ValueError as error:
        # The URL may hold a password, so it is not repeated.
        raise ImproperlyConfigured("DATABASE_URL must be postgres://… or sqlite:///…") from error
    if entry["ENGINE"].endswith("sqlite3"):
        entry["ENGINE"] = "boot.sqlite3"
        entry["OPTIONS"] = SQLITE_OPTIONS | entry.get("OPTIONS", {})
        entry["CONN_MAX_AGE"] = None
    elif entry["ENGINE"].endswith("postgresql"):
        entry["ENGINE"] = "boot.postgresql"
        # Persistent connections cost 1.56 ms a request, psycopg's pool 1.96; Django refuses both together.
        entry["CONN_MAX_AGE"] = 300
        entry["CONN_HEALTH_CHECKS"] = True
        entry["OPTIONS"] = POSTGRESQL_OPTIONS | entry.get("OPTIONS", {})
    else:
        raise ImproperlyConfigured("DATABASE_URL must be postgres://… or sqlite:///…")
    return entry


def part_bounds(storage_url):
    """Return the least (but for the last) and the most bytes that the storage takes as a part; a folder takes any.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
    """
    return (5 * 2**20, 5 * 2**30) if storage_url.startswith("s3:") else (1, 2**63 - 1)


class Base(Configuration):
    """What all configurations share."""

    DATA_DIR_DEFAULT = ROOT / "var"
    PORTAL_DATA_DIR = Path(environment.read("PORTAL_DATA_DIR") or DATA_DIR_DEFAULT).resolve()
    PORTAL_STORAGE_URL = environment.read("PORTAL_STORAGE_URL") or f"file://{PORTAL_DATA_DIR / 'storage'}"
    PORTAL_STORAGE_OTHER_URL = environment.read("PORTAL_STORAGE_OTHER_URL")
    PORTAL_MAX_FILE_SIZE = environment.read_int("PORTAL_MAX_FILE_SIZE", 5 * 2**40)
    PORTAL_CHUNK_SIZE = environment.read_int("PORTAL_CHUNK_SIZE", 8 * 2**20)
    _least, _most = part_bounds(PORTAL_STORAGE_URL)
    PORTAL_CHUNK_SIZE_MIN = max(environment.read_int("PORTAL_CHUNK_SIZE_MIN", 64 * 2**10), _least)
    PORTAL_CHUNK_SIZE_MAX = min(environment.read_int("PORTAL_CHUNK_SIZE_MAX", 5 * 2**30), _most)
    PORTAL_SESSION_TTL_HOURS = environment.read_int("PORTAL_SESSION_TTL_HOURS", 168, environment.CENTURY_DAYS * 24)
    PORTAL_MIN_FREE_BYTES = environment.read_int("PORTAL_MIN_FREE_BYTES", 256 * 2**20)
    #: Of each owner; 0 is none.
    PORTAL_QUOTA_BYTES = environment.read_int("PORTAL_QUOTA_BYTES", 0)
    PORTAL_QUOTA_OPEN_SESSIONS = environment.read_int("PORTAL_QUOTA_OPEN_SESSIONS", 0)
    PORTAL_QUOTA_BATCH_FILES = environment.read_int("PORTAL_QUOTA_BATCH_FILES", 0)
    #: Requests a second that one token may make of one server process; 0 is no limit.
    PORTAL_RATE_LIMIT = environment.read_int("PORTAL_RATE_LIMIT", 0)
    #: Patterns of the media types that content may have, as found in its bytes; none lets all in.
    PORTAL_CONTENT_TYPES = environment.read_list("PORTAL_CONTENT_TYPES")
    PORTAL_SCANNER = environment.read("PORTAL_SCANNER")
    PORTAL_SCANNER_TIMEOUT_SECONDS = environment.read_int(
        "PORTAL_SCANNER_TIMEOUT_SECONDS", 120, environment.YEAR_SECONDS
    )
    PORTAL_KNOWN_BYTES = environment.read_bool("PORTAL_KNOWN_BYTES", True)
    PORTAL_FINALIZE_INLINE_BYTES = environment.read_int("PORTAL_FINALIZE_INLINE_BYTES", 256 * 2**20)
    #: What becomes of a download where the store can sign URLs.
    PORTAL_DOWNLOAD = environment.read_choice("PORTAL_DOWNLOAD", "redirect", "redirect", "proxy")
    PORTAL_RUNNER_ENDPOINT = environment.read("PORTAL_RUNNER_ENDPOINT")
    PORTAL_RUNNER_SECRET = environment.read("PORTAL_RUNNER_SECRET") or (
        environment.kept_secret(PORTAL_DATA_DIR / "secrets" / "runner_secret", environment.new_webhook_secret)
        if PORTAL_RUNNER_ENDPOINT
        else ""
    )
    PORTAL_ENDPOINT_ALLOW_NETWORKS = environment.read_networks("PORTAL_ENDPOINT_ALLOW_NETWORKS")
    PORTAL_OUTBOX_BASE_DELAY_SECONDS = environment.read_int(
        "PORTAL_OUTBOX_BASE_DELAY_SECONDS", 5, environment.YEAR_SECONDS
    )
    PORTAL_OUTBOX_MAX_DELAY_SECONDS = environment.read_int(
        "PORTAL_OUTBOX_MAX_DELAY_SECONDS", 3600, environment.YEAR_SECONDS
    )
    PORTAL_OUTBOX_MAX_ATTEMPTS = environment.read_int("PORTAL_OUTBOX_MAX_ATTEMPTS", 12)
    #: How long a delivery that arrived is on record; 0 is for ever.
    PORTAL_DELIVERIES_KEEP_DAYS = environment.read_int("PORTAL_DELIVERIES_KEEP_DAYS", 30, environment.CENTURY_DAYS)
    PORTAL_PUBLIC_URL = environment.read_origin("PORTAL_PUBLIC_URL")
    PORTAL_TRUSTED_PROXIES = environment.read_networks("PORTAL_TRUSTED_PROXIES")

    #: Spans are sent when the SDK of OpenTelemetry is told where to; its other variables are its own.
    PORTAL_TRACING = bool(environment.read("OTEL_EXPORTER_OTLP_ENDPOINT"))

    DEBUG = False
    SECRET_KEY = environment.read("SECRET_KEY") or environment.kept_secret(PORTAL_DATA_DIR / "secrets" / "secret_key")
    ALLOWED_HOSTS = environment.read_list("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
    CSRF_TRUSTED_ORIGINS = [PORTAL_PUBLIC_URL] if PORTAL_PUBLIC_URL else []
    DATABASES = {"default": database(PORTAL_DATA_DIR)}
    ATOMIC_REQUESTS = False
    DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
    USE_TZ = True
    TIME_ZONE = "UTC"
    LANGUAGE_CODE = "en-us"
    USE_I18N = False

    INSTALLED_APPS = [
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
        "rest_framework",
        "drf_spectacular",
        "drf_spectacular_sidecar",
        "csp",
        "axes",
        "portal.apps.PortalConfig",
    ]
    MIDDLEWARE = [
        "django.middleware.security.SecurityMiddleware",
        "whitenoise.middleware.WhiteNoiseMiddleware",
        "csp.middleware.CSPMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
        "portal.views.hosts.HostMiddleware",
        "portal.views.digest.ContentDigestMiddleware",
        "axes.middleware.AxesMiddleware",
    ]
    TEMPLATES = [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ]
    ROOT_URLCONF = "boot.urls"
    APPEND_SLASH = False
    CSRF_FAILURE_VIEW = "portal.views.errors.csrf_failure"
    #: The hop in front of Django (boot/wsgi_bridge.py) has refused a larger body already.
    DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 2**20

    LOGIN_URL = "/login"
    LOGIN_REDIRECT_URL = "/docs"
    LOGOUT_REDIRECT_URL = "/login"
    AUTHENTICATION_BACKENDS = [
        "axes.backends.AxesStandaloneBackend",
        "django.contrib.auth.backends.ModelBackend",
    ]
    AUTH_PASSWORD_VALIDATORS = [
        {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
        {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
        {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
    ]
    #: Ten failures for one name from one address lock that pair for 15 minutes: 429.
    AXES_FAILURE_LIMIT = 10
    AXES_COOLOFF_TIME = 0.25
    AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
    AXES_RESET_ON_SUCCESS = True
    AXES_ENABLE_ACCESS_FAILURE_LOG = False
    AXES_VERBOSE = False
    AXES_LOCKOUT_CALLABLE = "portal.views.errors.locked_out"
    AXES_USERNAME_CALLABLE = "portal.views.auth.login_name"

    SESSION_ENGINE = "portal.browser_sessions"
    SESSION_COOKIE_HTTPONLY = True
    SESSION_COOKIE_SAMESITE = "Lax"
    CSRF_COOKIE_SAMESITE = "Lax"
    X_FRAME_OPTIONS = "DENY"
    SECURE_CONTENT_TYPE_NOSNIFF = True
    SECURE_REFERRER_POLICY = "same-origin"
    CONTENT_SECURITY_POLICY = {
        "DIRECTIVES": {
            "default-src": [SELF],
            "img-src": [SELF, "data:"],
            "object-src": [NONE],
            "base-uri": [NONE],
            "frame-ancestors": [NONE],
            "form-action": [SELF],
        }
    }

    STATIC_URL = "/static/"
    WHITENOISE_USE_FINDERS = True
    WHITENOISE_AUTOREFRESH = False

    REST_FRAMEWORK = {
        "DEFAULT_AUTHENTICATION_CLASSES": [
            "portal.views.auth.BearerAuthentication",
            "portal.views.auth.BrowserAuthentication",
        ],
        "DEFAULT_PERMISSION_CLASSES": ["portal.views.auth.HasScope"],
        "DEFAULT_PARSER_CLASSES": ["portal.views.formats.StrictJSONParser"],
        "DEFAULT_RENDERER_CLASSES": ["portal.views.formats.FastJSONRenderer"],
        "DEFAULT_CONTENT_NEGOTIATION_CLASS": "portal.views.formats.AlwaysJSON",
        "EXCEPTION_HANDLER": "portal.views.errors.handle_exception",
        "DEFAULT_SCHEMA_CLASS": "portal.views.schema.PortalSchema",
        "UNAUTHENTICATED_USER": None,
    }
    SPECTACULAR_SETTINGS = {
        "TITLE": "Ingest portal",
        "DESCRIPTION": "Batches of files, sent in parts, stored and told onwards.",
        "VERSION": "0.1.0",
        "OAS_VERSION": "3.1.0",
        "SERVE_INCLUDE_SCHEMA": False,
        "SWAGGER_UI_DIST": "SIDECAR",
        "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
        "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
        "SERVE_AUTHENTICATION": [],
        # Three nouns have a status; the names that were made up for the third changed with its words.
        "ENUM_NAME_OVERRIDES": {
            "BatchStatus": "portal.models.UploadBatch.Status",
            "FileStatus": "portal.models.IngestFile.Status",
            "SessionStatus": "portal.models.UploadSession.Status",
            "DeliveryStatus": "portal.models.Delivery.Status",
            "EndpointStatus": "portal.models.Endpoint.Status",
            "EventType": "portal.models.OutboxEvent.Type",
        },
        "POSTPROCESSING_HOOKS": [
            "drf_spectacular.hooks.postprocess_schema_enums",
            "portal.transfer.schema.add_byte_routes",
            "portal.views.schema.add_problems",
        ],
    }
    LOGGING_CONFIG = "logging.config.dictConfig"
    LOGGING = logging_config(environment.read_choice("PORTAL_LOG_LEVEL", "INFO", *LOG_LEVELS).upper())


class Dev(Base):
    """One machine, started by `make run`."""


class Test(Base):
    """What pytest runs under: cheap passwords, everything else as shipped."""

    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    PORTAL_MIN_FREE_BYTES = 0


class Production(Base):
    """Behind TLS; refuses a secret key that was not given, or is short, and a runner without a given secret."""

    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    SECURE_SSL_REDIRECT = environment.read_bool("PORTAL_SSL_REDIRECT", True)
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    # Asked on the machine itself, by address. A token that came in the clear is not saved by a redirect.
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
    ALLOWED_HOSTS = environment.read_list(
        "ALLOWED_HOSTS", urlsplit(Base.PORTAL_PUBLIC_URL).hostname or "localhost,127.0.0.1,[::1]"
    )

    @classmethod
    def pre_setup(cls):
        super().pre_setup()
        if len(environment.read("SECRET_KEY")) < SECRET_KEY_LENGTH:
            raise ImproperlyConfigured("Production needs SECRET_KEY (or SECRET_KEY_FILE), at least 50 characters.")
        if environment.read("PORTAL_RUNNER_ENDPOINT") and not environment.read("PORTAL_RUNNER_SECRET"):
            raise ImproperlyConfigured("Production needs PORTAL_RUNNER_SECRET with PORTAL_RUNNER_ENDPOINT.")
