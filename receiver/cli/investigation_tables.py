"""Outlines, comparisons and investigations as text: sentences first, then a table for each list that is not empty."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from receiver.cli import wording
from receiver.cli.terminal import styled

Answer = Mapping[str, Any]
Cell = Callable[[Answer], Any]
Columns = Mapping[str, Cell]


def draw_outline(out: Console, answer: Answer) -> None:
    """Draw the totals of a trace, its critical path, and its lists."""
    out.print(_outline_heading(answer))
    for sentence in answer["broken"]:
        out.print(styled(sentence, "yellow"))
    path = answer["critical_path"]
    whole = f"critical path, {wording.duration(path['duration_ms'])}"
    _section(out, whole, path["spans"], _PATH)
    if path["span_count"] > len(path["spans"]):
        _section(out, "critical path by operation", path["operations"], _PATH_OPERATIONS)
    for name, (title, columns) in _OUTLINE.items():
        _section(out, title, answer[name], columns, answer["cut"].get(name, 0))


def draw_comparison(out: Console, answer: Answer) -> None:
    """Draw what differs between two traces."""
    for letter in ("a", "b"):
        side = answer[letter]
        out.print(
            styled(f"{letter} {side['trace_id']}", "bold cyan"),
            styled(f"{side['service'] or ''}: {side['name']}"),
            wording.duration(side["duration_ms"]),
            wording.plural(side["span_count"], "span"),
            wording.plural(side["error_count"], "error"),
        )
    _sentences(out, answer["summary"])
    for name, (title, columns) in _COMPARISON.items():
        _section(out, title, answer[name], columns, answer["cut"].get(name, 0))


def draw_investigation(out: Console, answer: Answer) -> None:
    """Draw what changed, what failed and where."""
    window, baseline, totals = answer["window"], answer["baseline"], answer["totals"]
    for title, each, sums in (
        ("window", window, totals["window"]),
        ("baseline", baseline, totals["baseline"]),
    ):
        out.print(
            styled(f"{title:<9}", "bold"),
            f"{wording.local_time(each['since_unix_nano'])} to {wording.local_time(each['until_unix_nano'])}",
            wording.plural(sums["spans"], "span"),
            wording.plural(sums["errors"], "error"),
        )
    _sentences(out, answer["summary"])
    for name, (title, columns) in _INVESTIGATION.items():
        _section(out, title, answer[name], columns, answer["cut"].get(name, 0))


def _outline_heading(answer: Answer) -> Text:
    text = Text().append_text(styled(f"trace {answer['trace_id']}", "bold cyan"))
    text.append_text(styled(f"  {answer['service'] or ''}: {answer['name']}", "bold"))
    text.append(
        f"  {wording.duration(answer['duration_ms'])}  {wording.plural(answer['span_count'], 'span')}"
    )
    if answer["error_count"]:
        text.append_text(styled(f"  {wording.plural(answer['error_count'], 'error')}", "bold red"))
    return text


def _sentences(out: Console, sentences: Sequence[str]) -> None:
    for sentence in sentences:
        out.print(styled(f"- {sentence}"))


def _section(out: Console, title: str, rows: Sequence[Answer], columns: Columns, more: int = 0) -> None:
    if not rows:
        return
    out.print(Text(f"\n{title}", style="bold"))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for heading in columns:
        table.add_column(
            heading.rstrip(">"),
            justify="right" if heading.endswith(">") else "left",
            overflow="fold",
            no_wrap=heading.endswith(">"),
        )
    for row in rows:
        table.add_row(*(_drawn(cell(row)) for cell in columns.values()))
    out.print(table)
    if more:
        out.print(Text(f"and {more:,} more", style="dim"))


def _drawn(value: Any) -> Text:
    """Return a cell; a list is its lines."""
    return Text("\n").join(styled(each) for each in (value if isinstance(value, list) else [value]))


def _text(name: str) -> Cell:
    return lambda row: "" if row[name] is None else row[name]


def _duration(*names: str) -> Cell:
    return lambda row: wording.duration(_at(row, names))


def _count(*names: str) -> Cell:
    return lambda row: wording.count(_at(row, names))


def _at(row: Any, names: Sequence[str]) -> Any:
    for name in names:
        row = row[name]
    return row


def _share(row: Answer) -> str:
    return f"{row['share']:.0%}"


def _operation(row: Answer) -> str:
    return f"{row['service'] or ''}: {row['name']}"


def _way(row: Answer) -> str:
    return " > ".join(row["way"])


def _difference(name: str) -> Cell:
    def cell(row: Answer) -> str:
        value = row[name]
        return ("-" if value < 0 else "+") + wording.duration(abs(value))

    return cell


def _reason(row: Answer) -> str:
    thrown = row["exception"] or {}
    said = (thrown.get("type"), row["status_message"] or thrown.get("message"))
    return ": ".join(str(part) for part in said if part)


def _reason_and_logs(row: Answer) -> list[str]:
    return [part for part in (_reason(row), *(each["body"] for each in row["logs"])) if part]


def _said(row: Answer) -> str:
    return ": ".join(part for part in (row["type"], row["message"]) if part)


def _traces(row: Answer) -> list[str]:
    return list(row["trace_ids"])


def _rate(side: str) -> Cell:
    return lambda row: f"{row[side]['error_rate']:.2%} of {row[side]['count']:,}"


def _calls(side: str) -> Cell:
    return lambda row: f"{row[side]['calls']:,} calls, {row[side]['errors']:,} errors"


def _tokens(side: str) -> Cell:
    return lambda row: wording.count(row[side]["input_tokens"] + row[side]["output_tokens"])


_PATH: Columns = {
    "span": _operation,
    "self>": _duration("self_ms"),
    "share>": _share,
    "after>": _duration("offset_ms"),
    "span id": _text("span_id"),
}
_PATH_OPERATIONS: Columns = {
    "operation": _operation, "spans>": _count("count"), "self>": _duration("self_ms"), "share>": _share,
}  # fmt: skip
_SUMS: Columns = {
    "spans>": _count("spans"),
    "errors>": _count("errors"),
    "total>": _duration("total_ms"),
    "self>": _duration("self_ms"),
}
_OUTLINE: Mapping[str, tuple[str, Columns]] = {
    "errors": ("first failures", {"way": _way, "reason": _reason_and_logs, "times>": _count("count")}),
    "error_logs": ("error logs of no failed span", {"service": _text("service"), "log record": _text("body")}),
    "slowest_spans": (
        "slowest spans",
        {"span": _operation, "self>": _duration("self_ms"), "total>": _duration("duration_ms"),
         "span id": _text("span_id")},
    ),
    "repeated": (
        "repeated under one parent",
        {
            "parent": lambda row: f"{row['parent_service']}: {row['parent_name']}",
            "span": _operation,
            "spans>": _count("count"),
            "most>": _count("most_under_one"),
            "total>": _duration("total_ms"),
        },
    ),
    "services": ("services", {"service": _text("service"), **_SUMS}),
    "operations": ("operations", {"operation": _operation, **_SUMS}),
    "models": (
        "models",
        {"model": _text("model"), "calls>": _count("calls"), "input>": _count("input_tokens"),
         "output>": _count("output_tokens")},
    ),
}  # fmt: skip
_CHANGED: Columns = {
    "way": _way,
    "a>": _duration("a", "total_ms"),
    "b>": _duration("b", "total_ms"),
    "in itself>": _difference("self_difference_ms"),
    "spans a>": _count("a", "count"),
    "spans b>": _count("b", "count"),
}
_ONLY: Columns = {
    "way": _way, "spans>": _count("count"), "below>": _count("spans_below"), "total>": _duration("total_ms"),
}  # fmt: skip
_FAILED: Columns = {"way": _way, "reason": _reason, "errors>": _count("errors")}
_COMPARISON: Mapping[str, tuple[str, Columns]] = {
    "slower": ("slower in b", _CHANGED),
    "faster": ("faster in b", _CHANGED),
    "counts": ("other numbers of spans", _CHANGED),
    "only_in_a": ("only in a", _ONLY),
    "only_in_b": ("only in b", _ONLY),
    "errors_only_in_a": ("failed in a only", _FAILED),
    "errors_only_in_b": ("failed in b only", _FAILED),
    "attributes": (
        "attributes of the roots",
        {"attribute": _text("key"), "of": _text("of"), "a": _text("a"), "b": _text("b")},
    ),
}
_PRESENT: Columns = {
    "operation": _operation, "spans>": _count("count"), "p95>": _duration("p95_ms"), "traces": _traces,
}  # fmt: skip
_FAILURES: Columns = {
    "error": _said,
    "count>": _count("count"),
    "before>": _count("baseline_count"),
    "services": lambda row: ", ".join(row["services"]),
    "traces": _traces,
}
_INVESTIGATION: Mapping[str, tuple[str, Columns]] = {
    "error_rates": (
        "error rates",
        {"operation": _operation, "now": _rate("window"), "before": _rate("baseline"), "traces": _traces},
    ),
    "latency": (
        "durations",
        {
            "operation": _operation,
            "change": _text("change"),
            "p95>": _duration("window", "p95_ms"),
            "before>": _duration("baseline", "p95_ms"),
            "spans>": _count("window", "count"),
            "traces": _traces,
        },
    ),
    "origins": (
        "where failed traces failed first",
        {
            "operation": _operation,
            "message": _text("message"),
            "traces>": _count("traces"),
            "examples": _traces,
        },
    ),
    "errors": ("errors", _FAILURES),
    "new_error_logs": ("new error logs", _FAILURES),
    "deployments": (
        "deployments",
        {
            "service": _text("service"),
            "attribute": _text("attribute"),
            "value": _text("value"),
            "before": lambda row: ", ".join(row["before"]),
            "since": lambda row: wording.local_time(row["first_unix_nano"]),
        },
    ),
    "new_operations": ("new operations", _PRESENT),
    "vanished_operations": ("vanished operations", _PRESENT),
    "models": (
        "models",
        {
            "model": _text("model"),
            "now": _calls("window"),
            "before": _calls("baseline"),
            "tokens>": _tokens("window"),
            "tokens before>": _tokens("baseline"),
        },
    ),
}
