"""Operators find what they look for, by id, by name, by filter; and odd texts do no harm."""

import re

import pytest
from django.contrib import admin

from portal.models import (
    ApiToken,
    EventCounter,
    IngestFile,
    OutboxEvent,
    OwnerUsage,
    Recount,
    UploadBatch,
    UploadPart,
    UploadSession,
)
from tests.admin_pages import MODELS, read, url
from tests.samples import make_batch

WITHOUT_UUID = (EventCounter, OwnerUsage, Recount)
ODD_TEXTS = ["", " ", "%", "_", "'", '"', "\\", "\0", "a\0b", "💥", "‮", "x" * 3000, "1", "-1", "None", "<b>", "a b c"]
ODD_TEXTS += ["01890000-0000-7000-8000-000000000000", "01890000", "{}", "' OR 1=1 --", "\ud7ff", "9" * 400]


@pytest.fixture(autouse=True)
def _page_alone(monkeypatch):
    """Without the list of all models beside each page, a quarter of its CPU: tests/test_admin.py has that."""
    monkeypatch.setattr(admin.site, "enable_nav_sidebar", False)


@pytest.mark.parametrize("model", MODELS)
def test_search_takes_any_text(admin_client, admin_rows, model):
    for text in ODD_TEXTS:
        response = admin_client.get(url(model), {"q": text})
        assert response.status_code == 200, repr(text)


def found(client, model, text):
    """Return the ids of the rows that a search finds."""
    page = client.get(url(model), {"q": text}).content.decode()
    return set(re.findall(rf"{url(model)}([-0-9a-f]+)/change/", page))


@pytest.mark.parametrize("model", [model for model in MODELS if model not in WITHOUT_UUID])
def test_search_finds_one_row_by_its_whole_id_however_it_is_written(admin_client, admin_rows, model):
    for row in admin_rows[model]:
        for text in (str(row.pk), row.pk.hex, str(row.pk).upper(), f" {row.pk} "):
            assert found(admin_client, model, text) == {str(row.pk)}


def test_search_finds_by_the_id_of_what_a_row_belongs_to(admin_client, admin_rows):
    file = next(file for file in admin_rows[IngestFile] if file.batch_id)
    part = admin_rows[UploadPart][0]
    assert found(admin_client, IngestFile, file.batch_id) == {str(file.pk)}
    assert found(admin_client, UploadSession, file.pk) == {str(file.session_id)}
    assert found(admin_client, UploadPart, part.session_id) == {str(part.pk)}
    event = OutboxEvent.objects.get(file_id=file.pk)
    for pk in (file.pk, file.batch_id):
        assert found(admin_client, OutboxEvent, pk) == {str(event.pk)}


def test_search_finds_by_a_digest_and_by_part_of_a_name(admin_client, admin_rows, bob):
    other = make_batch(bob, name="another one")
    batch, file = admin_rows[UploadBatch][0], next(file for file in admin_rows[IngestFile] if file.sha256)
    for text in ("alert", "ALERT", "ann"):
        assert found(admin_client, UploadBatch, text) == {str(batch.pk)}
    assert found(admin_client, UploadBatch, "other") == {str(other.pk)}
    assert found(admin_client, IngestFile, file.sha256) == {str(file.pk)}
    token = admin_rows[ApiToken][0]
    assert found(admin_client, ApiToken, token.prefix) == {str(token.pk)}


@pytest.mark.parametrize("model", MODELS)
def test_filters_and_orders_take_what_they_offer_and_survive_the_rest(admin_client, admin_rows, model):
    page = read(admin_client, url(model))
    offered = {found.replace("&amp;", "&") for found in re.findall(r'href="(\?[^"]*)"', page)}
    for query in offered:
        assert admin_client.get(url(model) + query).status_code == 200, query
    odd = ["?status__exact=X", "?id__exact=x", "?p=99999", "?p=-1", "?o=99.-99", "?o=x", "?all="]
    odd += ["?created_at__gte=x", "?nothing=1", "?owner__password__startswith=a", "?e=1"]
    for query in odd:
        assert admin_client.get(url(model) + query).status_code in (200, 302, 400), query


@pytest.mark.parametrize(
    "query",
    [
        *["created_at__year=9999999", "created_at__gte=x", "created_at__day=9999999999999999999999"],
        *["created_at__isnull=x", "id=x", "id__in=1", "status__exact=%00", "p=99999999999999999999"],
        *["o=9.9.9", "e=1", "nothing=1", "_to_field=x"],
    ],
)
def test_an_address_made_by_hand_does_no_harm(admin_client, admin_rows, query):
    for model in MODELS:
        if "created_at" in query and not hasattr(model, "created_at"):
            continue
        response = admin_client.get(f"{url(model)}?{query}", follow=True)
        assert response.status_code in (200, 400), model


@pytest.mark.parametrize("name", ["x", "9" * 30, "-1", "%00", "0" * 5000])
def test_a_row_that_cannot_be_leads_back_to_the_lists(admin_client, admin_rows, name):
    for model in MODELS:
        response = admin_client.get(f"{url(model)}{name}/change/", follow=True)
        assert response.status_code in (200, 404), model


def test_an_action_on_what_is_no_id_leads_back_to_the_list(admin_client, admin_rows):
    asked = {"action": "abort", "_selected_action": "zzz", "index": "0"}
    response = admin_client.post(url(UploadSession), asked, follow=True)
    assert response.redirect_chain == [(url(UploadSession), 302)]
    assert "no row can have" in response.content.decode()
