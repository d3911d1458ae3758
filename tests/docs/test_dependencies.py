"""The page of dependencies is what pyproject.toml asks for."""

import re
import tomllib

import pytest

from tests.docs.pages import ROOT, named, read, rows, section

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CLIENT = tomllib.loads((ROOT / "client/pyproject.toml").read_text(encoding="utf-8"))["project"]
PAGE = read("aikb/dependencies.md")
EXTRAS = PROJECT["optional-dependencies"]
PLACES = [
    ("The portal", PROJECT["dependencies"]),
    ("Traces", EXTRAS["tracing"]),
    # Beside the other extras, which it has whole.
    ("Tests and quality", [text for text in EXTRAS["dev"] if not text.startswith(PROJECT["name"])]),
    ("The client", CLIENT["dependencies"]),
]


def parse(requirement):
    """Return name and bound of a requirement, without its marker."""
    return re.fullmatch(r"([\w.\[\]-]+?)([<>=~!][^;]*)(?:;.*)?", requirement).groups()


@pytest.mark.parametrize(("heading", "requirements"), PLACES)
def test_the_table_is_what_is_asked_for(heading, requirements):
    table = [(named(row[0]), named(row[1])) for row in rows(section(PAGE, heading))]
    assert sorted(table) == sorted((name, bound.strip()) for name, bound in map(parse, requirements))
    assert all(row[2] for row in rows(section(PAGE, heading)))


@pytest.mark.parametrize(("heading", "requirements"), PLACES)
def test_everything_has_a_lower_bound(heading, requirements):
    assert not [text for text in requirements if ">=" not in text]


def test_the_pins_hold_every_bound_there_is():
    pinned = set(re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    wanted = {parse(text)[0].partition("[")[0].lower() for _, texts in PLACES for text in texts}
    assert wanted <= pinned
