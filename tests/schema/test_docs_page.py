"""/docs works where there is no internet: all that it loads comes from the portal, and the CSP lets it run."""

from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import pytest

from tests.api import Api

#: How each kind of thing is served.
KINDS = {"script": "text/javascript", "stylesheet": "text/css", "icon": "image/png"}


class Page(HTMLParser):
    """What a page loads, and what it carries in itself."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.inline = [], []
        self._open = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self._open = tag
        if tag == "script" and "src" in attributes:
            self.loads.append(("script", attributes["src"]))
        elif tag == "link":
            self.loads.append((attributes["rel"], attributes["href"]))
        elif tag in ("img", "iframe", "object", "embed"):
            self.loads.append((tag, attributes.get("src")))
        self.inline += [(tag, name) for name in attributes if name == "style" or name.startswith("on")]

    def handle_data(self, data):
        if self._open in ("script", "style") and data.strip():
            self.inline.append((self._open, data))

    def handle_endtag(self, tag):
        self._open = None


@pytest.fixture(scope="module")
def nobody(portal_server):
    """A browser that is not logged in."""
    return Api(portal_server.url)


@pytest.fixture(scope="module")
def page(nobody):
    """The page, read."""
    return Page(nobody.get("/docs").text)


def test_everything_it_loads_is_served_by_the_portal_itself(nobody, page):
    assert {kind for kind, _ in page.loads} == set(KINDS)
    for kind, url in page.loads:
        there = urlsplit(urljoin(f"{nobody.url}/docs", url))
        assert f"{there.scheme}://{there.netloc}" == nobody.url
        response = nobody.get(f"{there.path}?{there.query}")
        assert response.status_code == 200
        assert response.content
        served = response.headers["Content-Type"].partition(";")[0].replace("application/", "text/")
        assert served == KINDS[kind], url


def test_the_policy_lets_it_run(nobody, page):
    policy = nobody.get("/docs").headers["Content-Security-Policy"]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    # Scripts, styles and requests fall back to this one: the portal itself, and nothing inline.
    assert directives["default-src"] == "'self'"
    assert not {"script-src", "style-src", "connect-src"} & directives.keys()
    assert "data:" in directives["img-src"]
    assert page.inline == []


def test_its_script_asks_for_the_schema(nobody, page):
    script = next(url for kind, url in page.loads if kind == "script" and url.startswith("/docs"))
    assert "/schema" in nobody.get(script).text


@pytest.mark.parametrize("path", ["/", "/docs?script="])
def test_the_address_alone_leads_to_the_docs(nobody, path):
    assert nobody.get(path).status_code == 200
