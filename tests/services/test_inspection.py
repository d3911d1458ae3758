"""Content is judged before it is stored, on both ways in, by type and scanner; without a verdict nothing is stored."""

import shlex
import sys
import time
from datetime import timedelta

import pytest

from portal import exceptions
from portal.inspection.kinds import KindsUnavailable, find_kind
from portal.models import OutboxEvent
from portal.services import claims, finalize, inspection
from portal.services.claims import Claim
from portal.services.cleanup import remove_dead_bytes
from portal.services.doctor import examine
from portal.services.finalize import finalize_again, finalize_many, finalize_session
from portal.services.whole_files import begin_files
from tests.needs import miss
from tests.samples import CHUNK, make_batch, pattern, ready_session, store_file
from tests.services.situations import counters, drift, let_lease_end, let_lifetime_end, session_row
from tests.services.test_whole_files import arrive, codes, take_in

BAD = b"a virus" + pattern(2 * CHUNK)
PDF, TEXT = b"%PDF-1.7\n" + bytes(100), b"plain text\n" * 100
#: Refuses what begins with "a virus", after all has been read.
JUDGE = "import sys; bad = sys.stdin.buffer.read().startswith(b'a virus'); print('Test-Virus'); sys.exit(bad)"


def command(code):
    return f"command:{shlex.join([sys.executable, '-c', code])}"


def kept(storage):
    """Return the sizes of all that is stored, or on its way."""
    return sorted(len(file.data) for kind in ("staging", "objects", "trash") for file in storage.files[kind].values())


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(finalize, "WAIT_SECONDS", 0)


@pytest.fixture
def scanner(settings):
    settings.PORTAL_SCANNER = command(JUDGE)
    return settings


@pytest.fixture
def only_pdf(settings):
    """Only PDF is taken."""
    try:
        find_kind(b"")
    except KindsUnavailable as error:
        miss(str(error))
    settings.PORTAL_CONTENT_TYPES = ["application/pdf"]
    return settings


def test_without_a_setting_nothing_is_read_again(ann, storage, monkeypatch):
    monkeypatch.setattr(storage, "open_object", lambda key: pytest.fail("was read"))
    assert store_file(ann, storage, BAD).status == "STORED"


def test_a_scanner_leaves_every_finalize_to_the_worker_and_its_verdict_ends_it(ann, storage, scanner):
    batch = make_batch(ann)
    good, bad = ready_session(ann, storage, TEXT, batch=batch), ready_session(ann, storage, BAD, batch=batch)
    assert [finalize_session(session, storage=storage) for session in (good, bad)] == [None, None]
    assert finalize_again(storage=storage) == 2
    assert session_row(good).file.status == "STORED"
    row = session_row(bad)
    error = {"code": "scan_refused", "detail": "The scanner refused the content: Test-Virus"}
    assert (row.status, row.file.status, row.file.error, row.bytes_removed) == ("FAILED", "FAILED", error, True)
    assert kept(storage) == [len(TEXT)]
    assert counters(batch) == (2, 1, 1, 0)
    assert OutboxEvent.objects.get(event_type="file.failed").payload["error"] == error
    for _ in range(2):
        with pytest.raises(exceptions.ScanRefused, match="Test-Virus"):
            finalize_session(session_row(bad), storage=storage)
    assert drift() == []


def test_many_finalizes_are_left_to_the_worker_too(ann, storage, scanner):
    batch = make_batch(ann)
    sessions = [ready_session(ann, storage, data, batch=batch) for data in (BAD, TEXT)]
    assert finalize_many(batch, [session.pk for session in sessions], storage=storage) == [None, None]
    finalize_again(storage=storage)
    assert [session_row(session).file.status for session in sessions] == ["FAILED", "STORED"]


@pytest.mark.parametrize("code", ["raise SystemExit(2)", "import os; os.kill(os.getpid(), 9)"])
def test_without_a_verdict_a_file_waits_and_is_never_stored(ann, storage, settings, code):
    settings.PORTAL_SCANNER = command(code)
    session = ready_session(ann, storage, TEXT)
    finalize_session(session, storage=storage)
    for attempts in (1, 2):
        let_lease_end(session)
        finalize_again(storage=storage)
        row = session_row(session)
        assert (row.status, row.file.status, row.attempts) == ("FINALIZING", "UPLOADING", attempts)
    settings.PORTAL_SCANNER = command(JUDGE)
    let_lease_end(session)
    finalize_again(storage=storage)
    assert session_row(session).file.status == "STORED"


def test_a_scanner_that_stays_away_ends_the_file_with_its_lifetime(ann, storage, settings):
    settings.PORTAL_SCANNER = "clamd://127.0.0.1:9"
    session = ready_session(ann, storage, TEXT)
    finalize_session(session, storage=storage)
    let_lifetime_end(session)
    let_lease_end(session)
    finalize_again(storage=storage)
    assert session_row(session).file.error["code"] == "scan_error"
    remove_dead_bytes(storage=storage)
    assert kept(storage) == []
    with pytest.raises(exceptions.ScanError):
        finalize_session(session_row(session), storage=storage)


def test_the_claim_is_renewed_while_the_scanner_reads(ann, storage, scanner, monkeypatch):
    beats, really = [], inspection._scanner
    monkeypatch.setattr(inspection, "BLOCK_BYTES", CHUNK)
    monkeypatch.setattr(Claim, "beat", lambda claim: beats.append(claim))
    finalize_session(ready_session(ann, storage, pattern(5 * CHUNK)), storage=storage)
    monkeypatch.setattr(inspection, "_scanner", lambda: beats.clear() or really())
    finalize_again(storage=storage)
    assert len(beats) >= 5


def test_a_claim_outlives_a_verdict_that_takes_longer_than_its_lease(ann, storage, scanner, monkeypatch):
    # The client asks again all the while: what is held by nobody would be taken from the worker, again and again.
    session, asked = ready_session(ann, storage, TEXT), []
    finalize_session(session, storage=storage)
    monkeypatch.setattr(claims, "LEASE", timedelta(seconds=1))
    monkeypatch.setattr(claims, "RENEW_AFTER_SECONDS", 0.3)
    renew = Claim.renew

    def renewed(claim):
        renew(claim)
        asked.append(finalize_session(session_row(session), storage=storage))

    monkeypatch.setattr(Claim, "renew", renewed)
    scanner.PORTAL_SCANNER = command("import sys, time; sys.stdin.read(); time.sleep(3)")
    finalize_again(storage=storage)
    assert session_row(session).file.status == "STORED"
    assert asked == [None] * len(asked) != []


def test_files_that_come_whole_are_judged_one_by_one(ann, storage, scanner):
    batch = make_batch(ann)
    members = ("a", TEXT), ("b", BAD), ("c", b""), ("d", BAD[:100])
    arrivals = take_in(ann, batch, storage, *members)
    assert codes(arrivals) == [None, "scan_refused", None, "scan_refused"]
    assert counters(batch) == (2, 2, 0, 0)
    assert kept(storage) == [0, len(TEXT)]
    assert drift() == []


def test_without_a_verdict_nothing_that_comes_whole_is_stored(ann, storage, settings):
    settings.PORTAL_SCANNER = command("raise SystemExit(3)")
    batch = make_batch(ann)
    arrivals = take_in(ann, batch, storage, ("a", TEXT), ("b", b"x"))
    assert codes(arrivals) == ["scanner_unavailable"] * 2
    assert (counters(batch), kept(storage)) == ((0, 0, 0, 0), [])


def test_a_file_without_a_verdict_loses_no_other(ann, storage, settings):
    settings.PORTAL_SCANNER = command("import sys; sys.exit(2 * sys.stdin.buffer.read().startswith(b'odd'))")
    batch = make_batch(ann)
    arrivals = take_in(ann, batch, storage, ("a", TEXT), ("b", b"odd"), ("c", TEXT))
    assert codes(arrivals) == [None, "scanner_unavailable", None]
    assert (counters(batch)[:2], kept(storage)) == ((2, 2), [len(TEXT)] * 2)


def test_files_together_wait_once_for_a_scanner_that_is_silent(ann, storage, settings):
    settings.PORTAL_SCANNER, settings.PORTAL_SCANNER_TIMEOUT_SECONDS = command("import time; time.sleep(60)"), 1
    began = time.monotonic()
    arrivals = take_in(ann, make_batch(ann), storage, *((str(number), TEXT) for number in range(20)))
    assert codes(arrivals) == ["scanner_unavailable"] * 20
    assert time.monotonic() - began < 15


def test_what_nobody_judged_is_not_recorded(ann, storage):
    group = begin_files(ann, None, storage=storage)
    arrival = arrive(group, None, TEXT)
    group.store()
    group.record()
    group.close()
    assert (codes([arrival]), kept(storage)) == (["scanner_unavailable"], [])


def test_a_file_on_record_is_compared_and_not_scanned(ann, storage, settings):
    batch = make_batch(ann)
    (first,) = take_in(ann, batch, storage, ("a", BAD))
    settings.PORTAL_SCANNER = command(JUDGE)
    (again,) = take_in(ann, batch, storage, ("a", BAD))
    assert again.file.pk == first.file.pk


def test_the_type_is_that_of_the_bytes(ann, storage, only_pdf):
    assert store_file(ann, storage, PDF, original_filename="a.txt", content_type="text/plain").status == "STORED"
    with pytest.raises(exceptions.ContentTypeRefused, match="text/plain"):
        store_file(ann, storage, TEXT, original_filename="a.pdf", content_type="application/pdf")
    arrivals = take_in(ann, make_batch(ann), storage, ("a.pdf", TEXT), ("b", PDF), ("c", b""))
    assert codes(arrivals) == ["content_type_refused", None, "content_type_refused"]
    assert arrivals[0].error.extra == {"found": "text/plain"}
    assert kept(storage) == [len(PDF)] * 2


def test_types_are_asked_before_the_scanner(ann, storage, scanner, only_pdf, tmp_path):
    mark = tmp_path / "asked"
    scanner.PORTAL_SCANNER = command(f"open({str(mark)!r}, 'w')")
    take_in(ann, None, storage, (None, TEXT))
    assert not mark.exists()
    take_in(ann, None, storage, (None, PDF))
    assert mark.exists()


def test_doctor_names_a_scanner_that_does_not_answer(storage, scanner, db):
    assert [found for found in examine(storage=storage) if found.state.name == "scanner"] == []
    scanner.PORTAL_SCANNER = "clamd://127.0.0.1:9"
    (finding,) = [found for found in examine(storage=storage) if found.state.name == "scanner"]
    assert "clamd" in finding.examples[0]
