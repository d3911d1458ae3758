"""The README's tables are what the code reads from the environment; nothing names what nobody reads."""

import re

from tests.docs.environment import (
    compose_variables,
    make_variables,
    settings,
    variables_of_tests,
    variables_of_the_client,
)
from tests.docs.pages import ROOT, backticked, named, page_names, read, rows, section

PAGE = section(read("README.md"), "Settings")
SETTINGS, VARIABLES = PAGE.split("`make` and the tests take")


def test_the_table_has_every_setting_that_the_code_reads():
    assert sorted(named(row[0]) for row in rows(SETTINGS)) == sorted(settings())


def test_every_setting_has_its_default_and_its_meaning():
    for name, default, meaning in rows(SETTINGS):
        expected = settings()[named(name)].default
        if expected:
            assert named(default) == expected, name
        assert default, name
        assert meaning, name


def test_those_that_no_file_may_hold_are_named():
    sentence = re.search(r"^Every setting may also come from a file.*?\.$", SETTINGS, re.MULTILINE | re.DOTALL)[0]
    excepted = set(backticked(sentence.split("but for")[1]))
    assert excepted == {name for name, setting in settings().items() if not setting.from_file}


def test_the_second_table_has_what_make_and_the_tests_take():
    table = {named(row[0]): row[1] for row in rows(VARIABLES)}
    assert set(table) == set(make_variables()) | variables_of_tests()
    for name, default in make_variables().items():
        assert table[name].strip("`") == (default or "none"), name


def test_the_example_names_known_settings_only():
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    named_there = set(re.findall(r"^#?([A-Z][A-Z_]+)=", text, re.MULTILINE))
    assert named_there
    assert named_there <= set(settings()) | compose_variables()


def test_compose_asks_for_known_settings_only():
    unknown = compose_variables() - set(settings())
    assert unknown == {"POSTGRES_PASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert unknown <= set(backticked(read("README.md")))


def test_no_page_of_today_names_a_setting_that_nobody_reads():
    known = set(settings()) | variables_of_tests() | variables_of_the_client()
    for page in page_names():
        if page.startswith("PEPs/PEP_"):
            continue  # what is proposed may name what is to come
        words = {word for text in backticked(read(page)) for word in re.findall(r"\bPORTAL_\w+", text)}
        assert words <= known, page
