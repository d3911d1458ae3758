"""The operators' pages: everything can be looked at and found, secrets are not shown, and a list costs the same."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver

from portal.models import ApiToken, IdempotencyKey, UploadBatch, UploadSession
from portal.services.idempotency import claim_key
from portal.storage import get_storage
from tests.admin_pages import MODELS, read, url
from tests.samples import make_batch, make_caller, make_token, store_file


def test_every_model_of_the_portal_has_its_pages():
    assert set(apps.get_app_config("portal").get_models()) == set(MODELS)
    assert {model for model in admin.site._registry if model._meta.app_label == "portal"} == set(MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_list_and_detail_render_with_rows_in_them(admin_client, admin_rows, model):
    page = read(admin_client, url(model))
    assert page.count('<th class="field-') + page.count('<td class="field-') >= len(admin_rows[model])
    for row in admin_rows[model]:
        assert url(model, f"{row.pk}/change/") in page
        assert str(row.pk) in read(admin_client, url(model, f"{row.pk}/change/"))
        read(admin_client, url(model, f"{row.pk}/history/"))


def test_secrets_are_not_shown(admin_client, admin_rows):
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


def test_a_batch_shows_how_far_it_is(admin_client, admin_rows):
    page = read(admin_client, url(UploadBatch))
    assert '<progress max="9" value="1"></progress> 1 / 9' in page


@pytest.mark.parametrize("model", MODELS)
def test_a_list_costs_the_same_queries_for_many_rows(admin_client, admin_rows, model, ann):
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


def test_an_id_that_is_not_there_leads_back_to_the_index(admin_client, admin_rows):
    for tail in ("x/change/", "01890000-0000-7000-8000-000000000000/change/", "%00/change/", "1/delete/"):
        assert admin_client.get(url(UploadBatch, tail)).status_code in (302, 403, 404)
