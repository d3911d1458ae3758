"""What all commands share: the address and the token, how an error becomes an exit code."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Annotated

import typer
from rich.console import Console

from portal_client.cli.config import read_config
from portal_client.client import PARALLEL, PATIENCE_SECONDS, PortalClient
from portal_client.errors import NotAuthenticated, PortalError, Stopped, Unreachable


class Exit(IntEnum):
    """How a command ends; 2 is a wrong command line."""

    DONE = 0
    FAILED = 1
    PARTIAL = 3
    DIFFERS = 4
    STOPPED = 130


app = typer.Typer(
    help="Hands folders over to an ingest portal, goes on where it broke off, and proves what was stored.\n\n"
    "Ends with 0: done. 1: it could not be done. 2: a wrong command line. 3: some files failed, the rest is done. "
    "4: the folder and the batch differ. 130: stopped; the same command goes on.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
#: People read here; what programs read goes to stdout.
screen = Console(stderr=True, highlight=False)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but what went wrong.")]
Parallel = Annotated[int, typer.Option(min=1, max=64, help="Requests at once.")]
Patience = Annotated[float, typer.Option(min=0, help="Seconds for which a request that fails is tried again.")]
FollowLinks = Annotated[
    bool, typer.Option("--follow-links", help="Take what links point to; else they are passed over.")
]


class Place:
    """Where to: the address that was given before the command, or by PORTAL_URL."""

    url: str | None = None


@app.callback()
def remember_url(
    url: Annotated[str | None, typer.Option(envvar="PORTAL_URL", help="Address; else that of `login`.")] = None,
) -> None:
    """Keep the address for the command that follows."""
    Place.url = url


def make_client(parallel: int = PARALLEL, patience: float = PATIENCE_SECONDS) -> PortalClient:
    """Return a client for the address and token of the environment, or of `portal login`."""
    url, token = read_config(Place.url)
    if not url or not token:
        raise PortalError("Not logged in: run `portal login`, or set PORTAL_URL and PORTAL_TOKEN.")
    return PortalClient(url, token, parallel=parallel, patience=patience)


@contextmanager
def told() -> Iterator[None]:
    """Turn errors into a line for people and an exit code; the same command, run again, goes on."""
    again = f"Go on with: {shlex.join(['portal', *sys.argv[1:]])}"
    try:
        yield
    except (KeyboardInterrupt, Stopped):
        screen.print(f"Stopped. What has been stored stays stored. {again}", soft_wrap=True, markup=False)
        raise typer.Exit(Exit.STOPPED) from None
    except NotAuthenticated as error:
        screen.print(f"{error} Run `portal login` with a token that is valid.", markup=False)
        raise typer.Exit(Exit.FAILED) from None
    except Unreachable as error:
        screen.print(f"{error}\nNothing is lost. {again}", soft_wrap=True, markup=False)
        raise typer.Exit(Exit.FAILED) from None
    except PortalError as error:
        screen.print(str(error), soft_wrap=True, markup=False)
        raise typer.Exit(Exit.FAILED) from None
