"""Each question of the benchmarks has its module, its row on the page and its section in the results."""

import re

import pytest

from benchmarks.__main__ import QUESTIONS
from tests.docs.pages import ROOT, read, section

RESULTS = "benchmarks/RESULTS.md"


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_is_on_the_page_and_has_figures_with_their_command(name):
    assert f"`benchmarks/{name}.py`" in read("aikb/benchmarks.md")
    module = (ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
    number, question = re.match(r'"""Question (\d+): (.+?)(?:""")?$', module, re.MULTILINE).groups()
    found = section(read(RESULTS), f"{number} {name}")
    assert f"\n\n{question}\n\n" in found
    assert f"`python -m benchmarks {name} " in found
    assert re.search(r"\| (ok|MISSED|reported) \|", found)


def test_a_figure_that_was_missed_says_what_was_tried():
    for found in re.split(r"^## ", read(RESULTS), flags=re.MULTILINE):
        assert "MISSED" not in found or "what was tried" in found, found.splitlines()[0]
