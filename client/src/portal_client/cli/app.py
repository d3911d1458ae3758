"""What all commands share: their options, the address and the token."""

from typing import Annotated

import typer

from portal_client import __version__
from portal_client.addresses import split_address
from portal_client.cli.config import read_config
from portal_client.cli.telling import Asked, Exit, say, screen, told
from portal_client.client import PARALLEL, PATIENCE_SECONDS, PortalClient
from portal_client.errors import PortalError

__all__ = ["Exit", "app", "make_client", "screen", "told"]

#: The patience of commands that only ask, where somebody sits and waits.
ASKING_SECONDS = 30.0

app = typer.Typer(
    help="Hands folders over to an ingest portal, goes on where it broke off, and proves what was stored.\n\n"
    "Ends with 0: done. 1: it could not be done. 2: a wrong command line. 3: some files failed, the rest is done. "
    "4: the folder and the batch differ. 130: stopped; the same command goes on.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _note_json(value: bool) -> bool:
    Asked.as_json = value
    return value


def _note_quiet(value: bool) -> bool:
    Asked.quiet = value
    return value


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"portal {__version__}")
        raise typer.Exit


Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.", callback=_note_json)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but what went wrong.", callback=_note_quiet)]
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
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Keep the address for the command that follows."""
    Place.url = url
    Asked.as_json = Asked.quiet = Asked.stopping = False


def make_client(parallel: int = PARALLEL, patience: float = PATIENCE_SECONDS) -> PortalClient:
    """Return a client for the address and token of the environment, or of `portal login`."""
    url, token = read_config(Place.url)
    if url:
        split_address(url)
    if not url or not token:
        where = f" to {url}" if url else ""
        raise PortalError(f"Not logged in{where}: run `portal login`, or set PORTAL_URL and PORTAL_TOKEN.")
    return listen(PortalClient(url, token, parallel=parallel, patience=patience))


def listen(client: PortalClient) -> PortalClient:
    """Say what the client waits for, unless it is to be quiet; return it."""
    if not Asked.quiet:
        client.transport.waits.hear = lambda text: say(f"{text}, Ctrl-C ends it.")
    return client
