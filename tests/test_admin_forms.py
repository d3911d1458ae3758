"""What is the same on both databases of the operators' pages: nothing is written by a form, and names are text."""

import re

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission

from portal.models import UploadBatch
from tests.admin_pages import MODELS, read, url
from tests.samples import make_caller


@pytest.fixture(autouse=True)
def _page_alone(monkeypatch):
    """Without the list of all models beside each page, a quarter of its CPU: tests/test_admin.py has that."""
    monkeypatch.setattr(admin.site, "enable_nav_sidebar", False)


@pytest.fixture
def onlooker(client, db):
    """A member of staff who may look at everything and nothing else."""
    user = make_caller("olga").user
    user.is_staff = True
    user.save()
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    return client


@pytest.mark.parametrize("model", MODELS)
def test_hostile_names_are_text(admin_client, admin_rows, model):
    pages = [url(model), *(url(model, f"{row.pk}/change/") for row in admin_rows[model])]
    for page in (read(admin_client, address) for address in pages):
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "14%s" not in page
    if model is UploadBatch:
        assert "&lt;script&gt;alert" in page


@pytest.mark.parametrize("model", MODELS)
def test_nothing_can_be_added_changed_or_deleted(admin_client, admin_rows, model):
    pk = admin_rows[model][0].pk
    before = list(model.objects.order_by("pk").values())
    for tail in ("add/", f"{pk}/delete/"):
        assert admin_client.get(url(model, tail)).status_code == 403
        assert admin_client.post(url(model, tail), {"post": "yes"}).status_code == 403
    assert admin_client.post(url(model, f"{pk}/change/"), {"name": "x", "status": "STORED"}).status_code == 403
    choice = {"action": "delete_selected", "_selected_action": [str(pk)], "post": "yes"}
    assert admin_client.post(url(model), choice).status_code in (200, 302)
    assert list(model.objects.order_by("pk").values()) == before


@pytest.mark.parametrize("model", MODELS)
def test_a_detail_has_no_field_to_write_into(admin_client, admin_rows, model):
    page = read(admin_client, url(model, f"{admin_rows[model][0].pk}/change/"))
    content = page[page.index('id="content"') :]
    assert not re.findall(r'<(?:input(?! type="hidden")|textarea|select)[^>]*name="', content)
    assert 'name="_save"' not in page


@pytest.mark.parametrize("model", MODELS)
def test_who_may_look_sees_lists_and_details(onlooker, admin_rows, model):
    for row in admin_rows[model]:
        assert str(row.pk) in read(onlooker, url(model, f"{row.pk}/change/"))
    assert '<select name="action"' not in read(onlooker, url(model))
