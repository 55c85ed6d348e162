"""The commands that show what agents did: all sessions, or one with its turns and calls."""

from __future__ import annotations

from typing import Any

import click

from receiver.cli import options
from receiver.cli.questions import print_answer, texts_of
from receiver.cli.source import Source


@click.command()
@options.limit(20)
@options.service
@options.since
@options.until
@options.from_source
def sessions(source: Source, as_json: bool, **filters: Any) -> None:
    """List the sessions of agents: turns, calls, errors, tokens and cost, the latest first."""
    from receiver.cli.session_tables import draw_sessions  # noqa: PLC0415 - see receiver.cli.questions

    print_answer(source, "sessions", texts_of(**filters), draw_sessions, as_json)


@click.command()
@click.argument("session_id", metavar="ID")
@click.option("--limit", "-n", type=int, help="Most records that are read of it. [default: 100000]")
@options.from_source
def session(session_id: str, limit: int | None, source: Source, as_json: bool) -> None:
    """Show one session of an agent: its turns, their model and tool calls, tokens and cost.

    ID may be cut to its first 6 characters or more. An amount that was not reported by the agent, but estimated from
    the price table, stands behind ~.
    """
    from receiver.cli.session_tables import draw_session  # noqa: PLC0415 - see receiver.cli.questions

    print_answer(source, "session", texts_of(session_id=session_id, limit=limit), draw_session, as_json)
