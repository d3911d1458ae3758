"""`portal upload`."""

import json
import os
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from portal_client.cli.app import Exit, FollowLinks, Json, Parallel, Patience, Quiet, app, make_client, screen, told
from portal_client.cli.display import make_progress, show_failures, show_size
from portal_client.client import PARALLEL, PATIENCE_SECONDS
from portal_client.errors import BatchCompleted, BatchSealed, PortalError
from portal_client.folders import UploadReport
from portal_client.members import is_id
from portal_client.sources import show_name

#: So many names of a list are shown; `--json` has them all.
SHOWN_NAMES = 5


@app.command()
def upload(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Folders or files.", readable=False)],
    batch: Annotated[
        str | None, typer.Option("--batch", "-b", help="Name or id of the batch; by default the folder's name.")
    ] = None,
    *,
    parallel: Parallel = PARALLEL,
    patience: Patience = PATIENCE_SECONDS,
    keep_open: Annotated[bool, typer.Option("--keep-open", help="Do not seal the batch: more is to come.")] = False,
    follow_links: FollowLinks = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Store what the batch does not have yet of these folders, seal it, and bring the receipt.

    One folder alone gives paths below it; several, or files, keep their own names in front. Run it again at any time:
    only what is missing is sent.
    """
    with told():
        if batch == "":
            raise typer.BadParameter("The name of the batch is empty.", param_hint="--batch")
        name = batch or _name_of(paths)
        with make_progress(quiet=quiet or as_json) as progress:
            run = make_client(parallel, patience).prepare(progress=progress)
            try:
                run.look(paths, name, follow_links=follow_links)
                if batch and is_id(batch) and run.batch is None:
                    # No name for a new one: whoever gives an id means a batch that is there.
                    raise PortalError(f"There is no batch {batch!r}.")
                report = run.compare() if dry_run else run.send(name, seal=not keep_open)
            except (BatchSealed, BatchCompleted) as error:
                error.detail += " Give another name: --batch NAME."
                raise
            except (KeyboardInterrupt, PortalError):
                _say_how_far(run.report)
                raise
        if as_json:
            typer.echo(json.dumps(asdict(report) | {"complete": report.complete}))
        elif not quiet:
            (_show_plan if dry_run else _show)(report)
        show_failures(report.failures)
        if report.failures and not (quiet or dry_run or keep_open):
            _say_what_then(name, report)
        if report.failures:
            raise typer.Exit(Exit.PARTIAL)


def _name_of(paths: list[Path]) -> str:
    if len(paths) > 1:
        raise typer.BadParameter("Several paths need a name for their batch: --batch NAME.")
    return Path(os.path.realpath(paths[0])).name or "everything"  # as resolve, which raises where links go in circles


def _say_what_then(name: str, report: UploadReport) -> None:
    if report.batch and (report.batch.sealed_at or report.batch.completed_at):
        screen.print(
            "The batch is sealed and stays as it is; what changed goes into another: --batch NAME", soft_wrap=True
        )
        return
    seal = shlex.join(["portal", "seal", "--", name] if name.startswith("-") else ["portal", "seal", name])
    text = f"Not sealed, since not all is stored. Run it again, or seal what there is: {seal}"
    screen.print(text, soft_wrap=True)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN_NAMES:,} more" if len(names) > SHOWN_NAMES else ""
    return ", ".join(map(show_name, names[:SHOWN_NAMES])) + more


def _say_how_far(report: UploadReport) -> None:
    if report.batch:
        screen.print(f"{report.stored:,} of {report.files:,} files are stored in batch {report.batch.id}.")


def _show_plan(report: UploadReport) -> None:
    for path in report.to_send:
        typer.echo(path)
    screen.print(
        f"{len(report.to_send):,} of {report.files:,} files would be sent; {report.already:,} are stored already."
    )


def _show(report: UploadReport) -> None:
    batch = report.batch
    assert batch is not None  # noqa: S101 - it was sent to
    new = f"{report.stored - report.already:,} by this run"
    if report.known:
        new += f" ({report.known:,} of them known to the portal and not sent)"
    typer.echo(f"Batch {show_name(batch.name)} ({batch.id})")
    typer.echo(
        f"{report.stored:,} of {report.files:,} files are stored: {new}, {report.already:,} before; "
        f"{show_size(report.sent_bytes)} sent in {report.seconds:.1f} s."
    )
    if report.links or report.devices:
        typer.echo(f"Passed over: {report.links:,} links, {report.devices:,} devices and pipes.")
    if report.pending:
        typer.echo(f"Not sealed: {len(report.pending):,} other files are on their way: {_some(report.pending)}.")
        typer.echo("If nobody sends them any more: portal seal --give-up.")
    if report.extra:
        typer.echo(f"The batch holds {len(report.extra):,} files that are not here: {_some(report.extra)}.")
    if report.receipt:
        typer.echo(f"Sealed and complete. SHA-256 of its manifest: {report.receipt.manifest_sha256}")
