"""What is to be done for a folder, seen from what the portal has: the server's state alone decides."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from portal_client.members import File
from portal_client.sources import Failure, Source


@dataclass
class Plan:
    """What becomes of each local file, and what the batch holds besides."""

    #: Not there, or only as a failure: to be sent.
    send: list[Source] = field(default_factory=list)
    #: On its way already: to be gone on with, or begun anew.
    resume: list[tuple[Source, File]] = field(default_factory=list)
    #: Stored, of the same size: the digests decide.
    compare: list[tuple[Source, File]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    #: Stored files that are not among the local ones: the name in the manifest, and the SHA-256.
    extra: dict[str, str] = field(default_factory=dict)
    #: Those that are on their way and not among the local ones.
    pending: list[str] = field(default_factory=list)


def make_plan(sources: Iterable[Source], files: Iterable[File]) -> Plan:
    """Compare local files with those of a batch; reads no bytes."""
    plan = Plan()
    there = {file.listed_as: file for file in files}
    for source in sources:
        file = there.pop(source.path, None)
        if file is None or file.status not in ("STORED", "UPLOADING"):
            plan.send.append(source)
        elif file.status == "UPLOADING":
            plan.resume.append((source, file))
        elif file.size_bytes == source.size:
            plan.compare.append((source, file))
        else:
            plan.failures.append(differs(source))
    for name, file in there.items():
        if file.status == "STORED":
            plan.extra[name] = file.sha256 or ""
        elif file.status != "FAILED":
            plan.pending.append(name)
    return plan


def differs(source: Source) -> Failure:
    """Return the failure of a file that is stored with other bytes."""
    return Failure(source.path, "path_taken", "Stored with other bytes, which never change; use another batch.")
