"""Both doors put the same headers on their answers, at home and in Production behind a proxy."""

import pytest
from requests.adapters import HTTPAdapter

from tests.api import Api
from tests.raw import RawClient
from tests.server import LiveServer

#: What describes one answer's body or resource, and differs for that reason alone.
OWN = {"content-length", "date", "x-request-id", "allow"}
CONTENT = {"content-type", "etag", "repr-digest", "accept-ranges", "content-disposition", "cache-control"}
MUST = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
PROXY, STRANGER = "127.0.0.2", "127.0.0.3"
HTTPS = "X-Forwarded-Proto: https"


class FromProxy(HTTPAdapter):
    """Connects from the address of the trusted proxy."""

    def init_poolmanager(self, *args, **options):
        super().init_poolmanager(*args, source_address=(PROXY, 0), **options)


def headers_of(answer, *, without=OWN):
    """Return the headers as a dict of sets: the order of a policy's directives says nothing."""
    assert answer.values("x-request-id")
    names = {name for name, _ in answer.headers}
    assert all(len(answer.values(name)) == 1 for name in names)
    return {name: set(answer.header(name).split("; ")) for name in names - without}


def assert_guarded(answer, *, https=False):
    """Every answer is guarded, whatever its status."""
    assert {name: answer.header(name) for name in MUST} == MUST
    policy = answer.header("content-security-policy")
    for directive in ("default-src 'self'", "frame-ancestors 'none'", "object-src 'none'", "base-uri 'none'"):
        assert directive in policy
    assert ("max-age=31536000" in (answer.header("strict-transport-security") or "")) == https


def assert_same(json_door, byte_door, *, https=False):
    """Two answers have the same headers."""
    assert json_door.status == byte_door.status
    assert headers_of(json_door) == headers_of(byte_door)
    for answer in (json_door, byte_door):
        assert_guarded(answer, https=https)


@pytest.fixture(scope="module")
def production(tmp_path_factory, fresh_database):
    """The portal in Production; 127.0.0.2 is its trusted proxy."""
    env = {
        "DJANGO_CONFIGURATION": "Production",
        "SECRET_KEY": "no secret at all, but long enough for every check of it: 0123456789",
        "ALLOWED_HOSTS": "portal.example.org,127.0.0.1",
        "PORTAL_TRUSTED_PROXIES": f"10.0.0.0/8,{PROXY}",
    }
    folder = tmp_path_factory.mktemp("production")
    with fresh_database() as url, LiveServer(folder, database_url=url, env=env) as server:
        yield server


@pytest.fixture(scope="module")
def production_token(production):
    """A token of ann's there."""
    return production.create_token("ann")


@pytest.fixture(params=["at home", "in production"])
def ask(request):
    """Ask one of the two portals with a token or without one; in Production through its proxy."""
    if request.param == "at home":
        api, lines, options = request.getfixturevalue("ann_api"), [], {}
    else:
        server = request.getfixturevalue("production")
        api = Api(server.url, request.getfixturevalue("production_token"))
        lines, options = [HTTPS], {"source": PROXY}
        # Its own client would be sent to https.
        api.session.headers["X-Forwarded-Proto"] = "https"
        api.session.mount("http://", FromProxy())

    def send(method, path, *more, nobody=False, body=b""):
        with RawClient(api.url, token=None if nobody else api.token, **options) as client:
            return client.ask(method, path, *lines, *more, body=body)

    send.api, send.https = api, bool(lines)
    return send


def test_production_tells_its_metrics_to_its_own_machine_without_https(production):
    with RawClient(production.url, token=None) as client:
        assert client.ask("GET", "/limits").status == 301
        assert client.ask("GET", "/metrics").status == 200


NOTHING = "00000000-0000-0000-0000-000000000000"


def test_401_has_the_same_headers_at_both_doors(ask):
    for lines in ([], ["Authorization: Bearer wrong"], ["Cookie: sessionid=wrong"], ["Authorization: Basic YTpi"]):
        json_door = ask("GET", f"/files/{NOTHING}", *lines, nobody=True)
        byte_door = ask("GET", f"/files/{NOTHING}/content", *lines, nobody=True)
        assert json_door.status == 401
        if json_door.values("set-cookie"):
            assert json_door.values("set-cookie") == byte_door.values("set-cookie")
        assert json_door.body == byte_door.body
        assert_same(json_door, byte_door, https=ask.https)


def test_404_has_the_same_headers_at_both_doors(ask):
    json_door = ask("GET", f"/files/{NOTHING}")
    byte_door = ask("GET", f"/files/{NOTHING}/content")
    assert json_door.status == 404
    assert json_door.body == byte_door.body
    assert_same(json_door, byte_door, https=ask.https)


def test_an_unknown_host_has_the_same_headers_at_both_doors(ask):
    host = "Host: evil.example"
    assert_same(ask("GET", "/limits", host), ask("GET", f"/files/{NOTHING}/content", host), https=ask.https)


def test_200_has_the_same_headers_at_both_doors(ask):
    file = ask.api.store(b"bytes")
    json_door = ask("GET", f"/files/{file['id']}")
    byte_door = ask("GET", f"/files/{file['id']}/content")
    assert (json_door.status, byte_door.status) == (200, 200)
    common = [headers_of(answer, without=OWN | CONTENT) for answer in (json_door, byte_door)]
    # What comes from an uploader is locked up further than what comes from us.
    common[0]["content-security-policy"].add("sandbox")
    assert common[0] == common[1]
    for answer in (json_door, byte_door):
        assert_guarded(answer, https=ask.https)


def test_a_stored_part_has_the_headers_of_json(ask):
    target = f"/uploads/sessions/{ask.api.open_session(5)['session_id']}"
    byte_door = ask("PUT", f"{target}/parts/1", "Content-Length: 5", body=b"bytes")
    assert_same(ask("GET", target), byte_door, https=ask.https)


@pytest.mark.parametrize("source", [PROXY, STRANGER, None])
@pytest.mark.parametrize("lines", [[], ["X-Forwarded-Proto: http"], ["X-Forwarded-Proto: https, http"]])
@pytest.mark.parametrize("path", ["/files?limit=1&x=%20", f"/files/{NOTHING}/content?a=1&b=%20"])
def test_production_sends_http_to_https(production, source, lines, path):
    with RawClient(production.url, source=source) as client:
        client.host = "portal.example.org"
        answer = client.ask("GET", path, *lines)
    assert answer.status == 301
    assert answer.header("location") == f"https://portal.example.org{path}"
    assert answer.header("x-content-type-options") == "nosniff"


@pytest.mark.parametrize("source", [STRANGER, None])
@pytest.mark.parametrize("path", ["/files", f"/files/{NOTHING}/content"])
def test_only_a_trusted_proxy_can_say_that_it_was_https(production, source, path):
    ways = [
        HTTPS,
        "X-Forwarded-Ssl: on",
        "X-Forwarded-Scheme: https",
        "Forwarded: proto=https",
        "X_Forwarded_Proto: https",
    ]
    with RawClient(production.url, source=source) as client:
        assert client.ask("GET", path, *ways).status == 301


def test_a_part_over_http_is_sent_to_https_before_its_body_is_read(production):
    with RawClient(production.url) as client:
        answer = client.ask("PUT", f"/uploads/sessions/{NOTHING}/parts/1", "Content-Length: 10", "Expect: 100-continue")
        assert answer.status == 301
        assert client.closed_by_server()


def test_health_needs_no_https(production):
    for path in ("/healthz", "/readyz"):
        with RawClient(production.url) as client:
            assert client.ask("GET", path).status == 200


def test_the_cookies_of_production_are_for_https_alone(production):
    with RawClient(production.url, source=PROXY) as client:
        answer = client.ask("GET", "/login", HTTPS)
    [cookie] = answer.values("set-cookie")
    assert {"secure", "samesite=lax"} <= {word.strip().lower() for word in cookie.split(";")}


@pytest.mark.parametrize("header", ["X-Forwarded-Host", "X-Forwarded-Server", "X-Original-Host", "X-Host"])
def test_no_header_but_host_says_which_host_it_is(ann_api, header):
    for path in ("/files?limit=1", f"/files/{NOTHING}/content"):
        answer = ann_api.get(path, headers={header: "evil.example"})
        assert "evil" not in answer.text + str(answer.headers)
