"""`portal missing` and `portal verify`: a folder against a batch."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from portal_client.cli.app import (
    ASKING_SECONDS,
    Exit,
    FollowLinks,
    Json,
    Patience,
    Quiet,
    app,
    make_client,
    screen,
    told,
)
from portal_client.cli.display import make_progress, show_failures
from portal_client.sources import show_name

BatchName = Annotated[str, typer.Argument(metavar="BATCH", help="Name or id.")]
#: One that cannot be read is told of with the other failures, and does not make the command line wrong.
SomePaths = Annotated[
    list[Path], typer.Argument(metavar="PATH", help="Folders or files, as they were uploaded.", readable=False)
]


@app.command()
def missing(
    batch: BatchName,
    paths: SomePaths,
    *,
    follow_links: FollowLinks = False,
    patience: Patience = ASKING_SECONDS,
    as_json: Json = False,
) -> None:
    """List the files of these folders that the batch does not have, one a line; ends with 4 when there are any.

    A file that cannot be read, or of which the batch has other bytes, is listed apart and counts as well.
    """
    with told():
        client = make_client(patience=patience)
        run = client.prepare()
        run.look(paths, client.known_batch(batch).id, follow_links=follow_links)
        report = run.compare()
        if as_json:
            typer.echo(json.dumps({"missing": report.to_send, "failures": [asdict(one) for one in report.failures]}))
        else:
            for path in report.to_send:
                typer.echo(path)
        show_failures(report.failures)
        if report.to_send or report.failures:
            raise typer.Exit(Exit.DIFFERS)


@app.command()
def verify(
    batch: BatchName,
    paths: SomePaths,
    *,
    follow_links: FollowLinks = False,
    patience: Patience = ASKING_SECONDS,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read these folders and compare them with the batch's receipt; ends with 4 when they differ."""
    with told():
        client = make_client(patience=patience)
        with make_progress(quiet=quiet or as_json) as progress:
            report = client.verify_folder(paths, batch, follow_links=follow_links, progress=progress)
        if as_json:
            typer.echo(json.dumps(asdict(report) | {"equal": report.equal}))
        else:
            for word, names in (("differs", report.differ), ("not here", report.missing), ("not there", report.extra)):
                for name in names:
                    typer.echo(f"{word}: {show_name(name)}")
        show_failures(report.failures)
        if not report.equal:
            raise typer.Exit(Exit.DIFFERS)
        if not quiet and not as_json:
            screen.print(f"All {len(report.same):,} files are as the receipt says.")
