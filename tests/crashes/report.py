"""The report of a long run of kills, in Markdown, to be kept beside the tests."""

import os
import platform
from datetime import UTC, datetime


def write_report(options, outcome):
    """Write the report of a run to `options.report`."""
    command = f"python -m tests.crashes.kills --rounds {options.rounds} --clients {options.clients}"
    command += f" --database {options.database} --seed {options.seed}"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    machine += f", Python {platform.python_version()}"
    lines = [
        f"# Kills: {outcome.rounds} rounds on {options.database}, {len(outcome.faults)} faults",
        "",
        f"`{command}`",
        "",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {outcome.seconds:.0f} s; {machine}.",
        "",
        "Each round: a mixed load of all clients, kill -9 at a random moment, start again, judge. At the end all",
        "clients finish what they have; then every file, part, counter and event, and the disk after one clean-up, is",
        "compared with what the clients know.",
        "",
        *_table("killed", outcome.kills),
        *_table("what clients did", outcome.done),
        *_table("answers", outcome.statuses),
        f"Bytes of openings that a kill cut short, which go when they are a day old: {outcome.young}.",
        "",
        "## Faults",
        "",
        *([f"- {fault}" for fault in outcome.faults] or ["None."]),
    ]
    options.report.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _table(title, counts):
    rows = sorted(counts.items(), key=lambda item: str(item[0]))
    return [f"| {title} | times |", "| --- | ---: |", *(f"| {name} | {count} |" for name, count in rows), ""]
