"""The operators' pages, followed link by link: by nobody, a plain user, and staff with and without permissions."""

import re
from urllib.parse import urljoin, urlsplit

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client

from tests.admin_pages import make_rows

#: Leads out, or on and on; filters and orders are followed by tests/test_admin_search.py.
LEFT_OUT = re.compile(r"^/admin/(logout|password_change|jsi18n|r)/|[?]")
MOST = 200
#: What takes more than the permission to look.
CHANGES = re.compile(r"/(add|delete|password)/$")


def crawl(client, *, start="/admin/"):
    """Follow every link below /admin/ once; return `{address: status}`, at most MOST of them."""
    found, waiting = {}, [start]
    while waiting and len(found) < MOST:
        address = waiting.pop(0)
        if address in found:
            continue
        answer = client.get(address)
        found[address] = answer.status_code
        if answer.status_code == 200 and answer["Content-Type"].startswith("text/html"):
            links = re.findall(r'href="([^"#]*)"', answer.content.decode())
            targets = (urljoin(address, link.replace("&amp;", "&")) for link in links)
            waiting += [to for to in targets if urlsplit(to).path.startswith("/admin/") and not LEFT_OUT.search(to)]
    return found


def log_in(name, *permissions, **flags):
    """Return a client of a user with these flags and permissions, by how their codenames begin."""
    user = get_user_model().objects.create(username=name, **flags)
    for start in permissions:
        user.user_permissions.add(*Permission.objects.filter(codename__startswith=start))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def addresses(ann):
    """All that a superuser finds, with a row of each model."""
    make_rows(ann)
    found = crawl(log_in("root", is_staff=True, is_superuser=True))
    assert set(found.values()) == {200}, {address: status for address, status in found.items() if status != 200}
    assert len(found) > 60
    return list(found)


def answers(client, addresses):
    """Return how a client is answered at each address: `{address: (status, where to)}`."""
    got = {address: client.get(address) for address in addresses}
    return {address: (one.status_code, one.get("Location", "").partition("?")[0]) for address, one in got.items()}


def test_only_staff_with_permissions_gets_anywhere(addresses):
    for client in (Client(), log_in("plain")):
        assert set(answers(client, addresses).values()) == {(302, "/admin/login/")}
    bare = answers(log_in("bare", is_staff=True), addresses)
    assert {address for address, (status, _) in bare.items() if status == 200} == {"/admin/"}
    assert {status for address, (status, _) in bare.items() if address != "/admin/"} <= {403, 404}
    onlooker = log_in("olga", "view_", is_staff=True)
    forms = {address for address in addresses if CHANGES.search(address)}
    seen = answers(onlooker, addresses)
    assert {address for address, (status, _) in seen.items() if status != 200} == forms
    assert {seen[address][0] for address in forms} == {403}
    # What is offered leads somewhere, but for Django's own link to a user's password.
    refused = {address for address, status in crawl(onlooker).items() if status != 200}
    assert all(re.fullmatch(r"/admin/auth/user/\d+/password/", address) for address in refused)
