"""``otlp-receiver ingest`` and ``import``: store what session files, traces, exports and files of the Collector hold."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from receiver.cli.options import from_source
from receiver.cli.source import Source
from receiver.cli.terminal import console, escaped, escaped_json, print_note
from receiver.cli.wording import plural, size
from receiver.errors import RetryableError

if TYPE_CHECKING:
    from receiver.sources.ingest import FileProgress, Progress
    from receiver.sources.ingest_report import FileReport, IngestReport

EXIT_PROBLEMS = 1


@click.command()
@click.argument("files", nargs=-1, metavar="FILES...")
@click.option("--follow", "-f", is_flag=True, help="Keep up with files that grow, until it is stopped.")
@click.option(
    "--system-id", metavar="NAME", help="Which system the records come from, where they do not say it."
)
@from_source
def ingest(files: tuple[str, ...], follow: bool, system_id: str | None, source: Source, as_json: bool) -> int:
    """Store what files hold: agents' sessions, traces, and what a Collector wrote.

    FILES are files, folders with all below them, or patterns. What they are is told by their content:
    docs/session-files.md. A file that is read twice adds nothing. Exits with 1 if anything could not be read;
    everything else is stored all the same.
    """
    if not files:
        from receiver.sources.ingest_paths import USUAL_PLACES  # noqa: PLC0415 - only to say it

        raise click.UsageError(f"name files or folders; agents keep theirs in {', '.join(USUAL_PLACES)}")
    if follow:
        return asyncio.run(_follow(files, system_id, source, as_json))
    return _reported(asyncio.run(_ingest(files, system_id, source, as_json)), as_json)


@click.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILES...")
@from_source
def import_(files: tuple[str, ...], source: Source, as_json: bool) -> int:
    """Store the records of files: exports of this program, and files of a Collector.

    FILES are Parquet files of `otlp-receiver export`, OTLP-JSON lines, and what the Collector's file exporter
    writes (JSON or proto, compressed or not); folders and patterns too. A file that is read twice adds nothing. An
    export that is read into the store that it came from is stored a second time. `otlp-receiver ingest` reads
    agents' sessions and traces besides.
    """
    return _reported(asyncio.run(_ingest(files, None, source, as_json, exported=True)), as_json)


def _reported(report: IngestReport, as_json: bool) -> int:
    """Print what became of all files; return the exit code."""
    if as_json:
        _print_json(json.dumps(report.as_json(), ensure_ascii=False))
    else:
        for file in report.files:
            _print_file(file)
        _print_totals(report)
    return 0 if report.ok else EXIT_PROBLEMS


async def _ingest(
    files: tuple[str, ...], system_id: str | None, source: Source, as_json: bool, *, exported: bool = False
) -> IngestReport:
    from receiver.app.request_reader import DecodingRequestReader  # noqa: PLC0415 - brings the decoder
    from receiver.cli.reach import reach  # noqa: PLC0415 - see above
    from receiver.sources.formats import EXPORTED, PARSERS  # noqa: PLC0415 - see above
    from receiver.sources.ingest import ingest_files  # noqa: PLC0415 - see above

    async with reach(source.endpoint, source.data_dir) as access:
        with _bar(wanted=not as_json) as progress:
            report = await ingest_files(
                files,
                access,
                requests=DecodingRequestReader(),
                system_id=system_id,
                progress=progress,
                formats=EXPORTED if exported else PARSERS,
            )
        try:
            await access.flush()  # the next command finds what this one has stored
        except RetryableError as error:
            print_note(f"it is on disk, and cannot be asked yet: {error}")
        return report


async def _follow(files: tuple[str, ...], system_id: str | None, source: Source, as_json: bool) -> int:
    from receiver.app.request_reader import DecodingRequestReader  # noqa: PLC0415 - brings the decoder
    from receiver.cli.reach import reach  # noqa: PLC0415 - see above
    from receiver.sources.follow import follow  # noqa: PLC0415 - see above

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stop.set)
    ok = True
    async with reach(source.endpoint, source.data_dir) as access:
        async for file in follow(
            files, access, requests=DecodingRequestReader(), system_id=system_id, ticks=_until(stop)
        ):
            ok = ok and file.ok
            if as_json:
                _print_json(json.dumps(file.as_json(), ensure_ascii=False))
            else:
                _print_file(file)
    return 0 if ok else EXIT_PROBLEMS


async def _until(stop: asyncio.Event) -> AsyncIterator[None]:
    """Yield every half second until the event is set."""
    from receiver.sources.follow import POLL_S  # noqa: PLC0415 - see above

    while not stop.is_set():
        yield
        try:
            await asyncio.wait_for(stop.wait(), POLL_S)
        except TimeoutError:
            continue


@contextmanager
def _bar(*, wanted: bool) -> Iterator[Progress | None]:
    """Draw how far reading has come, on a terminal only."""
    screen = console(errors=True)
    if not wanted or not screen.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn  # noqa: PLC0415 - see terminal

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(binary_units=True))
    with Progress(*columns, console=screen, transient=True) as drawn:
        task = drawn.add_task("reading…", total=None)

        def show(progress: FileProgress) -> None:
            name = escaped(progress.path.rpartition("/")[2])
            drawn.update(
                task,
                description=f"{progress.number}/{progress.files} {name}",
                completed=progress.bytes_read,
                total=progress.bytes_total,
            )

        yield show


def _print_file(file: FileReport) -> None:
    if file.skipped:
        click.echo(f"{escaped(file.path)}: left out, {escaped(file.skipped)}")
        return
    if file.format is not None:
        said = [*_records(file.records), plural(file.duplicates, "duplicate") if file.duplicates else ""]
        said += [plural(len(file.sessions), "session") if file.sessions else "", size(file.bytes)]
        click.echo(f"{escaped(file.path)}: {file.format}, {', '.join(each for each in said if each)}")
    for problem in file.problems:
        click.echo(f"{escaped(file.path)}: {escaped(problem)}", err=True)
    if file.more_problems:
        click.echo(f"{escaped(file.path)}: {plural(file.more_problems, 'more problem')}", err=True)


def _print_totals(report: IngestReport) -> None:
    bad = sum(1 for file in report.files if not file.ok)
    said = [plural(len(report.files), "file"), *_records(report.records)]
    said += [plural(report.duplicates, "duplicate")] if report.duplicates else []
    said += [f"{plural(bad, 'file')} with problems; the rest is stored"] if bad else []
    click.echo(", ".join(said))


def _records(records: object) -> list[str]:
    assert isinstance(records, dict)  # noqa: S101 - a Counter
    new = [plural(count, f"new {noun.replace('_', ' ')[:-1]}") for noun, count in records.items() if count]
    return new or ["nothing new"]


def _print_json(text: str) -> None:
    click.echo(escaped_json(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()
