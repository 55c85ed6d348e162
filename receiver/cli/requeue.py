"""``otlp-receiver requeue``: gives requests in quarantine another try."""

from __future__ import annotations

import json

import click

from receiver.cli.options import from_source
from receiver.cli.source import Source
from receiver.cli.terminal import print_note
from receiver.cli.wording import plural
from receiver.client.server import NoAnswerError
from receiver.errors import StartError


@click.command()
@from_source
def requeue(source: Source, as_json: bool) -> None:
    """Put every quarantined request back into the queue.

    The running receiver does it at once. Where none runs, the spool of the data directory is changed, and the
    requests are tried at the next start.
    """
    count = _requeued(source)
    if as_json:
        click.echo(json.dumps({"requeued": count}))
    else:
        click.echo(f"{plural(count, 'request')} put back into the queue")


def _requeued(source: Source) -> int:
    from receiver.app.direct import requeue_directly  # noqa: PLC0415 - brings the database with it

    if source.data_dir is not None and source.endpoint is None:
        try:
            return requeue_directly(source.settings())
        except StartError as held:  # its receiver runs
            try:
                return _asked(source)
            except NoAnswerError:
                raise held from None
    try:
        return _asked(source)
    except NoAnswerError as error:
        settings = source.settings()
        if (source.endpoint is not None and source.data_dir is None) or not settings.spool_path.is_file():
            raise
        print_note(f"{error.message}; changing {settings.spool_path} instead")
        return requeue_directly(settings)


def _asked(source: Source) -> int:
    return int(json.loads(source.server.ask("requeue", {}))["requeued"])
