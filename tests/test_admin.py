"""The operators' pages: everything can be looked at and found, nothing can be written by a form."""

import re

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver

from portal.models import ApiToken, IdempotencyKey, IngestFile, OutboxEvent, UploadBatch, UploadPart, UploadSession
from portal.services.idempotency import claim_key
from portal.storage import get_storage
from tests.samples import make_batch, make_caller, make_token, open_session, send_parts, store_file

MODELS = [ApiToken, IdempotencyKey, IngestFile, OutboxEvent, UploadBatch, UploadPart, UploadSession]
HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=y>{{ 7|add:7 }}%s&amp;"
ODD_TEXTS = ["", " ", "%", "_", "'", '"', "\\", "\0", "a\0b", "💥", "‮", "x" * 3000, "1", "-1", "None", "<b>", "a b c"]
ODD_TEXTS += ["01890000-0000-7000-8000-000000000000", "01890000", "{}", "' OR 1=1 --", "\ud7ff", "9" * 400]


def url(model, tail=""):
    """Return the address of a model's list, or of what lies below it."""
    return f"/admin/portal/{model._meta.model_name}/{tail}"


@pytest.fixture
def rows(ann):
    """At least one row of each model, with names that would like to be more than text."""
    storage = get_storage()
    batch = make_batch(ann, name=HOSTILE, metadata={HOSTILE: HOSTILE}, expected_files=9)
    fields = {"original_filename": HOSTILE, "content_type": HOSTILE, "path": f"a/{HOSTILE}".replace("</", "<")}
    store_file(ann, storage, batch=batch, metadata={HOSTILE: HOSTILE}, **fields)
    session = open_session(ann, storage, size=1, original_filename=HOSTILE)
    send_parts(ann, storage, session, b"x")
    UploadSession.objects.filter(pk=session.pk).update(claim_token=session.pk)
    make_token(ann, name=HOSTILE[:100])
    claim_key(ann, HOSTILE, "0" * 64)
    return {model: list(model.objects.all()) for model in MODELS}


@pytest.fixture
def onlooker(client, db):
    """A member of staff who may look at everything and nothing else."""
    user = make_caller("olga").user
    user.is_staff = True
    user.save()
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    return client


def read(client, address):
    """Return the page at an address."""
    response = client.get(address)
    assert response.status_code == 200, f"{address}: {response.status_code}"
    return response.content.decode()


def test_every_model_of_the_portal_has_its_pages():
    assert set(apps.get_app_config("portal").get_models()) == set(MODELS)
    assert {model for model in admin.site._registry if model._meta.app_label == "portal"} == set(MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_list_and_detail_render_with_rows_in_them(admin_client, rows, model):
    page = read(admin_client, url(model))
    assert page.count('<th class="field-') + page.count('<td class="field-') >= len(rows[model])
    for row in rows[model]:
        assert url(model, f"{row.pk}/change/") in page
        assert str(row.pk) in read(admin_client, url(model, f"{row.pk}/change/"))
        read(admin_client, url(model, f"{row.pk}/history/"))


@pytest.mark.parametrize("model", MODELS)
def test_hostile_names_are_text(admin_client, rows, model):
    pages = [url(model), *(url(model, f"{row.pk}/change/") for row in rows[model])]
    for page in (read(admin_client, address) for address in pages):
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "14%s" not in page
    if model is UploadBatch:
        assert "&lt;script&gt;alert" in page


@pytest.mark.parametrize("model", MODELS)
def test_search_takes_any_text(admin_client, rows, model):
    for text in ODD_TEXTS:
        response = admin_client.get(url(model), {"q": text})
        assert response.status_code == 200, repr(text)


def found(client, model, text):
    """Return the ids of the rows that a search finds."""
    page = client.get(url(model), {"q": text}).content.decode()
    return set(re.findall(rf"{url(model)}([-0-9a-f]+)/change/", page))


@pytest.mark.parametrize("model", MODELS)
def test_search_finds_one_row_by_its_whole_id_however_it_is_written(admin_client, rows, model):
    for row in rows[model]:
        for text in (str(row.pk), row.pk.hex, str(row.pk).upper(), f" {row.pk} "):
            assert found(admin_client, model, text) == {str(row.pk)}


def test_search_finds_by_the_id_of_what_a_row_belongs_to(admin_client, rows):
    file = next(file for file in rows[IngestFile] if file.batch_id)
    part = rows[UploadPart][0]
    assert found(admin_client, IngestFile, file.batch_id) == {str(file.pk)}
    assert found(admin_client, UploadSession, file.pk) == {str(file.session_id)}
    assert found(admin_client, UploadPart, part.session_id) == {str(part.pk)}
    event = OutboxEvent.objects.get(file_id=file.pk)
    for pk in (file.pk, file.batch_id):
        assert found(admin_client, OutboxEvent, pk) == {str(event.pk)}


def test_search_finds_by_a_digest_and_by_part_of_a_name(admin_client, rows, bob):
    other = make_batch(bob, name="another one")
    batch, file = rows[UploadBatch][0], next(file for file in rows[IngestFile] if file.sha256)
    for text in ("alert", "ALERT", "ann"):
        assert found(admin_client, UploadBatch, text) == {str(batch.pk)}
    assert found(admin_client, UploadBatch, "other") == {str(other.pk)}
    assert found(admin_client, IngestFile, file.sha256) == {str(file.pk)}
    token = rows[ApiToken][0]
    assert found(admin_client, ApiToken, token.prefix) == {str(token.pk)}


@pytest.mark.parametrize("model", MODELS)
def test_filters_and_orders_take_what_they_offer_and_survive_the_rest(admin_client, rows, model):
    page = read(admin_client, url(model))
    offered = {found.replace("&amp;", "&") for found in re.findall(r'href="(\?[^"]*)"', page)}
    for query in offered:
        assert admin_client.get(url(model) + query).status_code == 200, query
    odd = ["?status__exact=X", "?id__exact=x", "?p=99999", "?p=-1", "?o=99.-99", "?o=x", "?all="]
    odd += ["?created_at__gte=x", "?nothing=1", "?owner__password__startswith=a", "?e=1"]
    for query in odd:
        assert admin_client.get(url(model) + query).status_code in (200, 302, 400), query


@pytest.mark.parametrize("model", MODELS)
def test_nothing_can_be_added_changed_or_deleted(admin_client, rows, model):
    pk = rows[model][0].pk
    before = list(model.objects.order_by("pk").values())
    for tail in ("add/", f"{pk}/delete/"):
        assert admin_client.get(url(model, tail)).status_code == 403
        assert admin_client.post(url(model, tail), {"post": "yes"}).status_code == 403
    assert admin_client.post(url(model, f"{pk}/change/"), {"name": "x", "status": "STORED"}).status_code == 403
    choice = {"action": "delete_selected", "_selected_action": [str(pk)], "post": "yes"}
    assert admin_client.post(url(model), choice).status_code in (200, 302)
    assert list(model.objects.order_by("pk").values()) == before


@pytest.mark.parametrize("model", MODELS)
def test_a_detail_has_no_field_to_write_into(admin_client, rows, model):
    page = read(admin_client, url(model, f"{rows[model][0].pk}/change/"))
    content = page[page.index('id="content"') :]
    assert not re.findall(r'<(?:input|textarea|select)[^>]*name="(?!csrfmiddlewaretoken)', content)
    assert 'name="_save"' not in page


def test_secrets_are_not_shown(admin_client, rows):
    token = ApiToken.objects.get()
    session = UploadSession.objects.get(claim_token__isnull=False)
    UploadSession.objects.filter(pk=session.pk).update(claim_token="a1b2c3d4-0000-4000-8000-00000000abcd")
    key = IdempotencyKey.objects.get()
    for model, row, secret in (
        (ApiToken, token, token.digest),
        (UploadSession, session, "a1b2c3d4-0000-4000-8000-00000000abcd"),
        (IdempotencyKey, key, str(key.claim_token)),
    ):
        for address in (url(model), url(model, f"{row.pk}/change/")):
            assert secret not in read(admin_client, address)


def test_a_batch_shows_how_far_it_is(admin_client, rows):
    page = read(admin_client, url(UploadBatch))
    assert '<progress max="9" value="1"></progress> 1 / 9' in page


@pytest.mark.parametrize("model", MODELS)
def test_a_list_costs_the_same_queries_for_many_rows(admin_client, rows, model, ann):
    def count():
        with CaptureQueriesContext(connection) as queries:
            read(admin_client, url(model))
        return len(queries)

    count()  # what is cached for a process
    few = count()
    storage, batch = get_storage(), make_batch(ann)
    for number in range(8):
        make_batch(make_caller(f"user{number}"))
        store_file(make_caller(f"user{number}"), storage, batch=None)
        store_file(ann, storage, batch=batch)
        make_token(ann)
        claim_key(make_caller(f"user{number}"), "k", "0" * 64)
    assert count() == few


def test_who_is_not_of_the_staff_is_sent_to_the_login(client, ann):
    addresses = ["/admin/", *(url(model) for model in MODELS), url(UploadBatch, "x/change/"), "/admin/auth/user/"]
    for _ in range(2):
        for address in addresses:
            response = client.get(address)
            assert (response.status_code, response["Location"].partition("?")[0]) == (302, "/admin/login/")
        client.force_login(ann.user)
    assert get_user_model().objects.filter(is_staff=True).count() == 0
    assert get_resolver().resolve("/admin/login/").url_name == "login"


@pytest.mark.parametrize("model", MODELS)
def test_who_may_look_sees_lists_and_details(onlooker, rows, model):
    for row in rows[model]:
        assert str(row.pk) in read(onlooker, url(model, f"{row.pk}/change/"))
    assert '<select name="action"' not in read(onlooker, url(model))


def test_an_id_that_is_not_there_leads_back_to_the_index(admin_client, rows):
    for tail in ("x/change/", "01890000-0000-7000-8000-000000000000/change/", "%00/change/", "1/delete/"):
        assert admin_client.get(url(UploadBatch, tail)).status_code in (302, 403, 404)
