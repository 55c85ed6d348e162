"""``otlp-receiver doctor``: looks at everything and says what to do."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from receiver.cli.config_file import config_file_option
from receiver.cli.options import named_endpoint
from receiver.cli.terminal import escaped
from receiver.cli.wording import plural
from receiver.client.server import Server

if TYPE_CHECKING:
    from receiver.config import Settings


@click.command()
@named_endpoint
@click.option("--data-dir", metavar="FOLDER", help="Data directory to look at.")
@config_file_option
@click.option("--deep", is_flag=True, help="Also read every stored value and load the model.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(
    *, endpoint: str | None, data_dir: str | None, config_file: Path | None, deep: bool, as_json: bool
) -> int:
    """Check settings, store, spool, index, model, ports, disk and permissions; say what to do.

    Changes nothing. A receiver that runs is asked and its files are left alone; without one they are read. Prints a
    line for each thing: ok, warning or problem. Exits with 1 if there is a problem.
    """
    from receiver.app import doctor as app  # noqa: PLC0415 - brings every stage with it
    from receiver.settings import load_settings  # noqa: PLC0415 - see above
    from receiver.telemetry.logging import configure_logging  # noqa: PLC0415 - see above

    configure_logging("error", "text")
    overrides = {"data_dir": data_dir, "log.level": "error"}
    settings = load_settings(config_file=config_file, overrides=overrides, environ=os.environ)
    scheme = "https" if settings.tls.cert_path and "query" in settings.tls.listeners else "http"
    server = Server(endpoint or f"{scheme}://{_query_endpoint(settings)}")
    findings = []
    for each in app.examine(settings, server, deep=deep):
        findings.append(each)
        if not as_json:
            advice = f"; {each.advice}" if each.advice else ""
            click.echo(f"{each.level:<8} {each.subject:<12} {escaped(each.text + advice)}")
    told = app.as_json(findings)
    if as_json:
        click.echo(json.dumps(told))
    else:
        click.echo(f"{plural(told['problems'], 'problem')}, {plural(told['warnings'], 'warning')}")
    return 1 if told["problems"] else 0


def _query_endpoint(settings: Settings) -> str:
    """Return where the query listener is reached from here."""
    from receiver.errors import ConfigError  # noqa: PLC0415 - keeps --help fast
    from receiver.transport.endpoint import parse_endpoint  # noqa: PLC0415 - see above

    text = settings.listen.query_endpoint or "localhost:8888"
    try:
        return str(parse_endpoint(text).from_here)
    except ConfigError:  # a finding of its own
        return text
