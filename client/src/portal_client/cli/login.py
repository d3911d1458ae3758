"""`portal login`."""

import sys
from typing import Annotated

import typer

from portal_client.addresses import split_address
from portal_client.cli.app import Place, app, listen, told
from portal_client.cli.config import write_config
from portal_client.cli.telling import say
from portal_client.client import PortalClient
from portal_client.errors import PortalError


@app.command()
def login(url: Annotated[str | None, typer.Argument(help="Address of the portal.")] = None) -> None:
    """Try an address and a token, and keep them. The token is asked for, or read from stdin."""
    with told():
        url = url or Place.url or typer.prompt("Address of the portal")
        split_address(url)
        try:
            token = (typer.prompt("Token", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline()).strip()
        except UnicodeDecodeError:
            raise PortalError("What was read from stdin is no token.") from None
        if not token:
            raise PortalError('No token came on stdin: echo "$TOKEN" | portal login URL')
        listen(PortalClient(url, token, cache=False, patience=10)).limits()
        say(f"Logged in to {url}; kept in {write_config(url, token)}.")
