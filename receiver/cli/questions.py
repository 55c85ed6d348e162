"""The commands that ask one question and print its answer."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import click

from receiver.access import Given
from receiver.cli import options
from receiver.cli.source import Source
from receiver.cli.terminal import console, print_json, print_note

Draw = Callable[[Any, Any], None]
"""Draws an answer on a console."""


@click.command()
@click.argument("question", nargs=-1, required=True)
@options.limit(10)
@click.option("--threshold", type=float, help="Least similarity, -1 to 1. [default: query.threshold]")
@click.option("--signal", metavar="SIGNAL", help="Only traces, or only logs.")
@options.min_duration
@options.records
@options.from_source
def search(question: tuple[str, ...], source: Source, as_json: bool, **filters: Any) -> None:
    """Find spans and log records by meaning: the best one of each trace.

    QUESTION is plain words: otlp-receiver search payment failed for a gold customer
    """
    from receiver.cli.tables import draw_search  # noqa: PLC0415 - drawing libraries wait for their command

    print_answer(source, "search", texts_of(q=" ".join(question), **filters), draw_search, as_json)


@click.command()
@click.argument("trace_id")
@click.option("--attributes", is_flag=True, help="Show every attribute of spans, events and log records.")
@click.option("--limit", "-n", type=int, help="Most spans, and most log records. [default: 10000]")
@options.from_source
def trace(trace_id: str, attributes: bool, limit: int | None, source: Source, as_json: bool) -> None:
    """Show one trace as a tree, with its events, links and log records."""
    from receiver.cli.trace_tree import draw_trace  # noqa: PLC0415 - see search

    def draw(out: Any, answer: Any) -> None:
        draw_trace(out, answer, attributes=attributes)

    print_answer(source, "trace", texts_of(trace_id=trace_id, limit=limit), draw, as_json)


@click.command()
@options.limit(20)
@options.min_duration
@options.records
@options.text
@options.from_source
def traces(source: Source, as_json: bool, **filters: Any) -> None:
    """List the traces that have a span that passes the filters, newest first."""
    from receiver.cli.tables import draw_traces  # noqa: PLC0415 - see search

    print_answer(source, "traces", texts_of(**filters), draw_traces, as_json)


@click.command()
@options.from_source
def services(source: Source, as_json: bool) -> None:
    """List the services with exact counts of their records."""
    from receiver.cli.tables import draw_services  # noqa: PLC0415 - see search

    print_answer(source, "services", {}, draw_services, as_json)


@click.command()
@options.limit(50)
@options.records
@click.option(
    "--min-severity", type=int, help="Only of at least this severity_number: 9 INFO, 13 WARN, 17 ERROR."
)
@click.option("--trace-id", metavar="ID", help="Only of this trace.")
@options.text
@options.from_source
def logs(source: Source, as_json: bool, **filters: Any) -> None:
    """List log records, newest first."""
    from receiver.cli.tables import draw_logs  # noqa: PLC0415 - see search

    print_answer(source, "logs", texts_of(**filters), draw_logs, as_json)


@click.command()
@click.argument("name", required=False)
@options.service
@options.since
@options.until
@options.attribute
@click.option("--step", type=float, help="Length of a stretch of time in seconds. [default: 60]")
@click.option(
    "--aggregation", metavar="FIGURE", help="last, avg, min, max, sum, rate, count, p50, p90, p95 or p99."
)
@options.text
@options.from_source
def metrics(name: str | None, source: Source, as_json: bool, **filters: Any) -> None:
    """List the metrics, or with NAME show that one's series over time."""
    from receiver.cli.tables import draw_metric, draw_metrics  # noqa: PLC0415 - see search

    only_list = {"text"}
    only_series = {"since", "until", "attribute", "step", "aggregation"}
    given = texts_of(**filters)
    wrong = sorted(given.keys() & (only_list if name else only_series))
    if wrong:
        where = "does not go with the name of a metric" if name else "needs the name of a metric"
        raise click.UsageError(f"--{wrong[0].replace('_', '-')} {where}")
    if name:
        print_answer(source, "metric", {**given, "name": [name]}, draw_metric, as_json)
    else:
        print_answer(source, "metrics", given, draw_metrics, as_json)


@click.command()
@click.argument("query")
@options.limit(1000)
@options.from_source
def sql(query: str, limit: int, source: Source, as_json: bool) -> None:
    """Ask in SQL, read-only; QUERY - reads it from standard input. docs/schema.md describes the tables."""
    from receiver.cli.tables import draw_sql  # noqa: PLC0415 - see search

    text = sys.stdin.read() if query == "-" else query
    print_answer(source, "sql", texts_of(query=text, limit=limit), draw_sql, as_json)


@click.command()
@options.from_source
def stats(source: Source, as_json: bool) -> None:
    """Show exact counts, the backlog, the quarantine and the sizes on disk."""
    from receiver.cli.tables import draw_stats  # noqa: PLC0415 - see search

    print_answer(source, "stats", {}, draw_stats, as_json)


def texts_of(**values: Any) -> dict[str, list[str]]:
    """Return the options that were given as texts of the question's parameters."""
    given: dict[str, list[str]] = {}
    for name, value in values.items():
        if isinstance(value, tuple):
            if value:
                given[name] = [str(each) for each in value]
        elif value is not None:
            given[name] = [str(value)]
    return given


def print_answer(source: Source, question: str, given: Given, draw: Draw, as_json: bool) -> None:
    """Ask, and print the answer: drawn, or as the API's JSON.

    Raises:
        ReceiverError: Nobody could answer, or the question was refused.
    """
    body = source.ask(question, given)
    if as_json:
        print_json(body)
        return
    answer = json.loads(body)
    draw(console(), answer)
    if answer.get("note"):
        print_note(answer["note"])
    if answer.get("truncated"):
        print_note("there is more than was shown; --limit or a narrower filter changes what is")
