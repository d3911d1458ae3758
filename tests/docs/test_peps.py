"""Proposals: the index has the open ones, LATEST.md the done ones, and each says what it must."""

import re

import pytest

from tests.docs.pages import ROOT, read, rows, section

FOLDERS = sorted(path.name for path in (ROOT / "PEPs").glob("PEP_*"))
LATEST = read("PEPs/IMPLEMENTED/LATEST.md")
DONE = re.findall(r"^## (PEP (\d{4}): .+)$", LATEST, re.MULTILINE)


def test_the_index_has_a_row_for_each_folder():
    listed = [
        (number, re.search(r"\]\((\w+)/summary\.md\)", title)[1]) for number, title, _ in rows(read("PEPs/INDEX.md"))
    ]
    assert listed == [(name.split("_")[1], name) for name in FOLDERS]
    assert all(row[2] for row in rows(read("PEPs/INDEX.md")))


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_proposal_is_a_summary_and_a_plan_with_their_status(folder):
    names = sorted(path.name for path in (ROOT / "PEPs" / folder).iterdir())
    assert names == ["plan.md", "summary.md"]
    number = folder.split("_")[1]
    for name in names:
        text = read(f"PEPs/{folder}/{name}")
        assert text.startswith(f"# PEP {number}: ")
        assert "\nStatus: Proposed\n" in text
    assert "**Alternatives that lost.**" in read(f"PEPs/{folder}/summary.md")
    assert "Way back: " in read(f"PEPs/{folder}/plan.md")


def test_nothing_is_open_and_done():
    assert not {number for _, number in DONE} & {name.split("_")[1] for name in FOLDERS}


def test_what_is_done_stands_newest_first():
    numbers = [number for _, number in DONE]
    assert numbers == sorted(numbers, reverse=True)
    assert {"0008", "0010", "0011", "0012", "0013", "0014", "0015"} <= set(numbers)


@pytest.mark.parametrize("heading", [heading for heading, _ in DONE])
def test_what_is_done_says_why_and_how_and_the_way_back(heading):
    text = section(LATEST, heading)
    assert "\nStatus: Implemented in " in text
    for part in ("Reasons.", "Alternatives that lost.", "How it is known to work.", "The way back."):
        assert f"**{part}**" in text, part


def test_every_number_that_a_page_names_is_a_proposal():
    known = {number for _, number in DONE} | {name.split("_")[1] for name in FOLDERS}
    for page in ("aikb/specs-roadmap.md", "aikb/models.md", "aikb/architecture.md", "CLAUDE.md"):
        assert set(re.findall(r"\b(00\d\d)\b", read(page))) <= known, page
