"""No file of the project names an index host, or a place on the machine where it was written."""

import re
from pathlib import Path

from tests.docs.pages import ROOT, project_files

#: Written so that this file does not name them itself; the homes of ann and bob are made up.
HOSTS = re.compile(r"pypi\.org/simpl[e]|files\.pythonhoste[d]|registry\.npmj[s]|(?<!no-emit-)index-ur[l]")
HOMES = re.compile(r"(?<![\w.:/@-])/(?:root|home/(?!ann|bob)\w+|Users/\w+)(?=/|\b)")


def texts():
    """Yield the path below the root and the text of each file of the project."""
    for path in project_files():
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8", errors="replace")


def test_the_whole_tree_is_looked_at():
    names = {name for name, _ in texts()}
    assert {"README.md", ".ci/run", ".env.example", "portal/services/parts.py", "tests/docs/pages.py"} <= names
    assert not [name for name in names if name.startswith((".venv/", ".git/", "var/"))]


def test_no_file_names_an_index_host():
    assert not [name for name, text in texts() if HOSTS.search(text)]


def test_no_file_names_a_home_or_this_checkout():
    # A checkout at a place like /app is no telling path.
    places = [str(place) for place in (ROOT, Path.home()) if len(place.parts) > 2]
    found = [name for name, text in texts() if HOMES.search(text) or any(place in text for place in places)]
    assert not found
