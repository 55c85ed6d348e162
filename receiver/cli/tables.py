"""Answers as tables. Every text of telemetry goes through :func:`receiver.cli.terminal.styled`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from receiver.cli import wording
from receiver.cli.terminal import styled

Answer = Mapping[str, Any]

_NOTHING = "nothing found"
_STATUS = {"error": "bold red", "ok": "green"}
_RECORDS = {"spans": "spans", "log_records": "log records", "metric_points": "metric points"}


def draw_search(out: Console, answer: Answer) -> None:
    """Draw what was found, the most similar first."""
    if not answer["results"]:
        out.print(_NOTHING)
        return
    table = _table("score>", "found", "duration>", "status!")
    for each in answer["results"]:
        found = _joined(
            "  ", styled(each["name"] or _body(each), "bold"), styled(each["service"] or "", "green")
        )
        table.add_row(
            f"{each['similarity']:.3f}",
            _joined("\n", found, styled(each.get("why") or "", "dim"), _when_and_trace(each)),
            wording.duration(each["duration_ms"]),
            status(each["status"]),
        )
    out.print(table)


def draw_traces(out: Console, answer: Answer) -> None:
    """Draw one row per trace: its root span, when, how long."""
    if not answer["traces"]:
        out.print(_NOTHING)
        return
    table = _table("trace", "duration>", "spans>", "errors>")
    for each in answer["traces"]:
        root = styled(each["name"], "italic" if each["root_is_missing"] else "bold")
        found = _joined("  ", root, styled(each["service"] or "", "green"))
        table.add_row(
            _joined("\n", found, _when_and_trace(each)),
            wording.duration(each["duration_ms"]),
            wording.count(each["span_count"]),
            Text(wording.count(each["error_count"]), style="bold red" if each["error_count"] else "dim"),
        )
    out.print(table)


def draw_services(out: Console, answer: Answer) -> None:
    """Draw one row per service."""
    if not answer["services"]:
        out.print(_NOTHING)
        return
    table = _table("service", *(f"{noun}>" for noun in _RECORDS.values()), "first and last!")
    for each in answer["services"]:
        seen = dict.fromkeys(wording.local_time(each[name]) for name in ("first_unix_nano", "last_unix_nano"))
        table.add_row(
            styled(each["service"] or "(no service.name)", "" if each["service"] else "dim"),
            *(wording.count(each[key]) for key in _RECORDS),
            _joined("\n", *(styled(moment) for moment in seen)),
        )
    out.print(table)


def draw_logs(out: Console, answer: Answer) -> None:
    """Draw log records, the newest last: that is where a terminal is read."""
    if not answer["logs"]:
        out.print(_NOTHING)
        return
    table = _table("time!", "severity!", "log record")
    for each in reversed(answer["logs"]):
        origin = _joined(
            "  ",
            styled(each["service"] or "", "green"),
            styled(f"trace {each['trace_id']}" if each["trace_id"] else "", "cyan"),
        )
        table.add_row(
            wording.local_time(each["time_unix_nano"]),
            severity(each),
            _joined("\n", log_text(each), origin),
        )
    out.print(table)


def draw_metrics(out: Console, answer: Answer) -> None:
    """Draw one line per metric."""
    if not answer["metrics"]:
        out.print(_NOTHING)
        return
    table = _table("metric", "type", "unit", "points>")
    for each in answer["metrics"]:
        kind = (
            each["type"] if each["temporality"] == "unspecified" else f"{each['temporality']} {each['type']}"
        )
        services = styled(", ".join(each["services"]), "green")
        table.add_row(
            _joined("\n", styled(each["name"], "bold"), styled(each["description"], "dim"), services),
            styled(kind),
            styled(each["unit"]),
            wording.count(each["points"]),
        )
    out.print(table)


def draw_metric(out: Console, answer: Answer) -> None:
    """Draw each series of a metric as a table of its stretches of time."""
    if not answer["series"]:
        out.print(_NOTHING)
    for series in answer["series"]:
        kind = styled(f"{series['type']} {series['unit']}")
        service = styled(series["service"] or "", "green")
        labels = styled(attributes_text(series["attributes"]), "dim")
        out.print(_joined("  ", styled(answer["name"], "bold"), kind, service, labels))
        figures = [
            name
            for name in dict.fromkeys(key for point in series["points"] for key in point)
            if name not in {"time", "time_unix_nano", "quantiles"}
            and any(point.get(name) is not None for point in series["points"])
        ]
        table = _table("time", *(f"{name}>" for name in figures))
        for point in series["points"]:
            table.add_row(
                wording.local_time(point["time_unix_nano"]),
                *(styled(wording.number(point.get(name))) for name in figures),
            )
        out.print(table)


def draw_sql(out: Console, answer: Answer) -> None:
    """Draw the answer of a SQL statement."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in answer["columns"]:
        table.add_column(styled(name), overflow="fold")
    for row in answer["rows"]:
        table.add_row(
            *(Text("NULL", style="dim") if value is None else styled(_cell(value)) for value in row)
        )
    out.print(table)
    out.print(Text(wording.plural(len(answer["rows"]), "row"), style="dim"))


def draw_stats(out: Console, answer: Answer) -> None:
    """Draw counts, backlog, sizes, and what is wrong."""
    table = _table("service", *(f"{noun}>" for noun in _RECORDS.values()))
    for service, counts in answer["services"].items():
        table.add_row(
            styled(service or "(no service.name)"), *(wording.count(counts[key]) for key in _RECORDS)
        )
    table.add_section()
    totals = (wording.count(answer["records"][key]) for key in _RECORDS)
    table.add_row(Text("all", style="bold"), *totals, style="bold")
    out.print(table)
    for label, text, style in _facts(answer):
        out.print(_joined("", Text(f"{label:<12}"), styled(text, style)))


def _facts(answer: Answer) -> Iterable[tuple[str, str, str]]:
    embedding, database = answer["embedding"], answer["database"]
    yield "traces", f"about {wording.count(answer['traces_estimate'])}", ""
    if embedding["available"]:
        waiting = wording.count(embedding["pending"])
        yield "embedding", f"{wording.count(embedding['embedded'])} texts embedded, {waiting} pending", ""
    else:
        yield "embedding", "not available: search matches words", "yellow"
    yield "database", f"{wording.size(database['bytes'])}, {wording.size(database['used_bytes'])} in use", ""
    if spool := answer["spool"]:
        waiting = wording.plural(spool["not_loaded_requests"], "request")
        yield "spool", f"{waiting} not stored yet, {wording.size(spool['bytes'])} on disk", ""
    if quarantine := answer["quarantine"]:
        bad = quarantine["requests"]
        yield "quarantine", wording.plural(bad, "request"), "bold red" if bad else ""
    if server := answer["server"]:
        up = wording.duration(1000 * server["uptime_s"])
        yield "server", f"up {up}, {wording.size(server['memory_rss_bytes'])} of memory", ""
        for problem in server["problems"]:
            yield "problem", problem, "bold red"


def status(value: Any) -> Text:
    """Return a status; ``unset`` says nothing and is left out."""
    return styled("" if value == "unset" else value, _STATUS.get(str(value), ""))


def severity(record: Answer) -> Text:
    """Return a log record's severity, as its sender names it."""
    number = record["severity_number"]
    style = "bold red" if number >= 17 else "yellow" if number >= 13 else ""
    return styled(record["severity_text"] or number or "", style)


def log_text(record: Answer) -> Text:
    """Return event name and body of a log record on one line."""
    return _joined(" ", styled(record["name"] or "", "bold"), styled(_body(record)))


def attributes_text(attributes: Mapping[str, Any]) -> str:
    """Return attributes on one line."""
    return " ".join(f"{key}={_cell(value)}" for key, value in attributes.items())


def _joined(between: str, *parts: Text) -> Text:
    """Return the parts that are not empty, in one text."""
    return Text(between).join(part for part in parts if part)


def _when_and_trace(record: Answer) -> Text:
    when = styled(wording.local_time(record["time_unix_nano"]), "dim")
    return _joined("  ", when, styled(record["trace_id"] or "", "cyan"))


def _body(record: Answer) -> str:
    body = record.get("body")
    return "" if body is None else _cell(body)


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _table(*headings: str) -> Table:
    """Return a table; ``>`` after a heading aligns right, ``!`` keeps a column whole."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for heading in headings:
        whole = heading[-1] in ">!"
        table.add_column(
            heading.rstrip(">!"),
            justify="right" if heading[-1] == ">" else "left",
            overflow="fold",
            no_wrap=whole,
        )
    return table
