"""A folder into a batch: look at both, send what is missing, seal, and bring the receipt."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from portal_client.api import Api
from portal_client.bundles import make_bundles
from portal_client.crew import Crew, Job
from portal_client.digests import Digests
from portal_client.errors import ApiError, BatchCompleted, BatchSealed, Corrupt
from portal_client.manifests import digest_manifest
from portal_client.members import Batch, Receipt
from portal_client.plans import Plan, make_plan
from portal_client.progress import Progress
from portal_client.sending import Sender
from portal_client.sources import Failure, Found, Paths, find_sources


@dataclass
class UploadReport:
    """What became of a folder. Sizes are bytes; `receipt` is there when all is stored and the batch was sealed."""

    batch: Batch | None
    files: int = 0
    size: int = 0
    stored: int = 0
    #: Of them, how many were stored before, and how many by this run without being sent.
    already: int = 0
    known: int = 0
    sent_bytes: int = 0
    links: int = 0
    devices: int = 0
    seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)
    #: What would be sent, of a run that only looks.
    to_send: list[str] = field(default_factory=list)
    #: Names in the batch that are on their way and not of this folder: from somewhere else, or left over.
    pending: list[str] = field(default_factory=list)
    #: Names that the batch holds besides; they are sealed with the others.
    extra: list[str] = field(default_factory=list)
    receipt: Receipt | None = None

    @property
    def complete(self) -> bool:
        """Whether every file is stored."""
        return not self.failures and self.stored == self.files


class FolderUpload:
    """One run: `look`, then `send`; the portal's state alone says what is missing."""

    def __init__(self, api: Api, *, parallel: int, digests: Digests, progress: Progress) -> None:
        self.api, self.parallel, self.digests, self.progress = api, parallel, digests, progress
        self.found, self.plan = Found(), Plan()
        self.batch: Batch | None = None
        self.report = UploadReport(None)
        self._newest: str | None = None
        self._began = time.monotonic()

    def look(self, paths: Paths, batch: str, *, follow_links: bool = False) -> UploadReport:
        """Compare local files with the batch of this name or id, whose bytes are not read; changes nothing."""
        self.found = find_sources(paths, follow_links=follow_links)
        self.batch, self._newest = self.api.look_for_batch(batch)
        sources, report = self.found.sources, self.report
        self._make_plan()
        self.digests.load(sources)
        report.files = len(sources) + len(self.found.failures)
        report.size = sum(source.size for source in sources)
        report.links, report.devices = self.found.links, self.found.devices
        report.to_send = sorted(source.path for source in (*self.plan.send, *(one for one, _ in self.plan.resume)))
        return report

    def compare(self) -> UploadReport:
        """Compare by their digests what is stored with what is here; sends nothing."""
        sender, crew = self._sender()
        self._run(sender, crew, self._comparisons(sender))
        return self.report

    def send(self, batch: str, *, seal: bool = True) -> UploadReport:
        """Send what is missing; then seal, if all is stored. A name that no batch has becomes one."""
        if self.batch is None:
            self.batch = self.report.batch = self.api.open_batch(batch, self._newest)
        sender, crew = self._sender()
        try:
            self._send_missing(sender, crew, self.batch.id)
        except (BatchSealed, BatchCompleted):
            # Nothing joins any more; it may be that another run of this folder has brought all, and sealed it.
            self._make_plan()
            if self.plan.send:
                raise
            sender.failures.clear()
            self._send_missing(sender, crew, self.batch.id)
        if seal and self.report.complete and not self.plan.pending:
            self.report.receipt = self._seal(sender)
        self.report.batch = self.api.batch(self.batch.id)
        return self.report

    def _make_plan(self) -> None:
        self.plan = make_plan(self.found.sources, self.api.files(self.batch.id) if self.batch else ())
        report = self.report
        report.batch, report.pending, report.extra = self.batch, self.plan.pending, sorted(self.plan.extra)
        report.failures = [*self.found.failures, *self.plan.failures]

    def _send_missing(self, sender: Sender, crew: Crew, batch_id: str) -> None:
        plan, limits = self.plan, self.api.limits()

        def jobs() -> Iterator[Job]:
            self._declare(sender, batch_id, limits.max_bulk_files)
            left = [*plan.send, *(source for source, _ in plan.resume)]
            self.progress.begin(len(left), sum(source.size for source in left))
            yield from self._comparisons(sender)
            for source, file in plan.resume:
                yield partial(sender.send_large, source, file)
            large = [source for source in plan.send if source.size > limits.chunk_size_bytes]
            yield from (partial(sender.send_large, source) for source in large)
            small = (source for source in plan.send if source.size <= limits.chunk_size_bytes)
            yield from (partial(sender.send_bundle, bundle) for bundle in make_bundles(small))

        self._run(sender, crew, jobs())

    def _sender(self) -> tuple[Sender, Crew]:
        crew = Crew(self.parallel, self.api.transport.stop)
        batch_id = self.batch.id if self.batch else None
        return Sender(self.api, batch_id, crew=crew, digests=self.digests, progress=self.progress), crew

    def _declare(self, sender: Sender, batch_id: str, most: int) -> None:
        """Declare files whose digests are remembered, so many at once: of which the portal has the bytes is not sent.

        It ends with a lot of which the portal has none: it will hardly have others, and a declared file takes no other
        bytes from then on.
        """
        remembered = [(source, sha256) for source in self.plan.send if (sha256 := self.digests.get(source))]
        known: set[str] = set()
        for start in range(0, len(remembered), most):
            self.progress.say(f"Asking the portal which of {len(remembered):,} files it knows.")
            lot = remembered[start : start + most]
            entries = [(source.path, source.size, sha256) for source, sha256 in lot]
            try:
                results = self.api.declare(batch_id, entries)
            except ApiError as error:
                if error.fatal:
                    raise
                break  # what is wrong with one of them is told when it is sent
            met = [one for one, result in zip(lot, results, strict=True) if result.get("action") == "stored"]
            for source, sha256 in met:
                sender.stored(source, sha256, sent=False, known=True)
            known.update(source.path for source, _ in met)
            if not met:
                break
        self.plan.send = [source for source in self.plan.send if source.path not in known]

    def _comparisons(self, sender: Sender) -> Iterator[Job]:
        for source, file in self.plan.compare:
            if self.digests.get(source):
                sender.compare(source, file)  # nothing is read: that is sooner done than handed on
            else:
                yield partial(sender.compare, source, file)

    def _run(self, sender: Sender, crew: Crew, jobs: Iterator[Job]) -> None:
        report = self.report
        before = list(report.failures)
        try:
            crew.run(jobs)
            wait_for(sender, crew)
        finally:
            self.digests.save()
            report.failures = sorted([*before, *sender.failures], key=lambda failure: failure.path)
            report.stored = len(sender.digests_sent)
            report.known = sender.known_files
            report.already = report.stored - sender.sent_files - report.known
            report.sent_bytes = sender.sent_bytes
            report.seconds = time.monotonic() - self._began

    def _seal(self, sender: Sender) -> Receipt:
        """Seal the batch as exactly what is known to be in it; raises SealMismatch when it holds anything else."""
        assert self.batch is not None  # noqa: S101 - it was made
        manifest = digest_manifest(self.plan.extra | sender.digests_sent)
        if self.batch.sealed_at is None and self.batch.completed_at is None:
            self.api.seal(self.batch.id, manifest_sha256=manifest)
        receipt = self.api.receipt(self.batch.id)
        if receipt.manifest_sha256 != manifest:
            raise Corrupt("The receipt is not that of the files which were sent.")
        return receipt


def wait_for(sender: Sender, crew: Crew) -> None:
    """Ask again until the portal is done with the files whose last step it does on its own."""
    while sender.waiting:
        sender.progress.say(f"The portal is checking {len(sender.waiting)} large files.")
        uploads, sender.waiting = sender.waiting, []
        sender.api.transport.pause(max(upload.ask_again_after for upload in uploads))
        crew.run([upload.finish for upload in uploads])
