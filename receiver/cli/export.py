"""``otlp-receiver export``: writes stored records to files that others, and ``otlp-receiver import``, can read."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from receiver.cli import options
from receiver.cli.source import Source
from receiver.cli.terminal import escaped
from receiver.cli.wording import plural, size
from receiver.signals import Signal

if TYPE_CHECKING:
    from receiver.access import RecordAccess
    from receiver.sinks.export import ExportedFile

_FORMATS = ("parquet", "otlp-json")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "file_format",
    type=click.Choice(_FORMATS),
    default=_FORMATS[0],
    show_default=True,
    help="Parquet, a file a table; or OTLP-JSON lines as a Collector writes them, a file a signal.",
)
@click.option(
    "--signal",
    "signals",
    multiple=True,
    type=click.Choice([signal.value for signal in Signal]),
    help="Only this signal; may be repeated.",
)
@options.since
@options.until
@click.option("--replace", is_flag=True, help="Overwrite the files of an earlier export.")
@options.from_source
def export(
    folder: Path,
    *,
    file_format: str,
    signals: tuple[str, ...],
    since: str | None,
    until: str | None,
    replace: bool,
    source: Source,
    as_json: bool,
) -> None:
    """Write stored records to files in FOLDER.

    Everything acknowledged before the call is in them. A file has its name only when it is complete, and only its
    owner may read it. docs/exports.md says what is in the files; `otlp-receiver import` reads them.
    """
    from receiver.sinks.export import ExportFormat, export_records  # noqa: PLC0415 - brings Arrow
    from receiver.times import time_ns  # noqa: PLC0415 - only this needs it

    now_ns = time.time_ns()
    files = asyncio.run(
        _with_access(
            source,
            lambda access: export_records(
                access,
                folder,
                file_format=ExportFormat(file_format),
                signals=[Signal(each) for each in signals] or tuple(Signal),
                since_ns=None if since is None else time_ns(since, now_ns=now_ns),
                until_ns=None if until is None else time_ns(until, now_ns=now_ns),
                replace=replace,
                finished=None if as_json else _say,
            ),
        )
    )
    if as_json:
        shown = [
            {"path": str(file.path), "signal": file.signal, "records": file.records, "bytes": file.bytes}
            for file in files
        ]
        click.echo(json.dumps({"files": shown}, ensure_ascii=False))
    elif not files:
        click.echo("nothing to export")


async def _with_access(
    source: Source, work: Callable[[RecordAccess], Awaitable[list[ExportedFile]]]
) -> list[ExportedFile]:
    from receiver.cli.reach import reach  # noqa: PLC0415 - brings every stage with it

    async with reach(source.endpoint, source.data_dir) as access:
        return await work(access)


def _say(file: ExportedFile) -> None:
    noun = file.signal.records.replace("_", " ")[:-1]
    click.echo(f"{escaped(file.path)}: {plural(file.records, noun)}, {size(file.bytes)}")
