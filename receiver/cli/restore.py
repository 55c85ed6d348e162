"""``otlp-receiver restore``: puts a backup in place, and says what that costs."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from receiver.cli.terminal import escaped
from receiver.cli.wording import count, plural

if TYPE_CHECKING:
    from receiver.app.restore_plan import RestoreReport

_NOUNS = {"spans": "spans", "log_records": "log records", "metric_points": "metric points"}


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--data-dir", metavar="FOLDER", help="Data directory that the backup is put into.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def restore(folder: Path, data_dir: str | None, as_json: bool) -> None:
    """Put the backup in FOLDER in place; the receiver must not run.

    What was there is moved to before-restore-TIME in the data directory and not deleted. The spool stays in use if
    the backup was made from it, so that what was acknowledged since is stored at the next start, as far as the spool
    still has it; the report says how much that is, and how much is only in the store that was moved aside.
    A restore that was cut short is finished by running the command again.
    """
    from receiver.app.restore import restore as put_back  # noqa: PLC0415 - brings the database with it
    from receiver.settings import load_settings  # noqa: PLC0415 - see above
    from receiver.telemetry.logging import configure_logging  # noqa: PLC0415 - see above

    configure_logging("warning", "text")
    overrides = {"data_dir": data_dir, "log.level": "error"}
    settings = load_settings(config_file=None, overrides=overrides, environ=os.environ)
    report = put_back(settings, folder)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(report)))
    else:
        for line in _lines(report):
            click.echo(escaped(line))


def _lines(report: RestoreReport) -> list[str]:
    lines = []
    if report.finished_earlier:
        lines.append("a restore that had been cut short is finished now; FOLDER was not looked at")
    lines += [
        f"restored: everything acknowledged before {report.moment}, {_records(report.records)}",
    ]
    if report.aside is not None:
        lines.append(f"moved aside, not deleted: {report.aside}")
    if report.aside_store not in {None, report.aside}:
        lines.append(f"the store that was there: {report.aside_store}")
    if report.spool_kept:
        lines.append("the spool stays in use")
    else:
        lines.append("the backup's spool is in use now, under a new identity")
        if report.set_aside_requests is None:
            lines.append("the spool that was moved aside could not be read")
        elif report.set_aside_requests:
            waiting = plural(report.set_aside_requests, "request")
            lines.append(f"{waiting} in the spool that was moved aside are not in this store")
    if report.replayed_requests:
        waiting = plural(report.replayed_requests, "later request")
        lines.append(f"at the next start {waiting} are stored: {_records(report.replayed_records)}")
    if any(report.not_restored.values()):
        lines.append(f"only in the store that was moved aside: {_records(report.not_restored)}")
    if report.missing_requests is not None:
        first, last = report.missing_requests
        lines.append(f"requests {first} to {last} were stored after the backup and have left the spool")
    if report.importable_again:
        lines.append(f"{plural(report.importable_again, 'unit')} imported since can be imported again")
    return lines


def _records(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count(counts.get(key, 0))} {noun}" for key, noun in _NOUNS.items())
