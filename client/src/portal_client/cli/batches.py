"""`portal batches` and `portal status`."""

import json
from dataclasses import asdict
from itertools import islice
from typing import Annotated

import typer

from portal_client.cli.app import ASKING_SECONDS, Exit, Json, Patience, app, make_client, told
from portal_client.cli.checks import BatchName
from portal_client.cli.display import show_size
from portal_client.members import Batch
from portal_client.sources import show_name

POLL_SECONDS = 2.0
#: How a batch ends, and how the command that waited for it does.
ENDS = {"COMPLETE": Exit.DONE, "PARTIAL": Exit.PARTIAL, "FAILED": Exit.FAILED, "CANCELLED": Exit.FAILED}


@app.command()
def batches(
    status: Annotated[str | None, typer.Option(help="Only those of this status, such as IN_PROGRESS.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many at most.")] = 50,
    *,
    patience: Patience = ASKING_SECONDS,
    as_json: Json = False,
) -> None:
    """List batches, newest first."""
    with told():
        found = list(islice(make_client(patience=patience).batches(status), limit))
        if as_json:
            typer.echo(json.dumps({"batches": [asdict(batch) for batch in found]}))
            return
        for batch in found:
            typer.echo(f"{batch.id}  {_describe(batch)}  {show_name(batch.name)}")


@app.command()
def status(
    batch: BatchName,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the batch is completed.")] = False,
    patience: Patience = ASKING_SECONDS,
    as_json: Json = False,
) -> None:
    """Show how far a batch is. With --follow it ends with 0 COMPLETE, 3 PARTIAL, 1 FAILED or CANCELLED."""
    with told():
        client = make_client(patience=patience)
        seen = client.known_batch(batch)
        _show(seen, as_json)
        while follow and not seen.completed_at and seen.status != "CANCELLED":
            client.transport.pause(POLL_SECONDS)
            before, seen = seen, client.batch(seen.id)
            if seen != before:
                _show(seen, as_json)
        if follow:
            raise typer.Exit(ENDS.get(seen.status, Exit.FAILED))


def _show(batch: Batch, as_json: bool) -> None:
    typer.echo(json.dumps(asdict(batch)) if as_json else _describe(batch))


def _describe(batch: Batch) -> str:
    sealed = ", sealed" if batch.sealed_at else ""
    return (
        f"{batch.status:<11} {batch.stored_count:,} of {batch.total_files:,} files stored, "
        f"{batch.failed_count:,} failed, {batch.pending_count:,} pending, {show_size(batch.stored_bytes)}{sealed}"
    )
