"""Options that several commands share, declared once."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import click

from receiver.cli.source import DEFAULT_ENDPOINT, ENDPOINT_VARIABLE, Source
from receiver.client import credentials

Command = Callable[..., Any]

_CREDENTIALS = (
    (
        "--token-file",
        credentials.TOKEN_FILE_VARIABLE,
        "File with the token to show, for a receiver that wants one.",
    ),
    (
        "--ca-file",
        credentials.CA_FILE_VARIABLE,
        "PEM file of the authority of an https:// listener's certificate.",
    ),
    ("--client-cert", credentials.CLIENT_CERT_VARIABLE, "PEM file of a certificate of your own to show."),
    (
        "--client-key",
        credentials.CLIENT_KEY_VARIABLE,
        "PEM file of its private key, if that is not beside it.",
    ),
)
"""A token itself is no option: every user of the machine sees the words of a command."""


def _with_credentials(command: Command) -> Command:
    """Add the options of ``receiver.client.credentials``; all connections of the command go by them."""
    for name, variable, text in reversed(_CREDENTIALS):
        command = click.option(
            name,
            metavar="FILE",
            expose_value=False,
            callback=functools.partial(_keep, variable),
            help=f"{text} [env var: {variable}]",
        )(command)
    return command


def _keep(variable: str, _context: click.Context, _option: click.Parameter, value: str | None) -> None:
    if value is not None:
        os.environ[variable] = value


def named_endpoint(command: Command) -> Command:
    """Add ``--endpoint`` and credentials, for commands that may turn to a data directory where nobody answers."""
    option = click.option(
        "--endpoint",
        metavar="URL",
        envvar=ENDPOINT_VARIABLE,
        show_envvar=True,
        help=f"The receiver's query listener. [default: {DEFAULT_ENDPOINT}]",
    )
    return option(_with_credentials(command))


def from_source(command: Command) -> Command:
    """Add ``--endpoint``, ``--data-dir`` and ``--json``; the command gets ``source`` and ``as_json``."""

    @named_endpoint
    @click.option(
        "--data-dir", metavar="FOLDER", help="Data directory to read where no receiver answers for it."
    )
    @click.option("--json", "as_json", is_flag=True, help="Print the API's JSON.")
    @functools.wraps(command)
    def wrapped(endpoint: str | None, data_dir: str | None, **rest: Any) -> Any:
        return command(source=Source(endpoint or None, data_dir), **rest)

    return wrapped


def query_listener(command: Command) -> Command:
    """Add ``--endpoint`` and credentials, for commands that ask a running receiver and nothing else."""
    option = click.option(
        "--endpoint",
        metavar="URL",
        envvar=ENDPOINT_VARIABLE,
        show_envvar=True,
        default=DEFAULT_ENDPOINT,
        show_default=True,
        help="The receiver's query listener.",
    )
    return option(_with_credentials(command))


def limit(default: int) -> Callable[[Command], Command]:
    """Return the option for the most results."""
    return click.option("--limit", "-n", type=int, default=default, show_default=True, help="Most results.")


service = click.option("--service", "-s", metavar="NAME", help="Only this service.name.")
since = click.option(
    "--since", metavar="TIME", help="Only at or after: RFC 3339, Unix seconds, or a time ago such as 15m."
)
until = click.option("--until", metavar="TIME", help="Only before this time.")
status = click.option("--status", metavar="STATUS", help="Only unset, ok or error.")
name = click.option("--name", metavar="NAME", help="Only this span name, or event name of a log record.")
attribute = click.option(
    "--attribute",
    "-a",
    metavar="KEY=VALUE",
    multiple=True,
    help="Only with this attribute, on the record or its resource. May be given several times.",
)
min_duration = click.option(
    "--min-duration", metavar="TIME", help="Only spans that took at least this: 250ms, 1.5s."
)
text = click.option("--text", metavar="TEXT", help="Only with this text in it, whatever the case.")


def records(command: Command) -> Command:
    """Add the filters that spans and log records have in common."""
    for option in reversed((service, since, until, status, name, attribute)):
        command = option(command)
    return command
