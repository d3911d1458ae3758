"""A request is sent again as long as that may help, and no longer."""

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from portal_client import Stopped, Unreachable
from portal_client.answers import make_error, read_retry_after
from portal_client.errors import ApiError, NotAuthenticated, PathTaken
from portal_client.retries import LONGEST_SECONDS, Tries
from portal_client.waits import Waits
from tests.client.scripted import Scripted, problem

BATCH = {
    "id": "018f0000-0000-7000-8000-000000000000",
    "name": "a",
    "status": "INIT",
    "expected_files": None,
    "total_files": 0,
    "stored_count": 0,
    "failed_count": 0,
    "pending_count": 0,
    "total_bytes": 0,
    "stored_bytes": 0,
    "created_at": "2026-01-01T00:00:00Z",
    "sealed_at": None,
    "completed_at": None,
    "from_the_future": True,
}


@pytest.mark.parametrize(
    "first",
    [
        problem(503, "storage_unavailable"),
        problem(502, "bad_gateway"),
        problem(429, "too_many_requests"),
        problem(507, "insufficient_storage"),
        problem(429, "quota_exceeded", retry_after=0),
        problem(409, "part_busy"),
        problem(500, "internal_error"),
        Scripted(500, {"code": "http_500"}),
        problem(400, "digest_mismatch"),
        Scripted(drop=True),
    ],
    ids=lambda answer: "dropped" if answer.drop else answer.members["code"],
)
def test_what_may_pass_is_tried_again(scripted, patient, first):
    scripted.answers = [first, first, Scripted(200, BATCH)]
    assert patient.batch(BATCH["id"]).name == "a"
    assert len(scripted.asked) == 3


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (problem(409, "path_taken"), PathTaken),
        (problem(401, "not_authenticated"), NotAuthenticated),
        (problem(418, "brand_new"), ApiError),
        (problem(429, "quota_exceeded"), ApiError),
        (Scripted(301), ApiError),
    ],
    ids=["path_taken", "not_authenticated", "brand_new", "no_room", "moved"],
)
def test_what_will_not_pass_is_raised_at_once_by_its_code(scripted, patient, answer, kind):
    scripted.answers = [answer]
    with pytest.raises(kind) as caught:
        patient.batch(BATCH["id"])
    assert type(caught.value) is kind
    assert caught.value.code == answer.members.get("code", "http_301")
    assert len(scripted.asked) == 1


def test_retry_after_is_waited_for(scripted, patient):
    scripted.answers = [problem(503, "server_busy", retry_after=1), Scripted(200, BATCH)]
    began = time.monotonic()
    patient.batch(BATCH["id"])
    assert time.monotonic() - began >= 1


def test_a_wait_beyond_patience_is_not_begun(scripted, patient):
    scripted.answers = [problem(429, "too_many_requests", retry_after=900)]
    began = time.monotonic()
    with pytest.raises(ApiError, match="too_many_requests"):
        patient.batch(BATCH["id"])
    assert time.monotonic() - began < 1
    assert len(scripted.asked) == 1


def test_a_fault_of_the_portal_is_believed_after_a_few_tries(scripted, patient):
    scripted.answers = [problem(500, "internal_error")]
    with pytest.raises(ApiError, match="internal_error"):
        patient.batch(BATCH["id"])
    assert 2 <= len(scripted.asked) <= 5


def test_nobody_there_is_unreachable_once_patience_is_over(scripted, patient):
    scripted.answers = [Scripted(drop=True)]
    patient.transport.patience = 0.5
    with pytest.raises(Unreachable):
        patient.batch(BATCH["id"])
    assert len(scripted.asked) > 1


def test_a_post_that_makes_something_carries_one_key_over_all_tries(scripted, patient):
    scripted.answers = [Scripted(drop=True), Scripted(drop=True), Scripted(201, BATCH)]
    patient.create_batch("a")
    keys = {asked.headers["idempotency-key"] for asked in scripted.asked}
    assert len(scripted.asked) == 3
    assert len(keys) == 1


def test_patience_with_a_quota_is_had_once_and_not_for_every_file(scripted, patient):
    scripted.answers = [problem(429, "quota_exceeded", retry_after=0)]
    patient.transport.patience = 0.5
    with pytest.raises(ApiError, match="quota_exceeded"):
        patient.batch(BATCH["id"])
    tries = len(scripted.asked)
    assert tries > 1
    with pytest.raises(ApiError, match="quota_exceeded"):
        patient.batch(BATCH["id"])
    assert len(scripted.asked) == tries + 1


def test_a_file_that_did_not_wait_does_not_keep_the_next_from_waiting(monkeypatch):
    monkeypatch.setattr("portal_client.waits.AGAIN_SECONDS", 0.4)
    waits, refused = Waits("here"), make_error(429, {"code": "quota_exceeded"}, {})
    began = time.monotonic()
    for patience in (0, 0.1, 0.1, 0.1, 0.1):
        with pytest.raises(ApiError):
            Tries(patience, threading.Event(), waits).pause(refused)
        time.sleep(0.09)
    while time.monotonic() - began < 0.45:
        time.sleep(0.01)
    Tries(0.3, threading.Event(), waits).pause(refused)


@pytest.mark.parametrize(("long", "again"), [(0.5, 0.1), (0.1, 0.5)], ids=["patience", "a while"])
def test_the_same_wait_is_told_and_tried_again_after_the_longer_of_patience_and_a_while(monkeypatch, long, again):
    monkeypatch.setattr("portal_client.waits.AGAIN_SECONDS", again)
    waits, told = Waits("here"), []
    waits.hear = told.append
    refused = make_error(429, {"code": "quota_exceeded"}, {})
    began = time.monotonic()
    waits.tell(refused, 5, long, 1)
    waits.lose(refused)
    time.sleep(0.2)
    waits.tell(refused, 5, long, 1)
    vain = waits.in_vain(refused, long)
    if time.monotonic() - began < 0.45:  # else a slow machine has slept past it
        assert (vain, len(told)) == (True, 1)
    while time.monotonic() - began < 0.6:
        time.sleep(0.01)
    waits.tell(refused, 5, long, 1)
    assert (waits.in_vain(refused, long), len(told)) == (False, 2)


def test_what_is_called_off_stops_in_the_midst_of_a_pause(scripted, patient):
    scripted.answers = [problem(503, "server_busy", retry_after=4)]
    patient.transport.stop.set()
    began = time.monotonic()
    with pytest.raises(Stopped):
        patient.batch(BATCH["id"])
    assert time.monotonic() - began < 1


def test_retry_after_is_seconds_or_a_date():
    assert read_retry_after("17") == 17
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 28 <= read_retry_after(later) <= 30
    assert read_retry_after("Thu, 01 Jan 1970 00:00:00 GMT") == 0
    assert read_retry_after("soon") is read_retry_after(None) is None


def test_pauses_grow_to_a_limit_and_differ():
    waited = []

    class Stop:
        def wait(self, seconds):
            waited.append(seconds)

    tries = Tries(10**6, Stop())
    for _ in range(200):
        tries.pause(OSError("reset"))
    assert max(waited) <= LONGEST_SECONDS
    assert waited[0] <= 0.02
    assert max(waited[1:3]) <= 1.6
    assert len(set(waited)) > 190
