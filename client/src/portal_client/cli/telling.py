"""How a command ends, and what it says then: one line for people, one object for programs, an exit code."""

import json
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import typer
from rich.console import Console

from portal_client.errors import NotAuthenticated, PortalError, Stopped, Unreachable
from portal_client.sources import show_name


class Exit(IntEnum):
    """How a command ends; 2 is a wrong command line."""

    DONE = 0
    FAILED = 1
    PARTIAL = 3
    DIFFERS = 4
    STOPPED = 130


class Asked:
    """How the command that runs is to speak, and whether it has said already that it stops."""

    as_json = quiet = stopping = False


#: People read here; what programs read goes to stdout. Names are printed as they are, whatever `[` or `:` is in them.
screen = Console(stderr=True, highlight=False, markup=False, emoji=False)
#: What looks like a token, by accident in a place where none belongs.
TOKEN = re.compile(r"ptl_[\w-]{20,}")


def say(text: str) -> None:
    """Print a line for people, without any token that has got into it."""
    screen.print(_without_tokens(text), soft_wrap=True)


def say_stop() -> None:
    """Say that it stops and how to go on; once, whoever says it first."""
    if not Asked.stopping:
        Asked.stopping = True
        say(f"Stopped. What has been stored stays stored. {_go_on()}")


def in_words(error: OSError) -> str:
    """Return what the system did not do, on one line."""
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)


@contextmanager
def told() -> Iterator[None]:
    """Turn errors into a line for people and an exit code; the same command, run again, goes on."""
    try:
        yield
    except (KeyboardInterrupt, Stopped):
        say_stop()
        raise _end("stopped", "It was called off.", Exit.STOPPED) from None
    except PortalError as error:
        advice = ""
        if isinstance(error, NotAuthenticated):
            advice = " Run `portal login` with a token that is valid."
        elif isinstance(error, Unreachable):
            advice = f"\nNothing is lost. {_go_on()}"
        say(show_name(str(error)) + advice)
        raise _end(error.code, getattr(error, "detail", str(error))) from None
    except OSError as error:
        if not error.filename:
            raise  # of stdout, where nothing more can be said: `main` ends it
        say(show_name(in_words(error)))
        raise _end("failed", in_words(error)) from None


def _go_on() -> str:
    return f"Go on with: {shlex.join(['portal', *sys.argv[1:]])}"


def _end(code: str, detail: str, status: Exit = Exit.FAILED) -> typer.Exit:
    if Asked.as_json:
        typer.echo(json.dumps({"error": {"code": code, "detail": _without_tokens(detail)}}))
    return typer.Exit(status)


def _without_tokens(text: str) -> str:
    return TOKEN.sub("ptl_…", text)
