"""Looks at everything a receiver needs and says what to do; changes nothing and takes no lock.

Where a receiver runs on the data directory it is asked over HTTP, and the files that it has open are left alone; where
none runs, the files are opened to be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from receiver.app import doctor_files, doctor_machine, doctor_running
from receiver.app.checks import problems_of, warnings_of
from receiver.app.data_directory import RESTORE_PLAN
from receiver.app.findings import Finding, ok, problem, warning
from receiver.client.server import Server
from receiver.config import Settings
from receiver.errors import ReceiverError
from receiver.spool.file_lock import lock_holder


def examine(settings: Settings, server: Server, *, deep: bool = False) -> Iterator[Finding]:
    """Yield what was found, in the order in which it was looked at. Blocks.

    Args:
        settings: Of the receiver.
        server: Its query listener, asked where it runs.
        deep: Read every stored value and load the model; takes its time.
    """
    yield from _settings(settings)
    pid = lock_holder(settings.spool_path)
    parts: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("data", lambda: _data(settings, pid)),
        ("disk", lambda: doctor_machine.disk(settings)),
        ("permissions", lambda: doctor_machine.permissions(settings)),
    ]
    if pid is not None:
        parts.append(("receiver", lambda: doctor_running.asked(settings, server, pid)))
    else:
        parts += [
            ("ports", lambda: doctor_machine.ports(settings)),
            ("spool", lambda: doctor_files.spool(settings)),
            ("store", lambda: doctor_files.store(settings, deep=deep)),
            ("index", lambda: doctor_files.index(settings)),
        ]
    parts += [
        ("model", lambda: doctor_machine.model(settings.embed, deep=deep)),
        ("decoder", lambda: doctor_machine.decoder(settings)),
        ("open files", lambda: doctor_machine.open_files(settings, pid)),
        ("clock", lambda: doctor_machine.clock(settings)),
    ]
    for subject, part in parts:
        try:
            yield from part()
        except ReceiverError as error:
            yield problem(subject, error.message, error.hint)
        except OSError as error:
            yield problem(subject, str(error), "look at the file's permissions and its disk")


def as_json(findings: list[Finding]) -> dict[str, Any]:
    """Return the findings as plain values."""
    return {
        "problems": sum(each.level == "problem" for each in findings),
        "warnings": sum(each.level == "warning" for each in findings),
        "findings": [
            {"subject": each.subject, "level": each.level, "text": each.text, "advice": each.advice}
            for each in findings
        ],
    }


def _settings(settings: Settings) -> Iterator[Finding]:
    problems, warnings = problems_of(settings), warnings_of(settings)
    for text in problems:
        yield problem("settings", text, "otlp-receiver check-config shows what is in effect")
    for text in warnings:
        yield warning("settings", text)
    if not problems:
        yield ok("settings", "the receiver can start with them")


def _data(settings: Settings, pid: int | None) -> Iterator[Finding]:
    folder = settings.data_path
    if not folder.is_dir():
        yield ok("data", f"{folder.absolute()} is not there yet; the first start makes it")
        return
    yield ok(
        "data", f"{folder.absolute()}, " + ("no receiver runs on it" if pid is None else f"used by pid {pid}")
    )
    if (folder / RESTORE_PLAN).exists():
        yield problem(
            "data", "a restore was cut short", "run otlp-receiver restore again: it finishes that one"
        )
    for left in sorted([*folder.glob("*.restoring"), *folder.glob("*.kept")]):
        yield warning("data", f"{left.name} is left of a restore that did not get through", "delete it")
    for copy in sorted(folder.glob("spool.db-wal.damaged-*")):
        yield warning(
            "data", f"{copy.name}: a log of the spool that was damaged", "delete it when you are done with it"
        )
    if aside := sorted(folder.glob("before-restore-*")):
        held = sum(_size(each) for each in aside)
        yield ok(
            "data", f"{len(aside)} folders of before a restore hold {held >> 20:,} MiB; delete them when done"
        )


def _size(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
