"""``otlp-receiver healthcheck``: asks /readyz, for containers and scripts."""

from __future__ import annotations

import http.client
import json

import click

from receiver.cli.options import query_listener
from receiver.cli.terminal import escaped
from receiver.client.server import Server
from receiver.errors import QueryError


@click.command()
@query_listener
@click.option("--live", is_flag=True, help="Ask only whether the process lives (/healthz).")
def healthcheck(endpoint: str, live: bool) -> int:
    """Exit with 0 if the receiver is ready, with 1 and the reasons if it is not."""
    path = "/healthz" if live else "/readyz"
    status, body = Server(endpoint).request("GET", path)
    try:
        said = json.loads(body)
        state, problems = str(said["status"]), [str(each) for each in said.get("problems", ())]
    except (ValueError, LookupError, TypeError, AttributeError):
        raise QueryError(f"what answers at {endpoint} is not a receiver (HTTP {status})") from None
    click.echo(escaped(": ".join((state, "; ".join(problems))) if problems else state))
    return 0 if status == http.client.OK else 1
