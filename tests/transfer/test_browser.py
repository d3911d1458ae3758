"""A browser at the byte door: the session of whoever is logged in, and the CSRF token for what changes something."""

import pytest
import requests

from tests.api import expect
from tests.transfer.uploads import problem

SET_PASSWORD = """
from django.contrib.auth import get_user_model
ann = get_user_model().objects.get(username="ann")
ann.set_password("pw")
ann.save()
"""


@pytest.fixture(scope="module")
def content(ann_api):
    """The path of a stored file's bytes."""
    return f"/files/{ann_api.store(b'bytes')['id']}/content"


@pytest.fixture(scope="module")
def browser(portal_server):
    """ann's browser after login: a `requests` session with its cookies."""
    portal_server.create_token("ann")
    portal_server.manage("shell", "-c", SET_PASSWORD)
    with requests.Session() as session:
        session.trust_env = False
        session.get(f"{portal_server.url}/login", timeout=30)
        form = {"username": "ann", "password": "pw", "csrfmiddlewaretoken": session.cookies["csrftoken"]}
        answer = session.post(f"{portal_server.url}/login", form, allow_redirects=False, timeout=30)
        assert answer.status_code == 302
        yield session


def test_a_browser_reads_content_without_a_csrf_token(portal_server, browser, content):
    answer = browser.get(portal_server.url + content, timeout=30)
    assert answer.content == b"bytes"
    assert "Cookie" in answer.headers["Vary"]


@pytest.mark.parametrize("token", [None, "", "wrong", "a" * 64])
def test_a_browser_stores_no_part_without_its_csrf_token(portal_server, browser, upload, token):
    headers = {} if token is None else {"X-CSRFToken": token}
    answer = browser.put(portal_server.url + upload.target(), upload.part(), headers=headers, timeout=30)
    assert problem(answer) == (403, "csrf_failed")
    assert upload.untouched()


def test_a_browser_stores_a_part_with_its_csrf_token(portal_server, browser, upload):
    headers = {"X-CSRFToken": browser.cookies["csrftoken"]}
    answer = browser.put(portal_server.url + upload.target(), upload.part(), headers=headers, timeout=30)
    assert expect(200, answer)["part_number"] == 1


def test_another_sites_page_stores_no_part(portal_server, browser, upload):
    headers = {"X-CSRFToken": browser.cookies["csrftoken"], "Origin": "https://evil.example"}
    answer = browser.put(portal_server.url + upload.target(), upload.part(), headers=headers, timeout=30)
    assert problem(answer) == (403, "csrf_failed")
    assert upload.untouched()


def test_a_token_needs_no_csrf_token_beside_a_cookie(portal_server, browser, upload, ann_api):
    headers = {"Authorization": f"Bearer {ann_api.token}"}
    answer = browser.put(portal_server.url + upload.target(), upload.part(), headers=headers, timeout=30)
    expect(200, answer)


def test_a_wrong_token_beside_a_good_cookie_is_nobody(portal_server, browser, content):
    answer = browser.get(portal_server.url + content, headers={"Authorization": "Bearer wrong"}, timeout=30)
    assert problem(answer) == (401, "not_authenticated")


def test_the_long_body_of_a_browser_is_taken_at_djangos_door(portal_server, browser):
    headers = {"X-CSRFToken": browser.cookies["csrftoken"], "Content-Type": "application/json"}
    body = b'{"name": "long"' + b" " * 2**20 + b"}"
    answer = browser.post(f"{portal_server.url}/batches", body, headers=headers, timeout=30)
    assert expect(201, answer)["name"] == "long"
    answer = browser.post(
        f"{portal_server.url}/batches", body, headers=headers, cookies={"sessionid": "no"}, timeout=30
    )
    assert problem(answer) == (401, "not_authenticated")
