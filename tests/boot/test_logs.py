"""Log lines: one JSON object each, ours and Django's alike, with what was bound to the request."""

import io
import json
import logging
import logging.config
import os
from contextlib import contextmanager

import pytest
import structlog

from boot.logs import line_logger, logging_config
from portal.services.tokens import create_token


@pytest.fixture
def log():
    """A logger whose lines go through the configured formatter; `log.lines()` are the lines so far."""
    config = logging_config("INFO")
    formatter = config["formatters"]["json"]
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter["()"](**{name: value for name, value in formatter.items() if name != "()"}))
    logger = logging.getLogger("portal.tests.logs")
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel("INFO")
    logger.lines = lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    yield logger
    logger.removeHandler(handler)
    logger.propagate = True


def test_a_line_of_the_standard_library_is_json_with_time_level_and_name(log):
    log.warning("hello %s", "there")
    [line] = log.lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "hello there", "level": "warning", "logger": "portal.tests.logs"}


def test_a_line_of_ours_keeps_its_members(log):
    structlog.get_logger("portal.tests.logs").info("request", status=200, path="/a")
    [line] = log.lines()
    assert (line["event"], line["status"], line["path"]) == ("request", 200, "/a")


def test_what_is_bound_to_the_request_is_in_every_line(log):
    with structlog.contextvars.bound_contextvars(request_id="abc"):
        log.warning("one")
        structlog.get_logger("portal.tests.logs").info("two")
    log.warning("three")
    assert [line.get("request_id") for line in log.lines()] == ["abc", "abc", None]


def test_a_text_with_line_breaks_stays_one_line(log):
    log.warning('a\nb\r\n{"event": "forged"}\u2028c')
    assert [line["event"] for line in log.lines()] == ['a\nb\r\n{"event": "forged"}\u2028c']


def test_an_exception_is_a_member_of_its_line(log):
    try:
        raise RuntimeError("a fault")
    except RuntimeError:
        log.exception("failed")
    [line] = log.lines()
    assert "RuntimeError: a fault" in line["exception"]
    assert line["level"] == "error"


def test_what_lies_below_the_level_is_not_written(log):
    log.debug("no")
    structlog.get_logger("portal.tests.logs").debug("no")
    assert log.lines() == []


def test_the_level_is_the_one_of_the_setting():
    assert logging_config("DEBUG")["root"]["level"] == "DEBUG"


def test_djangos_own_lines_do_not_double_ours():
    """Each request has one line; Django's own would add one to every 4xx."""
    loggers = logging_config("INFO")["loggers"]
    assert loggers["django.request"]["level"] == "ERROR"


def test_a_token_is_taken_out_wherever_it_is(log, ann):
    token = create_token(ann.user)[1]
    structlog.get_logger("portal.tests.logs").info("request", path=f"/files/{token}/content")
    log.error("%s", [token])
    assert [line.get("path", line["event"]) for line in log.lines()] == ["/files/ptl_…/content", "['ptl_…']"]


def test_a_line_of_a_request_is_like_all_others(log, capfd):
    members = {"status": 200, "path": "/a\nb/ptl_" + "x" * 43, "size": 2**40, "name": "é\ud800"}
    with structlog.contextvars.bound_contextvars(request_id="abc"):
        structlog.get_logger("portal.tests.logs").info("request", **members)
        line_logger("portal.tests.logs", "INFO").info("request", **members)
    line_logger("portal.tests.logs", "WARNING").info("no")
    [ours], [line] = log.lines(), [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert line.pop("timestamp")[:16] == ours.pop("timestamp")[:16]
    assert line == ours


@contextmanager
def stderr_as_pipe():
    """A file to read what is written to stderr inside."""
    before = os.dup(2)
    reading, writing = os.pipe()
    os.dup2(writing, 2)
    os.close(writing)
    try:
        with open(reading, "rb", buffering=0) as pipe:
            yield pipe
    finally:
        os.dup2(before, 2)
        os.close(before)


def test_a_line_that_nobody_reads_any_more_fails_no_request():
    with stderr_as_pipe() as pipe:
        logger = line_logger("portal.tests.logs", "INFO")
        pipe.close()
        for _ in range(2):
            logger.info("request")


def test_a_line_that_finds_no_room_is_lost_and_the_next_one_is_whole():
    with stderr_as_pipe() as pipe:
        logger = line_logger("portal.tests.logs", "INFO")
        os.set_blocking(2, False)
        for number in range(2000):
            logger.info("request", number=number)
        held = pipe.read(2**20)
        logger.info("next")
        lines = [json.loads(line) for line in (held + pipe.read(2**20)).splitlines()]
    assert len(lines) < 2000
    assert [line.get("number") for line in lines] == [*range(len(lines) - 1), None]
