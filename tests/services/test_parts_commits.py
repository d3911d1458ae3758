"""A COMMIT whose answer is lost, or is still to come: the row alone says whether a part is on record."""

import threading
from contextlib import closing, contextmanager

import pytest
from blake3 import blake3
from django.db import InterfaceError, OperationalError, connection

from portal import exceptions
from portal.models import UploadPart
from portal.services import part_records, parts
from portal.services.parts import begin_part
from portal.services.transactions import write_transaction
from portal.services.transitions import record_part_in
from tests.samples import CHUNK, open_session, pattern, send_part
from tests.services.situations import progress, session_row, staged

FIRST, SECOND = pattern(CHUNK, seed=1), pattern(CHUNK, seed=2)
#: A connection is closed and opened again here, which a test's own transaction would not outlive.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def session(ann, storage):
    """An open session of two parts."""
    return open_session(ann, storage, size=2 * CHUNK)


@contextmanager
def answer_lost():
    """A transaction that commits, and whose answer never comes."""
    with write_transaction():
        yield
    raise OperationalError("server closed the connection unexpectedly")


@contextmanager
def never_committed():
    """A transaction whose connection breaks before COMMIT arrives."""
    with write_transaction():
        yield
        raise InterfaceError("connection already closed")


def test_a_part_whose_commit_landed_without_an_answer_is_answered(ann, storage, session, monkeypatch):
    monkeypatch.setattr(part_records, "write_transaction", answer_lost)
    assert send_part(ann, storage, session, 1, FIRST)["digest"]["value"] == blake3(FIRST).hexdigest()
    assert progress(session) == (1, 1, CHUNK)


def test_a_part_whose_commit_did_not_land_is_not_recorded_and_can_be_sent_again(ann, storage, session, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(part_records, "write_transaction", never_committed)
        with pytest.raises(exceptions.DatabaseUnavailable):
            send_part(ann, storage, session, 1, FIRST)
    assert progress(session) == (0, 0, 0)
    send_part(ann, storage, session, 1, SECOND)
    assert progress(session) == (1, 1, CHUNK)
    assert (staged(storage, session)[:CHUNK], session_row(session).fence) == (SECOND, 1)


def test_the_lock_is_held_until_the_outcome_of_the_commit_is_known(ann, storage, session, monkeypatch):
    answers = []

    @contextmanager
    def somebody_comes_meanwhile():
        with write_transaction():
            yield
        with closing(begin_part(ann, session.pk, 2, CHUNK, storage=storage)) as other:
            answers.append(other.recorded or other.acquire())
        with closing(parts.PartWriter(session, 1, CHUNK, storage)) as other:
            other._part = None  # it had looked before the row was there
            answers.append(other.acquire())
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(part_records, "write_transaction", somebody_comes_meanwhile)
    send_part(ann, storage, session, 1, FIRST)
    assert answers == [True, False]


def test_two_rows_for_one_part_are_refused_by_the_database_and_the_first_is_compared(ann, storage, session):
    with closing(begin_part(ann, session.pk, 1, CHUNK, storage=storage)) as writer:
        writer.acquire()
        writer.write(FIRST)
        writer.sync()
        UploadPart.objects.create(session=session, number=1, size_bytes=CHUNK, blake3="0" * 64)
        with pytest.raises(exceptions.PartConflict):
            writer.record()
    assert UploadPart.objects.get().blake3 == "0" * 64
    assert session_row(session).completed_parts == 0


def test_the_fence_waits_for_a_commit_that_is_on_its_way(ann, storage, session):
    # The lock of the earlier writer has died with it, its transaction has not ended yet.
    with closing(begin_part(ann, session.pk, 1, CHUNK, storage=storage)) as killed:
        killed.acquire()
        killed.write(FIRST)
    writer = begin_part(ann, session.pk, 1, CHUNK, storage=storage)
    sent, land = threading.Event(), threading.Event()

    def commit_slowly():
        digest = blake3(FIRST).hexdigest()
        with write_transaction():
            UploadPart.objects.create(session=session, number=1, size_bytes=CHUNK, blake3=digest)
            record_part_in(session.pk, size=CHUNK, lifetime=part_records.session_lifetime())
            sent.set()
            land.wait(10)
        connection.close()

    def acquire():
        sent.wait(10)
        writer.acquire()
        connection.close()

    commit, second = threading.Thread(target=commit_slowly), threading.Thread(target=acquire)
    commit.start()
    second.start()
    second.join(0.3)
    waited = second.is_alive()
    land.set()
    commit.join()
    second.join()
    writer.close()
    assert waited
    assert writer.recorded
    assert session_row(session).fence == 1
