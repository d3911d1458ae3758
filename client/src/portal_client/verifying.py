"""A folder against a receipt: every local byte is read, every line of the manifest is looked up."""

import hashlib
import threading
from dataclasses import dataclass, field
from functools import partial

from portal_client.api import Api
from portal_client.crew import Crew
from portal_client.digests import Digests
from portal_client.errors import Corrupt, SourceFailed
from portal_client.manifests import read_manifest
from portal_client.members import Receipt
from portal_client.progress import Progress
from portal_client.sources import Failure, Paths, Source, find_sources


@dataclass
class VerifyReport:
    """How a folder compares with a receipt, by paths."""

    receipt: Receipt
    same: list[str] = field(default_factory=list)
    #: There and here, with other bytes.
    differ: list[str] = field(default_factory=list)
    #: In the receipt, and not here.
    missing: list[str] = field(default_factory=list)
    #: Here, and not in the receipt.
    extra: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether the folder is exactly what the receipt says."""
        return not (self.differ or self.missing or self.extra or self.failures)


def fetch_manifest(api: Api, batch_id: str) -> tuple[Receipt, dict[str, str]]:
    """Return the receipt, and path and SHA-256 of each of its files; raises Corrupt when they do not fit."""
    receipt, manifest = api.receipt(batch_id), api.manifest(batch_id)
    if hashlib.sha256(manifest).hexdigest() != receipt.manifest_sha256:
        raise Corrupt("The manifest is not the one that the receipt names.")
    return receipt, read_manifest(manifest)


def verify_folder(
    api: Api, batch_id: str, paths: Paths, *, parallel: int, progress: Progress, follow_links: bool = False
) -> VerifyReport:
    """Compare local files with the receipt of a batch; nothing that was remembered is believed."""
    receipt, listed = fetch_manifest(api, batch_id)
    found, report, lock = find_sources(paths, follow_links=follow_links), VerifyReport(receipt), threading.Lock()
    report.failures = list(found.failures)
    nothing_known = Digests(None)
    here = {source.path: source for source in found.sources}
    report.missing = [path for path in listed if path not in here]
    report.extra = [path for path in here if path not in listed]
    both = [source for source in found.sources if source.path in listed]
    progress.begin(len(both), sum(source.size for source in both))

    def check(source: Source) -> None:
        progress.start(source.path, source.size)
        try:
            same = nothing_known.reckon(source, progress) == listed[source.path]
        except SourceFailed as error:
            with lock:
                report.failures.append(Failure(source.path, error.code, error.detail))
            return progress.finish(source.path, report.failures[-1])
        with lock:
            (report.same if same else report.differ).append(source.path)
        progress.finish(source.path)

    Crew(parallel, api.transport.stop).run(partial(check, source) for source in both)
    for paths_found in (report.same, report.differ, report.missing, report.extra):
        paths_found.sort()
    return report
