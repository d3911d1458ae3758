"""The tables that are made from the code are as the code would make them now, and name the right figures."""

import re
from datetime import timedelta

import pytest
from django.urls import URLPattern, get_resolver

from portal.transfer.app import ROUTES
from tests.docs.pages import named, page_names, read, rows, section
from tests.docs.tables import GENERATED, TABLES, filled
from tests.docs.test_names import find

CONSTANT = re.compile(r"`((?:portal|boot)(?:\.\w+)*\.[A-Z][A-Z_]+)`")


@pytest.mark.parametrize("page", page_names())
def test_a_generated_table_is_up_to_date(page):
    text = read(page)
    assert text == filled(text), "run: python -m tests.docs.tables --write"


def test_every_table_has_its_place():
    places = {found[1] for page in page_names() for found in GENERATED.findall(read(page))}
    assert places == set(TABLES)


def django_paths(patterns):
    """Yield the form of every path of Django's side but for those below the admin."""
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            yield "/" + re.sub(r"<\w+:\w+>", "{id}", str(pattern.pattern))
        elif str(pattern.pattern) == "admin/":
            yield "/admin/"
        else:
            yield from django_paths(pattern.url_patterns)


def test_the_url_table_has_the_routes_of_both_doors():
    listed = {named(row[0]) for row in rows(section(read("aikb/architecture.md"), "URLs"))}
    assert listed == {*django_paths(get_resolver().url_patterns), *(route.path for route in ROUTES)}


def test_the_guide_lists_the_same_paths():
    listed = set(re.findall(r"[A-Z]{3,} +(/\S*)", read("CLAUDE.md")))
    assert listed == {*django_paths(get_resolver().url_patterns), *(route.path for route in ROUTES)}


def value_of(constant):
    """Return a constant as the pages write it: times in seconds."""
    if isinstance(constant, timedelta):
        return constant.total_seconds()
    return constant


def written(cell):
    """Return the number that a cell gives; `48 h` and `60 s` are seconds."""
    number, _, unit = cell.partition(" ")
    return float(number.replace(",", "")) * {"": 1, "s": 1, "h": 3600}[unit]


def constants():
    """Return the rows of all tables that begin with a constant."""
    found = [row for page in page_names() for row in rows(read(page)) if CONSTANT.fullmatch(row[0])]
    return [pytest.param(row, id=row[0].strip("`")) for row in found]


@pytest.mark.parametrize("row", constants())
def test_a_constant_has_the_value_that_its_page_gives(row):
    assert value_of(find(named(row[0]))) == written(row[1])
