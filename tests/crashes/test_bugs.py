"""The bugs that are seeded are still bugs: each text that one replaces is there, and what comes of it is Python."""

import shutil

import pytest

from tests.crashes.bugs import BUGS, Bug, NotThere, seed
from tests.server import ROOT


def copied(bug, tree):
    """Copy into `tree` the files that the bug changes; return what they hold by their paths."""
    files = {name: tree / name for name, _, _ in bug.changes}
    for name, path in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, path)
    return {path: path.read_text(encoding="utf-8") for path in files.values()}


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_can_be_seeded(bug, tmp_path):
    before = copied(bug, tmp_path)
    seed(bug, tmp_path)
    assert all(path.read_text(encoding="utf-8") != text for path, text in before.items())


def test_what_is_not_there_or_no_python_is_refused(tmp_path):
    (tmp_path / "code.py").write_text("x = 1\n", encoding="utf-8")
    with pytest.raises(NotThere):
        seed(Bug("gone", (("code.py", "y = 1\n", "y = 2\n"),), ()), tmp_path)
    with pytest.raises(SyntaxError):
        seed(Bug("indented", (("code.py", "x = 1\n", "    x = 1\n"),), ()), tmp_path)
