"""One trace as an indented tree: spans by time under their parents, events and log records under their span."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from receiver.cli import wording
from receiver.cli.tables import attributes_text, log_text, severity
from receiver.cli.terminal import styled

Span = Mapping[str, Any]

_DEEPEST = 24
"""Levels that are indented; below, the level stands as a number, because a line has an end."""


def draw_trace(out: Console, answer: Mapping[str, Any], *, attributes: bool = False) -> None:
    """Draw the trace; a span's line has its offset from the start of the trace, its duration, name and service."""
    out.print(_heading(answer))
    started = min((_time(span) for span in answer["roots"] if _time(span)), default=0)
    for span in in_order(answer["roots"]):
        out.print(_span_line(span, started), soft_wrap=True)
        indent = f"{'':>22}{_indent(span['depth'])}  "
        for line in _below(span, started, attributes=attributes):
            out.print(Text(indent).append_text(line), soft_wrap=True)
    for record in answer["logs"]:
        out.print(Text("log ").append_text(_log_line(record, attributes=attributes)), soft_wrap=True)


def in_order(roots: list[Any]) -> Iterator[Span]:
    """Yield every span, parents before their children."""
    waiting = list(reversed(roots))
    while waiting:
        span = waiting.pop()
        yield span
        waiting.extend(reversed(span["children"]))


def _heading(answer: Mapping[str, Any]) -> Text:
    counted = [
        wording.plural(answer["span_count"], "span"),
        wording.plural(answer["log_count"], "log record"),
    ]
    text = Text().append_text(styled(f"trace {answer['trace_id']}", "bold cyan"))
    text.append_text(styled(f"  {', '.join(counted)}  {', '.join(answer['services'])}"))
    if answer["error_count"]:
        text.append_text(styled(f"  {wording.plural(answer['error_count'], 'error')}", "bold red"))
    first = min((_time(span) for span in answer["roots"] if _time(span)), default=None)
    return text.append_text(styled(f"  {wording.local_time(first)}", "dim"))


def _span_line(span: Span, started: int) -> Text:
    failed = span["status"] == "error"
    line = Text(f"{_offset(_time(span), started):>10} {wording.duration(span['duration_ms']):>10} ")
    line.append(_indent(span["depth"]))
    line.append_text(styled(span["name"] or "(no name)", "bold red" if failed else "bold"))
    line.append_text(styled(f"  {span['service'] or ''}", "green"))
    line.append_text(styled(f"  {span['kind']}" if span["kind"] != "internal" else "", "dim"))
    if failed:
        line.append_text(styled(f"  error: {span['status_message']}".rstrip(": "), "bold red"))
    for mark, meaning in (
        ("orphan", "its parent is missing"),
        ("cycle", "its parents form a circle"),
        ("continued", "goes on from the level above"),
    ):
        if span.get(mark):
            line.append_text(styled(f"  ({meaning})", "yellow"))
    return line


def _below(span: Span, started: int, *, attributes: bool) -> Iterator[Text]:
    if attributes and span["attributes"]:
        yield styled(attributes_text(span["attributes"]), "dim")
    for event in span["events"]:
        yield _event_line(event, started, attributes=attributes)
    for link in span["links"]:
        yield styled(f"linked to trace {link['trace_id']} span {link['span_id']}", "cyan")
    for record in span["logs"]:
        yield _log_line(record, attributes=attributes)


def _event_line(event: Mapping[str, Any], started: int, *, attributes: bool) -> Text:
    values = event["attributes"] or {}
    failed = event["name"] == "exception"
    line = Text(f"{_offset(int(event['time_unix_nano']), started)} ")
    line.append_text(styled(event["name"], "bold red" if failed else "bold"))
    if failed:
        said = (values.get("exception.type"), values.get("exception.message"))
        line.append_text(styled(" " + ": ".join(str(part) for part in said if part), "red"))
    if attributes:
        line.append_text(styled(f" {attributes_text(values)}", "dim"))
    return line


def _log_line(record: Mapping[str, Any], *, attributes: bool) -> Text:
    line = Text().append_text(severity(record)).append(" ").append_text(log_text(record))
    if attributes:
        line.append_text(styled(f" {attributes_text(record['attributes'] or {})}", "dim"))
    return line


def _indent(depth: int) -> str:
    return "  " * depth if depth <= _DEEPEST else f"{'  ' * _DEEPEST}[{depth}] "


def _time(span: Span) -> int:
    return int(span["time_unix_nano"])


def _offset(time: int, started: int) -> str:
    sign = "+" if time >= started else "-"
    return sign + wording.duration(abs(time - started) / 1_000_000)
