"""Structured logs: one JSON object a line on stderr, with the request's id, never a token or a body."""

import io
import json
import logging
import re
from contextlib import suppress

import structlog

LOG_LEVELS = ("debug", "info", "warning", "warn", "error", "critical")
#: What a token of ours looks like, wherever somebody has put it; a test holds it to portal/services/tokens.py.
TOKEN = re.compile(r"ptl_[A-Za-z0-9_-]{20,}")
SHARED = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]


def hide_tokens(logger, name, line):
    """Take tokens out of a whole line: somebody may have sent one as a part of a path."""
    return TOKEN.sub("ptl_…", line)


#: Made once: json.dumps makes a new one for each call that tells it what to do with what it does not know.
_encoder = json.JSONEncoder(default=repr)


class Stderr(io.FileIO):
    """Takes whole lines to stderr; one that it refuses (nobody reads, it is full) is lost, and nothing else."""

    def __init__(self):
        super().__init__(2, "wb", closefd=False)

    def write(self, line):
        """Write a line at once; as with the standard library's handlers, no fault of it reaches who logs."""
        with suppress(OSError):
            super().write(line)


def line_logger(name, level):
    """Return a logger whose lines look like all others, at a third of their cost: for what is logged by each request.

    They go straight to stderr, past the standard library and its handlers; those below `level` are not made.
    """
    write = structlog.wrap_logger(
        structlog.BytesLogger(Stderr()),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            lambda *told: hide_tokens(*told[:2], _encoder.encode(told[2])).encode(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
    )
    return write.bind(logger=name)


def logging_config(level):
    """Return the dictConfig that sends Django's and our own log lines through structlog as JSON."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.JSONRenderer(),
                    hide_tokens,
                ],
                "foreign_pre_chain": SHARED,
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # One line a request is written by boot/asgi.py; Django's own would double each 4xx.
            "django.request": {"level": "ERROR"},
            "django.security.DisallowedHost": {"level": "CRITICAL"},
            "axes": {"level": "WARNING"},
            # At DEBUG these write signed requests, and at INFO where credentials came from.
            **{name: {"level": "WARNING"} for name in ("boto3", "botocore", "s3transfer", "urllib3")},
        },
    }
