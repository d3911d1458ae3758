"""The project's pages as the tests read them: their sections, tables, and what stands in backticks."""

import fnmatch
import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
BACKTICKED = re.compile(r"`([^`\n]+)`")


def page_names():
    """Return the paths of all pages, below the root."""
    found = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CLAUDE.md", "client/README.md")]
    for folder in ("aikb", "PEPs"):
        found += sorted((ROOT / folder).rglob("*.md"))
    return [path.relative_to(ROOT).as_posix() for path in found]


def read(name):
    """Return the text of a page."""
    return (ROOT / name).read_text(encoding="utf-8")


def section(text, heading):
    """Return what stands under the heading of these words, up to the next one of its level or above."""
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert found, f"there is no heading {heading!r}"
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", FENCE.sub(lambda block: " " * len(block[0]), rest), re.MULTILINE)
    return rest[: end.start()] if end else rest


def backticked(text):
    """Return all that stands in backticks, but for blocks of code."""
    return BACKTICKED.findall(FENCE.sub("", text))


def rows(text):
    """Return the rows of all tables in `text`, each a list of its cells, without headings."""
    found, heading = [], True
    for line in FENCE.sub("", text).splitlines():
        if not line.startswith("|"):
            heading = True
        elif re.fullmatch(r"\|[ :|-]+\|", line):
            heading = False
        elif not heading:
            found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found


def named(cell):
    """Return the one thing that stands in backticks at the beginning of a cell; fails when there is none."""
    found = BACKTICKED.match(cell)
    assert found, f"a cell that names nothing: {cell!r}"
    return found[1]


def shell_blocks(text):
    """Return the blocks of shell in `text`."""
    return re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def project_files():
    """Yield every file of the project but for what .gitignore leaves out."""
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    ignored = [line.strip("/") for line in lines if line and not line.startswith("#")] + [".git"]

    def kept(name):
        return not any(fnmatch.fnmatch(name, pattern) for pattern in ignored)

    for folder, folders, names in os.walk(ROOT):
        folders[:] = filter(kept, folders)
        yield from (Path(folder) / name for name in names if kept(name))
