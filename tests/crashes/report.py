"""The report of a long run of kills, in Markdown, to be kept beside the tests."""

import os
import platform
import sys
from datetime import UTC, datetime

KILL = "kill -9 at a random moment, start again, judge."


def write_report(options, outcome, *, name="kills", title="Kills", where="", round_is=KILL):
    """Write the report of a run of `tests.crashes.<name>` to `options.report`; `where` says on what it ran."""
    lines = [
        f"# {title}: {outcome.rounds} rounds on {where or options.database}, {len(outcome.faults)} faults",
        "",
        f"{command_line(name)}, seed {options.seed}",
        "",
        when_and_where(outcome.seconds),
        "",
        f"Each round: a mixed load of all clients, {round_is} At the end",
        "all clients finish what they have; then every file, part, counter and event, and the disk after one clean-up,",
        "is compared with what the clients know.",
        "",
        *_table("struck", outcome.kills),
        *_table("what clients did", outcome.done),
        *_table("answers", outcome.statuses),
        f"Bytes of openings that a kill cut short, which go when they are a day old: {outcome.young}.",
        "",
        "## Faults",
        "",
        *([f"- {fault}" for fault in outcome.faults] or ["None."]),
    ]
    options.report.write_text("\n".join(lines) + "\n", encoding="utf-8")


def command_line(name):
    """Return the command that was given, as a line of a report; where the report goes is left out."""
    given = sys.argv[1:]
    if "--report" in given:
        place = given.index("--report")
        del given[place : place + 2]
    return f"`{' '.join(['python', '-m', f'tests.crashes.{name}', *given])}`"


def when_and_where(seconds):
    """Return the line of a report that says when it ran, for how long, and on what."""
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    machine += f", Python {platform.python_version()}"
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {seconds:.0f} s; {machine}."


def write_sweep(options, sweep):
    """Write the report of a sweep over system calls to `options.report`."""
    kinds = sorted({kind for _, kind in sweep.points}, key="kill EIO ENOSPC ECONNRESET".split().index)
    total = sum(sweep.points.values())
    lines = [
        f"# Every call: {total} points on {options.database}, {len(sweep.faults)} faults",
        "",
        command_line("every_call"),
        "",
        when_and_where(sweep.seconds),
        "",
        "A kill stops the process on entering the call; it is counted twice for each call: with everything dead",
        "afterwards, and with another process that goes on first. A failure lets one call fail once; the same process",
        "goes on. Then the client goes on to STORED, and rows, bytes, events and counters are compared with what it",
        "knows.",
        "",
        f"| operation | calls | {' | '.join(kinds)} |",
        f"| --- | ---: | {' | '.join('---:' for _ in kinds)} |",
    ]
    for name, calls in sweep.calls.items():
        lines.append(f"| {name} | {calls} | {' | '.join(str(sweep.points[name, kind]) for kind in kinds)} |")
    lines += ["", "## Faults", "", *([f"- {fault}" for fault in sweep.faults] or ["None."])]
    options.report.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_served(options, kills, missed, log, seconds):
    """Write the report of a thin sweep over HTTP to `options.report`."""
    lines = [
        f"# Calls of the real server: {sum(kills.values())} kills on {options.database}, {len(log.faults)} faults",
        "",
        command_line("served_calls"),
        "",
        when_and_where(seconds),
        "",
        f"{missed} times no thread made so many calls of the kind, and nothing was killed.",
        "",
        *_table("killed in", kills),
        *_table("what the client did", log.done),
        "## Faults",
        "",
        *([f"- {fault}" for fault in log.faults] or ["None."]),
    ]
    options.report.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _table(title, counts):
    rows = sorted(counts.items(), key=lambda item: str(item[0]))
    return [f"| {title} | times |", "| --- | ---: |", *(f"| {name} | {count} |" for name, count in rows), ""]


def write_cases(options, logs, seconds):
    """Write the report of full and failing disks, `{case: ClientLog}`, to `options.report`."""
    faults = [f"{case.__name__}: {fault}" for case, log in logs.items() for fault in log.faults]
    lines = [
        f"# Full and failing disks: {len(logs)} cases on {options.database}, {len(faults)} faults",
        "",
        command_line("full_disks"),
        "",
        when_and_where(seconds),
        "",
        "| case | what | parts | STORED | faults |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for case, log in logs.items():
        lines.append(
            f"| {case.__name__} | {case.__doc__} | {log.done['parts']} | {log.done['STORED']} | {len(log.faults)} |"
        )
    lines += ["", "## Faults", "", *([f"- {fault}" for fault in faults] or ["None."])]
    options.report.write_text("\n".join(lines) + "\n", encoding="utf-8")
