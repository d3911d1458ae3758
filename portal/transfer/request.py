"""Django's view of a request that came over ASGI: one WSGI environ, built the same way for both doors."""

import io
import sys
from urllib.parse import unquote_to_bytes

from django.core.handlers.wsgi import WSGIRequest

#: The two headers that CGI knows without the prefix HTTP_.
BARE_HEADERS = {"CONTENT_TYPE", "CONTENT_LENGTH"}
#: Describes how the body came over the wire; Django gets it whole.
WIRE_HEADERS = {"HTTP_TRANSFER_ENCODING", "CONTENT_LENGTH"}


def build_environ(scope, body=None):
    """Return the environ of PEP 3333 for `scope`; `body` is the whole body, None when there is none.

    Headers with an underscore are dropped: in an environ they could not be told from those with a hyphen.
    """
    raw_path = scope.get("raw_path") or scope["path"].encode()
    server_name, server_port = scope.get("server") or ("localhost", 80)
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(raw_path).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "REMOTE_ADDR": (scope.get("client") or ("",))[0],
        "SERVER_NAME": server_name,
        "SERVER_PORT": str(server_port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(body or b""),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        # Whether a proxy, trusted or not, says that it stands between: boot/proxies.py.
        "portal.forwarded": scope.get("portal.forwarded", False),
    }
    for name, value in scope["headers"]:
        if b"_" not in name:
            _add_header(environ, name.decode("latin-1"), value.decode("latin-1"))
    if body is not None:
        environ["CONTENT_LENGTH"] = str(len(body))
    return environ


def _add_header(environ, name, value):
    key = name.upper().replace("-", "_")
    key = key if key in BARE_HEADERS else f"HTTP_{key}"
    if key in WIRE_HEADERS:
        return
    if key in environ:
        value = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{value}"
    environ[key] = value


def build_request(scope):
    """Return Django's request of `scope`, without a body: for hosts, cookies, sessions and CSRF."""
    return WSGIRequest(build_environ(scope))
