"""The commands that look into something: one trace, two traces, a stretch of time."""

from __future__ import annotations

from typing import Any

import click

from receiver.cli import options
from receiver.cli.questions import print_answer, texts_of
from receiver.cli.source import Source


@click.command()
@click.argument("trace_id")
@options.limit(10)
@options.from_source
def outline(trace_id: str, limit: int, source: Source, as_json: bool) -> None:
    """Show what matters of a trace: critical path, first failures, slowest spans, repetitions."""
    from receiver.cli.investigation_tables import draw_outline  # noqa: PLC0415 - see receiver.cli.questions

    print_answer(source, "outline", texts_of(trace_id=trace_id, limit=limit), draw_outline, as_json)


@click.command()
@click.argument("a")
@click.argument("b")
@options.limit(10)
@options.from_source
def compare(a: str, b: str, limit: int, source: Source, as_json: bool) -> None:
    """Compare trace B with trace A: structure, durations, errors, attributes of their roots."""
    from receiver.cli.investigation_tables import draw_comparison  # noqa: PLC0415 - see receiver.cli.questions

    print_answer(source, "compare", texts_of(a=a, b=b, limit=limit), draw_comparison, as_json)


@click.command()
@click.argument("service", required=False)
@click.option(
    "--since",
    metavar="TIME",
    help="Where the window begins, RFC 3339, Unix seconds, or a time ago such as 15m. [default: 1h]",
)
@click.option("--until", metavar="TIME", help="Where the window ends. [default: now]")
@click.option(
    "--baseline-since", metavar="TIME", help="Where the baseline begins. [default: as long as the window]"
)
@click.option(
    "--baseline-until", metavar="TIME", help="Where the baseline ends. [default: where the window begins]"
)
@options.limit(5)
@options.from_source
def investigate(source: Source, as_json: bool, **asked: Any) -> None:
    """Find what changed, what failed and where: of SERVICE, or of all, against the time before."""
    from receiver.cli.investigation_tables import draw_investigation  # noqa: PLC0415 - see receiver.cli.questions

    print_answer(source, "investigate", texts_of(**asked), draw_investigation, as_json)
