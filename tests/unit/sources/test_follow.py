"""Files that grow, are rotated, appear and end, looked at tick by tick."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from receiver.app.request_reader import DecodingRequestReader
from receiver.signals import Signal
from receiver.sources.follow import follow
from receiver.sources.ingest_report import FileReport
from tests.support.session_files import KeptUnits, otlp_line, spans_of, usual_session

LINES = [otlp_line(Signal.LOGS, number) for number in range(9)]


class Following:
    """Follows paths; between two looks the test changes something."""

    def __init__(self, *paths: Path | str) -> None:
        """Follow these paths, at a time when every file is new."""
        self.access = KeptUnits()
        self.now_s = 0.0
        self.last: dict[str, FileReport] = {}
        self.seen: list[int] = []
        self._paths = paths

    async def run(self, *changes: Callable[[], object]) -> None:
        """Look, make the first change, look again, and so on; then stop."""

        async def ticks() -> AsyncIterator[None]:
            yield
            for change in changes:
                self.seen.append(len(self.access.units))
                await asyncio.to_thread(change)
                yield
            self.seen.append(len(self.access.units))

        async for report in follow(
            self._paths,
            self.access,
            requests=DecodingRequestReader(),
            ticks=ticks(),
            clock=lambda: self.now_s,
        ):
            self.last[Path(report.path).name] = report


def append(path: Path, *data: bytes) -> Callable[[], object]:
    """Return what writes behind the end of a file."""

    def write() -> None:
        with path.open("ab") as out:
            out.write(b"".join(data))

    return write


def nothing() -> None:
    """Change nothing."""


async def test_what_is_appended_is_stored_at_the_next_look(tmp_path: Path) -> None:
    """Also a line that comes in two parts, and nothing is stored before it is whole."""
    path = tmp_path / "otel.jsonl"
    append(path, *LINES[:2])()
    following = Following(path)
    await following.run(append(path, LINES[2], LINES[3][:50]), append(path, LINES[3][50:]), nothing)
    assert following.seen == [2, 3, 4, 4]
    assert following.last["otel.jsonl"].ok


async def test_a_renamed_file_goes_on_and_the_new_one_of_its_name_begins(tmp_path: Path) -> None:
    """Rotation by renaming loses no line, also of those that were written just before; nothing is read twice."""
    path, old = tmp_path / "otel.log", tmp_path / "otel-1.log"
    append(path, LINES[0])()
    following = Following(tmp_path)

    def rotate() -> None:
        append(path, LINES[1])()
        path.rename(old)
        append(path, LINES[2])()
        append(old, LINES[3])()

    await following.run(rotate, append(path, LINES[4]))
    assert following.seen == [1, 4, 5]
    assert sum(report.duplicates for report in following.last.values()) == 0


async def test_a_file_that_was_moved_out_of_sight_is_read_to_its_end(tmp_path: Path) -> None:
    """What was written before the move is stored, though nothing of that name is there."""
    path = tmp_path / "otel.log"
    append(path, LINES[0])()
    following = Following(path)

    def rotate() -> None:
        append(path, LINES[1])()
        path.rename(tmp_path / "away")

    await following.run(rotate, append(path, LINES[2]))
    assert following.seen == [1, 2, 3]


async def test_a_file_that_was_copied_and_cut_is_read_anew(tmp_path: Path) -> None:
    """copytruncate: also where the file has grown beyond its old length by the next look."""
    path = tmp_path / "otel.log"
    append(path, *LINES[:2])()
    following = Following(path)

    def cut(*lines: bytes) -> Callable[[], object]:
        return lambda: path.write_bytes(b"".join(lines))

    await following.run(cut(LINES[2]), cut(*LINES[3:7]))
    assert following.seen == [2, 3, 7]


async def test_a_file_that_appears_is_found(tmp_path: Path) -> None:
    """By its name, by a pattern, and in a folder; a missing one that was named is said once."""
    named, other = tmp_path / "named.jsonl", tmp_path / "new" / "other.jsonl"
    following = Following(named, f"{tmp_path}/n*/*.jsonl")

    def appear() -> None:
        other.parent.mkdir()
        append(other, LINES[0])()

    await following.run(nothing, appear, append(named, LINES[1]))
    assert following.seen == [0, 0, 1, 2]
    assert following.last["named.jsonl"].ok


async def test_an_open_turn_goes_out_when_the_session_is_over(tmp_path: Path) -> None:
    """Ten minutes without a change end a session; what comes later still is stored once."""
    path = tmp_path / "session.jsonl"
    data = usual_session().data
    append(path, data)()
    following = Following(path)
    following.now_s = path.stat().st_mtime

    def wait() -> None:
        following.now_s += 601

    await following.run(nothing, wait, append(path, b""))
    assert following.seen == [9, 9, 11, 11]
    assert [span.kind for span in spans_of(list(following.access.units.values())[-2:])] == ["call", "turn"]


async def test_what_is_open_goes_out_at_the_stop(tmp_path: Path) -> None:
    """The end of the ticks, and a cancellation, store the open turn."""
    path = tmp_path / "session.jsonl"
    append(path, usual_session().data)()
    ended = Following(path)
    await ended.run()
    assert (ended.seen, len(ended.access.units)) == ([9], 11)
    access, looked = KeptUnits(), asyncio.Event()

    async def forever() -> AsyncIterator[None]:
        yield
        looked.set()
        await asyncio.Event().wait()

    async def task() -> None:
        async for _ in follow(
            [path], access, requests=DecodingRequestReader(), ticks=forever(), clock=lambda: 0.0
        ):
            pass

    running = asyncio.create_task(task())
    await looked.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(access.units) == 11


async def test_a_file_that_grows_again_after_its_end_is_read_again(tmp_path: Path) -> None:
    """What it held before are duplicates; what is new is stored."""
    path = tmp_path / "otel.jsonl"
    append(path, LINES[0])()
    following = Following(path)
    following.now_s = path.stat().st_mtime + 601

    def grow() -> None:
        append(path, LINES[1])()
        os.utime(path, (following.now_s, following.now_s))

    await following.run(grow)
    assert following.seen == [1, 2]
    assert following.last["otel.jsonl"].duplicates == 1


async def test_a_format_is_known_as_soon_as_a_line_is(tmp_path: Path) -> None:
    """A file that is empty, or has half a line, is waited for; one that is something else is said."""
    path, other = tmp_path / "otel.jsonl", tmp_path / "words.log"
    append(path, LINES[0][:20])()
    append(other, b"w" * (257 << 10) + b"\n")()
    following = Following(path, other)
    await following.run(append(path, LINES[0][20:]))
    assert following.seen == [0, 1]
    assert following.last["otel.jsonl"].ok
    assert "unknown" in following.last["words.log"].problems[0].message
