"""The commands that look into something: one trace, two traces, a stretch of time."""

from __future__ import annotations

import click

from receiver.cli import options
from receiver.cli.questions import answer, given
from receiver.cli.source import Source


@click.command()
@click.argument("trace_id")
@options.limit(10)
@options.from_source
def outline(trace_id: str, limit: int, source: Source, as_json: bool) -> None:
    """Show what matters of a trace: critical path, first failures, slowest spans, repetitions."""
    from receiver.cli.investigation_tables import draw_outline  # noqa: PLC0415 - see receiver.cli.questions

    answer(source, "outline", given(trace_id=trace_id, limit=limit), draw_outline, as_json)


@click.command()
@click.argument("a")
@click.argument("b")
@options.limit(10)
@options.from_source
def compare(a: str, b: str, limit: int, source: Source, as_json: bool) -> None:
    """Compare trace B with trace A: structure, durations, errors, attributes of their roots."""
    from receiver.cli.investigation_tables import draw_comparison  # noqa: PLC0415 - see receiver.cli.questions

    answer(source, "compare", given(a=a, b=b, limit=limit), draw_comparison, as_json)


@click.command()
@click.argument("service", required=False)
@click.option("--since", metavar="TIME", help="Where the window begins, as in logs. [default: 1h]")
@click.option("--until", metavar="TIME", help="Where the window ends. [default: now]")
@click.option(
    "--baseline-since", metavar="TIME", help="Where the baseline begins. [default: as long as the window]"
)
@click.option(
    "--baseline-until", metavar="TIME", help="Where the baseline ends. [default: where the window begins]"
)
@options.limit(5)
@options.from_source
def investigate(
    service: str | None,
    since: str | None,
    until: str | None,
    baseline_since: str | None,
    baseline_until: str | None,
    limit: int,
    source: Source,
    as_json: bool,
) -> None:
    """Find what changed, what failed and where: of SERVICE, or of all, against the time before."""
    from receiver.cli.investigation_tables import draw_investigation  # noqa: PLC0415 - see receiver.cli.questions

    asked = given(
        service=service,
        since=since,
        until=until,
        baseline_since=baseline_since,
        baseline_until=baseline_until,
        limit=limit,
    )
    answer(source, "investigate", asked, draw_investigation, as_json)


COMMANDS: tuple[click.Command, ...] = (outline, compare, investigate)
