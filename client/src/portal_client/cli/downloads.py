"""`portal download`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from portal_client.cli.app import Exit, Json, Parallel, Patience, Quiet, app, make_client, screen, told
from portal_client.cli.checks import BatchName
from portal_client.cli.display import make_progress, show_failures, show_size
from portal_client.client import PARALLEL, PATIENCE_SECONDS


@app.command()
def download(
    batch: BatchName,
    into: Annotated[Path, typer.Option(help="The folder, made if need be.")] = Path(),
    *,
    parallel: Parallel = PARALLEL,
    patience: Patience = PATIENCE_SECONDS,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch the stored files of a batch, each checked by its SHA-256; run again, it goes on where it broke off.

    Ends with 3 when a file failed, or when the batch has files that are not stored.
    """
    with told():
        client = make_client(parallel, patience)
        with make_progress(quiet=quiet or as_json) as progress:
            report = client.download_batch(batch, into, progress=progress)
        if as_json:
            typer.echo(json.dumps(asdict(report) | {"complete": report.complete}))
        elif not quiet:
            typer.echo(
                f"{report.fetched:,} of {report.files:,} files fetched, {show_size(report.fetched_bytes)}; "
                f"{report.already:,} were there."
            )
        show_failures(report.failures)
        if others := report.pending + report.failed:
            screen.print(
                f"{others:,} files of the batch are not stored: {report.pending:,} pending, {report.failed:,} failed."
            )
        if not report.complete:
            raise typer.Exit(Exit.PARTIAL)
