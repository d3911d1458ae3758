"""What operators do in the admin goes through services, is told in plain words, and takes the change permission."""

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.utils import timezone

from portal.admin import base
from portal.models import ApiToken, Delivery, Endpoint, IngestFile, OutboxEvent, UploadBatch, UploadSession
from portal.services.deliveries import hand_out
from portal.services.events import number_events
from portal.storage import get_storage
from tests.receiver import SECRET, Receiver
from tests.samples import CHUNK, make_batch, make_caller, make_token, open_session, ready_session, send_part, store_file


@pytest.fixture
def staff(client, db):
    """Give a function that logs in a member of staff with these permissions alone."""

    def log_in(*codenames):
        user = make_caller("olga").user
        user.is_staff = True
        user.save()
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client.force_login(user)
        return client

    return log_in


def act(client, action, *rows, **more):
    """Carry out an action on the chosen rows; return what the page then says."""
    address = f"/admin/portal/{rows[0]._meta.model_name}/"
    form = {
        "action": action,
        "_selected_action": [str(row.pk) for row in rows],
        "index": "0",
        "confirmed": "yes",
    } | more
    response = client.post(address, form, follow=True)
    assert response.status_code == 200
    return " ".join(re.findall(r'<li class="(?:success|warning|info|error)">(.*?)</li>', response.content.decode()))


def test_abort_fails_the_files_and_tells_of_those_that_could_not_be(admin_client, ann):
    storage, batch = get_storage(), make_batch(ann)
    first, second = (open_session(ann, storage, batch=batch) for _ in range(2))
    ended = UploadSession.objects.get(pk=store_file(ann, storage, batch=batch).session_id)
    said = act(admin_client, "abort", first, second, ended)
    assert "2 aborted." in said
    assert f"Session {ended.pk}: The session is no longer open." in said
    for session in (first, second, ended):
        session.refresh_from_db()
    assert [first.status, second.status, ended.status] == ["ABORTED", "ABORTED", "COMPLETE"]
    batch.refresh_from_db()
    assert (batch.total_files, batch.stored_count, batch.failed_count) == (3, 1, 2)
    assert OutboxEvent.objects.filter(event_type="file.failed").count() == 2
    with pytest.raises(FileNotFoundError):
        storage.open_part(first.staging_key, offset=0, length=1)


def test_finalize_again_takes_up_what_stands_still(admin_client, ann):
    storage = get_storage()
    ready, stuck, missing = ready_session(ann, storage), ready_session(ann, storage), open_session(ann, storage)
    past = timezone.now() - timedelta(minutes=5)
    UploadSession.objects.filter(pk=stuck.pk).update(
        status="FINALIZING", claim_token=stuck.pk, lease_until=past, object_key=f"aa/bb/{stuck.pk.hex}"
    )
    said = act(admin_client, "finalize_again", ready, stuck, missing)
    assert "2 finalized or under way." in said
    assert f"Session {missing.pk}: Parts are missing" in said
    assert IngestFile.objects.get(pk=ready.file_id).status == "STORED"


def test_recount_sets_the_counters_that_differ(admin_client, ann):
    batch, other = make_batch(ann), make_batch(ann)
    store_file(ann, get_storage(), batch=batch)
    assert "0 counters differed." in act(admin_client, "recount", batch, other)
    UploadBatch.objects.filter(pk=batch.pk).update(total_files=9, total_bytes=99)
    assert "2 counters differed and were set." in act(admin_client, "recount", batch, other)
    batch.refresh_from_db()
    assert (batch.total_files, batch.total_bytes) == (1, 4)


def test_revoke_ends_the_chosen_tokens(admin_client, ann):
    make_token(ann)
    make_token(ann)
    chosen, other = ApiToken.objects.all()
    assert "1 revoked." in act(admin_client, "revoke", chosen)
    chosen.refresh_from_db()
    other.refresh_from_db()
    assert (chosen.state, other.state) == ("revoked", "active")
    assert act(admin_client, "revoke", chosen) == ""


@pytest.fixture
def delivery(ann):
    """A DEAD delivery of one event to one endpoint."""
    Endpoint.objects.create(url="https://runner.example.org/")
    store_file(ann, get_storage())
    number_events()
    hand_out()
    Delivery.objects.update(status="DEAD", due_at=None, attempts=12)
    return Delivery.objects.get()


@pytest.mark.parametrize("chosen", ["delivery", "event"])
def test_replay_sends_an_event_or_one_delivery_again(admin_client, delivery, chosen):
    row = delivery if chosen == "delivery" else delivery.event
    assert "1 will be sent again." in act(admin_client, "replay", row)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == ("PENDING", 0)


def test_an_endpoint_is_disabled_and_enabled_again(admin_client, delivery):
    endpoint = delivery.endpoint
    for action, status in [("disable", "DISABLED"), ("disable", "DISABLED"), ("enable", "ENABLED")]:
        assert f"1 {status.lower()}." in act(admin_client, action, endpoint)
        endpoint.refresh_from_db()
        assert endpoint.status == status
    assert "cannot become ENABLED" in act(admin_client, "enable", endpoint)


@pytest.fixture
def rows(ann, delivery):
    """A row for each action, and how to read whether it was carried out."""
    batch = make_batch(ann)
    UploadBatch.objects.filter(pk=batch.pk).update(total_files=5)
    make_token(ann)
    storage = get_storage()
    sessions = open_session(ann, storage), ready_session(ann, storage)
    return {
        "recount": (batch, lambda row: row.total_files == 0),
        "revoke": (ApiToken.objects.get(), lambda row: row.revoked_at is not None),
        "abort": (sessions[0], lambda row: row.status == "ABORTED"),
        "finalize_again": (sessions[1], lambda row: row.status == "COMPLETE"),
        "replay": (delivery, lambda row: row.status == "PENDING"),
        "disable": (delivery.endpoint, lambda row: row.status == "DISABLED"),
    }


@pytest.mark.parametrize("action", ["recount", "revoke", "abort", "finalize_again", "replay", "disable"])
@pytest.mark.parametrize("permission", ["none", "view", "change of others", "change"])
def test_acting_takes_the_change_permission_of_the_model(staff, rows, action, permission):
    row, is_done = rows[action]
    name = row._meta.model_name
    others = [f"change_{other}" for other in ("uploadbatch", "uploadsession", "apitoken") if other != name]
    client = staff(
        *{
            "none": [],
            "view": [f"view_{name}"],
            "change of others": [f"view_{name}", *others],
            "change": [f"view_{name}", f"change_{name}"],
        }[permission]
    )
    address = f"/admin/portal/{name}/"
    form = {"action": action, "_selected_action": [str(row.pk)], "index": "0", "confirmed": "yes"}
    response = client.post(address, form)
    assert response.status_code == (403 if permission == "none" else 302 if permission == "change" else 200)
    row.refresh_from_db()
    assert is_done(row) == (permission == "change")
    # What is offered is what may be done.
    page = client.get(address).content.decode()
    assert (f'<option value="{action}">' in page) == (permission == "change")


def test_the_change_permission_still_changes_nothing_by_hand(staff, ann):
    batch = make_batch(ann, name="kept")
    client = staff("view_uploadbatch", "change_uploadbatch", "add_uploadbatch", "delete_uploadbatch")
    address = f"/admin/portal/uploadbatch/{batch.pk}/"
    assert client.post(f"{address}change/", {"name": "x"}).status_code == 403
    assert client.post(f"{address}delete/", {"post": "yes"}).status_code == 403
    assert client.post("/admin/portal/uploadbatch/add/", {"name": "x"}).status_code == 403
    assert list(UploadBatch.objects.values_list("name", flat=True)) == ["kept"]


def test_an_action_needs_its_csrf_token(admin_client, ann):
    session = open_session(ann, get_storage())
    admin_client.handler.enforce_csrf_checks = True
    form = {"action": "abort", "_selected_action": [str(session.pk)], "index": "0"}
    assert admin_client.post("/admin/portal/uploadsession/", form).status_code == 403
    session.refresh_from_db()
    assert session.status == "INIT"


def test_an_action_on_nothing_does_nothing(admin_client, ann):
    session = open_session(ann, get_storage())
    for chosen in ([], ["01890000-0000-7000-8000-000000000000"]):
        form = {"action": "abort", "_selected_action": chosen, "index": "0", "confirmed": "yes"}
        assert admin_client.post("/admin/portal/uploadsession/", form).status_code in (200, 302), chosen
    session.refresh_from_db()
    assert session.status == "INIT"


@pytest.mark.parametrize("action", ["recount", "revoke", "abort", "finalize_again", "replay", "disable"])
def test_an_action_is_confirmed_first(admin_client, rows, action):
    row, is_done = rows[action]
    address = f"/admin/portal/{row._meta.model_name}/"
    # As the button on the row's own page asks for it.
    asked = admin_client.get(f"{address}{row.pk}/change/").content.decode()
    assert f'name="action" value="{action}"' in asked
    form = {"action": action, "_selected_action": [str(row.pk)], "index": "0"}
    page = admin_client.post(address, form)
    assert page.status_code == 200
    row.refresh_from_db()
    assert not is_done(row)
    assert not LogEntry.objects.exists()
    confirm = page.content.decode()
    confirm = confirm[confirm.index('id="content"') :]
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', confirm))
    assert admin_client.post(address, hidden).status_code == 302
    row.refresh_from_db()
    assert is_done(row)


def test_what_operators_do_is_written_down_and_shown(admin_client, admin_user, ann):
    session = open_session(ann, get_storage())
    act(admin_client, "abort", session)
    act(admin_client, "abort", UploadSession.objects.get(pk=store_file(ann, get_storage()).session_id))
    said = [(entry.user, entry.get_change_message()) for entry in LogEntry.objects.order_by("id")]
    refused = "Abort: refused: The session is no longer open."
    assert said == [(admin_user, "Abort"), (admin_user, "Abort"), (admin_user, refused)]
    history = f"/admin/portal/uploadsession/{session.pk}/history/"
    for address in (history, f"/admin/admin/logentry/?q={session.pk}"):
        page = admin_client.get(address).content.decode()
        assert "Abort" in page
        assert refused not in page
    entry = LogEntry.objects.first()
    for tail in ("add/", f"{entry.pk}/delete/"):
        assert admin_client.post(f"/admin/admin/logentry/{tail}", {"post": "yes"}).status_code == 403
    assert admin_client.post(f"/admin/admin/logentry/{entry.pk}/change/", {"change_message": "x"}).status_code == 403


def test_an_action_takes_so_many_rows_and_no_more(admin_client, ann, monkeypatch):
    monkeypatch.setattr(base, "ACT_LIMIT", 2)
    batches = [make_batch(ann) for _ in range(3)]
    assert "At most 2 at once." in act(admin_client, "recount", *batches)
    assert "At most 2 at once." in act(admin_client, "recount", batches[0], select_across="1")
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(("behaviour", "said"), [("ok", "204, "), ("error", "500, "), ("reset", "reset")])
def test_the_button_sends_a_test_event_and_tells_of_the_answer(admin_client, delivery, settings, behaviour, said):
    with Receiver(lambda received: behaviour) as receiver:
        settings.PORTAL_RUNNER_ENDPOINT, settings.PORTAL_RUNNER_SECRET = receiver.url, SECRET
        assert said in act(admin_client, "send_test", delivery.endpoint)
        assert len(receiver.received) == 1
        assert not receiver.badly_signed
    assert OutboxEvent.objects.count() == 1


def test_a_session_shows_its_parts_as_ranges(admin_client, ann):
    session = open_session(ann, get_storage(), size=6 * CHUNK)
    for number in (1, 2, 3, 5):
        send_part(ann, get_storage(), session, number, bytes(CHUNK))
    page = admin_client.get(f"/admin/portal/uploadsession/{session.pk}/change/").content.decode()
    assert '<div class="readonly">1-3, 5</div>' in page
    assert '<div class="readonly">4, 6</div>' in page


def test_an_event_shows_its_payload_and_every_attempt(admin_client, delivery):
    tried = [{"at": "2026-01-01T00:00:00.000Z", "status_code": 500, "error": "", "milliseconds": 7}]
    tried += [{"at": "2026-01-01T00:00:05.000Z", "status_code": None, "error": "timeout", "milliseconds": 10000}]
    Delivery.objects.update(history=tried)
    for address in (f"outboxevent/{delivery.event_id}", f"delivery/{delivery.pk}"):
        page = admin_client.get(f"/admin/portal/{address}/change/").content.decode()
        assert (
            "<li>2026-01-01T00:00:00.000Z: 500, 7 ms</li><li>2026-01-01T00:00:05.000Z: timeout, 10000 ms</li>" in page
        )
    assert str(delivery.endpoint_id) in page
    page = admin_client.get(f"/admin/portal/outboxevent/{delivery.event_id}/change/").content.decode()
    assert "&quot;event_type&quot;: &quot;file.uploaded&quot;," in page
