"""``otlp-receiver backup``: a copy of what is stored, made while the receiver works."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from receiver.cli.options import from_source
from receiver.cli.source import Source
from receiver.cli.terminal import escaped, print_note
from receiver.cli.wording import count, plural, size
from receiver.client.server import NoAnswerError
from receiver.errors import StartError

if TYPE_CHECKING:
    from receiver.app.backup_manifest import Manifest


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@from_source
def backup(folder: Path, source: Source, as_json: bool) -> None:
    """Make a backup in FOLDER, which must not exist yet.

    Everything that was acknowledged before the command began is in it; the moment is printed and stands in
    FOLDER/manifest.json. The receiver goes on accepting and storing. The files are copied by this command, so it has
    to run on the receiver's machine, as its user. Where no receiver runs, what waits in the spool is stored first.
    `otlp-receiver restore FOLDER` puts it in place.
    """
    made = _made(source, folder)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(made)))
        return
    spans, logs, points = (count(made.records[name]) for name in ("spans", "log_records", "metric_points"))
    total = sum(each.bytes for each in made.files.values())
    click.echo(f"backup of everything acknowledged before {made.moment}")
    click.echo(f"  {spans} spans, {logs} log records, {points} metric points; {size(total)}")
    if made.waiting_requests:
        click.echo(f"  {plural(made.waiting_requests, 'later request')} in its spool")
    if made.quarantined_requests:
        click.echo(f"  {plural(made.quarantined_requests, 'request')} in quarantine")
    click.echo(f"  in {escaped(folder)}")


def _made(source: Source, folder: Path) -> Manifest:
    from receiver.app.backup import back_up_running, back_up_stopped  # noqa: PLC0415 - brings the database with it

    if source.data_dir is not None and source.endpoint is None:
        settings = source.settings()
        try:
            return back_up_stopped(settings, folder)
        except StartError as held:  # its receiver runs
            try:
                return back_up_running(source.server, folder, expected=settings)
            except NoAnswerError:
                raise held from None
    try:
        return back_up_running(source.server, folder)
    except NoAnswerError as error:
        settings = source.settings()
        if (source.endpoint is not None and source.data_dir is None) or not settings.store_path.is_file():
            raise
        print_note(f"{error.message}; copying {settings.store_path} instead")
        return back_up_stopped(settings, folder)
