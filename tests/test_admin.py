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

from portal.models import ApiToken, IdempotencyKey, UploadBatch, UploadSession
from portal.services.idempotency import claim_key
from portal.storage import get_storage
from tests.admin_pages import MODELS, make_rows, read, url
from tests.samples import make_batch, make_caller, make_token, store_file


@pytest.fixture
def rows(ann):
    """At least one row of each model, with hostile names."""
    return make_rows(ann)


@pytest.fixture
def onlooker(client, db):
    """A member of staff who may look at everything and nothing else."""
    user = make_caller("olga").user
    user.is_staff = True
    user.save()
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    return client


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
    assert not re.findall(r'<(?:input(?! type="hidden")|textarea|select)[^>]*name="', content)
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
