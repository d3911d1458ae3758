"""benchmarks/RESULTS.md: one section a question, each with its date, command and load; a run replaces its own."""

import re
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import version_of

PAGE = Path(__file__).resolve().parent / "RESULTS.md"
HEAD = """# Results

Written by `make bench`, a section for each question; a run replaces the sections of its questions. A figure is a
ratio of medians within one run, whose rounds alternate. CPU is user and system time of the server's processes.
What was learned is in [aikb/benchmarks.md](../aikb/benchmarks.md).
"""
QUERIES = """## 8 queries

Queries per call: counted and held by tests, `tests/services/test_query_counts.py` and
`tests/views/test_query_counts.py`; the table is in [aikb/benchmarks.md](../aikb/benchmarks.md#queries-per-call).
"""


def write(question, answer, *, run, machine, started, load):
    """Put the section of `question` (a module) in its place in the page."""
    sections = _sections(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else {}
    number = re.match(r"Question (\d+)", question.__doc__)[1]
    name = f"{number} {question.__name__.rpartition('.')[2]}"
    sections[name] = _section(name, question, answer, run, machine, started, load)
    sections["8 queries"] = QUERIES
    PAGE.write_text("\n".join([HEAD, *(sections[name] for name in sorted(sections, key=_number))]), encoding="utf-8")


def _number(name):
    return int(name.split()[0])


def _sections(text):
    found = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return {section.splitlines()[0].removeprefix("## "): section.rstrip("\n") + "\n" for section in found}


def _section(name, question, answer, run, machine, started, load):
    command = f"python -m benchmarks {name.split()[1]} --rounds {run.rounds}" + (
        f" --files {run.files}" if run.files else ""
    )
    date = datetime.fromtimestamp(started, UTC).strftime("%Y-%m-%d %H:%M UTC")
    rows = [
        f"| {figure.what} | {figure.value:.2f} {figure.unit} | {figure.limit} | {figure.verdict} | {figure.detail} |"
        for figure in answer.figures
    ]
    lines = [
        f"## {name}",
        "",
        question.__doc__.splitlines()[0].partition(": ")[2],
        "",
        f"- {date}, `{command}`; load average {load:.1f} before{_quiet(load)}",
        f"- {machine}",
        f"- {_versions()}",
        "",
        "| figure | measured | bound | | of what |",
        "| --- | --- | --- | --- | --- |",
        *rows,
        "",
        *(f"- {note}" for note in answer.notes),
    ]
    missed = [figure.what for figure in answer.figures if figure.verdict == "MISSED"]
    if missed and getattr(question, "TRIED", ""):
        lines += ["", question.TRIED.strip()]
    return "\n".join(lines).rstrip("\n") + "\n"


def _quiet(load):
    return "" if load < 0.8 else ": other work ran beside it"


def _versions():
    ours = ", ".join(f"{name} {version(name)}" for name in ("Django", "granian", "psycopg", "blake3"))
    node, openssl = version_of("node", "--version"), version_of("openssl", "version")
    others = [node and f"Node {node}", openssl and openssl.partition(" (")[0]]
    return ", ".join([f"Python {'.'.join(map(str, sys.version_info[:3]))}", ours, *filter(None, others)])
