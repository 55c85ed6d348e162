"""The table of all faults, for people: what was tried, what it cost, how long it took to get well."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from tests.faults.fault import FaultReport

_HEAD = ("fault", "tried", "acknowledged", "stored", "lost", "duplicated", "healthy after, median / longest")


def markdown_table(reports: Sequence[tuple[str, FaultReport | str]]) -> str:
    """Return a Markdown table; a fault with a text instead of a report was not possible, and the text says why."""
    lines = [_row(_HEAD), _row(["---"] + ["---:"] * (len(_HEAD) - 1))]
    for name, report in reports:
        if isinstance(report, str):
            lines.append(_row([name, f"not possible here: {report}", *[""] * (len(_HEAD) - 2)]))
            continue
        words = name + (f" ({'; '.join(dict.fromkeys(report.notes))})" if report.notes else "")
        counts = (report.tried, report.acknowledged, report.stored, report.lost, report.duplicated)
        lines.append(_row([words, *(f"{count:,}" for count in counts), _seconds(report.healthy_s)]))
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _seconds(each: Sequence[float]) -> str:
    return f"{statistics.median(each):.2f} s / {max(each):.2f} s" if each else "-"
