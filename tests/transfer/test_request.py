"""What Django is told of a request: the path as bytes, every header once, and none that only looks like another."""

from portal.transfer.request import build_environ, build_request
from tests.transfer.wire import Wire


def environ_of(method, target, *lines, body=None, **options):
    """Return the environ of a request."""
    return build_environ(Wire(method, target, *lines, **options).scope, body)


def test_method_path_query_and_peer_are_told():
    environ = environ_of("PUT", "/a%20b/%C3%BC?x=%20&y", scheme="https", client="10.1.2.3")
    told = {name: environ[name] for name in ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR")}
    assert told == {
        "REQUEST_METHOD": "PUT",
        "PATH_INFO": "/a b/ü".encode().decode("latin-1"),
        "QUERY_STRING": "x=%20&y",
        "REMOTE_ADDR": "10.1.2.3",
    }
    assert environ["wsgi.url_scheme"] == "https"


def test_a_repeated_header_is_joined_and_a_cookie_as_cookies_are():
    environ = environ_of("GET", "/", "X-A: 1", "X-A: 2", "Cookie: a=1", "Cookie: b=2")
    assert (environ["HTTP_X_A"], environ["HTTP_COOKIE"]) == ("1,2", "a=1; b=2")


def test_a_header_with_an_underscore_is_dropped():
    environ = environ_of("GET", "/", "X_Real: evil", "X-Real: good", "Content_Length: 5", "Remote_Addr: 1.2.3.4")
    assert environ["HTTP_X_REAL"] == "good"
    assert "evil" not in environ.values()
    assert "CONTENT_LENGTH" not in environ
    assert environ["REMOTE_ADDR"] == "127.0.0.1"


def test_the_length_is_that_of_the_body_that_came():
    assert "CONTENT_LENGTH" not in environ_of("POST", "/", "Content-Length: 99")
    environ = environ_of("POST", "/", "Content-Length: 99", "Transfer-Encoding: chunked", body=b"abc")
    assert environ["CONTENT_LENGTH"] == "3"
    assert environ["wsgi.input"].read() == b"abc"
    assert "HTTP_TRANSFER_ENCODING" not in environ


def test_an_environ_cannot_be_written_by_headers():
    environ = environ_of(
        "GET", "/", "Path-Info: /admin", "Script-Name: /x", "Wsgi.Url-Scheme: https", "Request-Method: PUT"
    )
    assert (environ["PATH_INFO"], environ["SCRIPT_NAME"], environ["REQUEST_METHOD"]) == ("/", "", "GET")
    assert environ["wsgi.url_scheme"] == "http"


def test_a_request_is_djangos_own():
    request = build_request(Wire("GET", "/a?b=c", "Cookie: sessionid=x").scope)
    assert (request.method, request.path, request.GET["b"]) == ("GET", "/a", "c")
    assert request.COOKIES == {"sessionid": "x"}
    assert request.get_host() == "localhost"


def test_a_peer_without_an_address_is_none():
    scope = Wire("GET", "/").scope | {"client": None, "server": None}
    environ = build_environ(scope)
    assert environ["REMOTE_ADDR"] == ""
    assert environ["SERVER_NAME"]
