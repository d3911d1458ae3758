"""What the pages name is there: modules, things in them, paths, links, check ids."""

import importlib
import re

import pytest

from tests.docs.pages import FENCE, ROOT, backticked, page_names, read

PAGES = page_names()
DOTTED = re.compile(r"(?:portal|boot|tests)(?:\.\w+)+")
CHECK_ID = re.compile(r"portal\.[EW]\d{3}")
PATH = re.compile(r"[\w.-]+(?:/[\w.*-]+)*/?")
#: A word in backticks that ends so is a file of ours.
SUFFIXES = (".py", ".md", ".toml", ".yaml")
#: What stands at the root, whose names begin a path; what a run makes there is not in every clone.
TOP = {path.name for path in ROOT.iterdir()} - {"var", ".venv"}


def find(dotted):
    """Return the thing that a dotted name names; raises ImportError or AttributeError."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        name = ".".join(parts[:end])
        try:
            thing = importlib.import_module(name)
        except ModuleNotFoundError as error:
            # A module that is there and cannot be imported is no reason to look elsewhere.
            if error.name != name:
                raise
            continue
        for part in parts[end:]:
            thing = getattr(thing, part)
        return thing
    raise ImportError(dotted)


def names_in(page):
    """Return what stands in backticks on a page, calls without their brackets."""
    return {re.sub(r"\(.*\)$", "", text) for text in backticked(read(page))}


def test_there_are_pages():
    assert {"README.md", "CLAUDE.md", "aikb/models.md", "PEPs/INDEX.md", "PEPs/IMPLEMENTED/LATEST.md"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_every_dotted_name_can_be_imported(page):
    for name in sorted(names_in(page)):
        if CHECK_ID.fullmatch(name):
            assert f'"{name}"' in (ROOT / "portal/checks.py").read_text()
        elif DOTTED.fullmatch(name) and not name.endswith(SUFFIXES):
            find(name)


@pytest.mark.parametrize("page", PAGES)
def test_every_path_exists(page):
    def is_path(name):
        return PATH.fullmatch(name) and (name.split("/")[0] in TOP or name.endswith(SUFFIXES))

    missing = [name for name in names_in(page) if is_path(name) and not list(ROOT.glob(name.rstrip("/")))]
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", read(page))):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        found = (ROOT / page).parent / path
        assert found.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", FENCE.sub("", found.read_text(encoding="utf-8")), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
            assert anchor in slugs, target


def test_a_name_that_is_not_there_is_found_out():
    for name in ("portal.services.parts.no_such_thing", "portal.no_such_module"):
        with pytest.raises((ImportError, AttributeError)):
            find(name)
