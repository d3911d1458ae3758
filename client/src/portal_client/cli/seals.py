"""`portal seal`: a batch closed as it is, when not all of its folder can be had."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from portal_client.cli.app import ASKING_SECONDS, Exit, Json, Patience, app, make_client, told
from portal_client.cli.checks import BatchName
from portal_client.sources import show_name


@app.command()
def seal(
    batch: BatchName,
    *,
    give_up: Annotated[bool, typer.Option("--give-up", help="Give up the files that are on their way.")] = False,
    patience: Patience = ASKING_SECONDS,
    as_json: Json = False,
) -> None:
    """Seal a batch as it is: no file joins any more, and what is stored gets its receipt.

    For a folder of which some files cannot be had. Ends with 3 while files are on their way: the batch is completed
    when the last of them has ended, or at once with --give-up.
    """
    with told():
        client = make_client(patience=patience)
        found = client.known_batch(batch)
        given_up = client.give_up(found.id) if give_up else 0
        client.seal(found.id)
        found = client.batch(found.id)
        receipt = client.receipt(found.id) if found.completed_at and not found.pending_count else None
        if as_json:
            answer = {"batch": asdict(found), "given_up": given_up, "receipt": receipt and asdict(receipt)}
            typer.echo(json.dumps(answer))
        else:
            typer.echo(f"Batch {show_name(found.name)} ({found.id}): {found.stored_count:,} files are sealed.")
            if given_up:
                typer.echo(f"Given up: {given_up:,} files that were on their way.")
            if receipt:
                typer.echo(f"Complete. SHA-256 of its manifest: {receipt.manifest_sha256}")
            else:
                typer.echo(f"{found.pending_count:,} files are on their way; --give-up ends that.")
        if not receipt:
            raise typer.Exit(Exit.PARTIAL)
