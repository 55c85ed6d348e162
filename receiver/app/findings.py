"""What the doctor says: one line for each thing that it looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. Texts may hold what a file says: escape them for a terminal."""

    subject: str
    level: Level
    text: str
    advice: str | None = None
    """What to do."""


def ok(subject: str, text: str) -> Finding:
    """Return a finding of something that is well."""
    return Finding(subject, "ok", text)


def warning(subject: str, text: str, advice: str | None = None) -> Finding:
    """Return a finding of something that works and deserves a look."""
    return Finding(subject, "warning", text, advice)


def problem(subject: str, text: str, advice: str | None = None) -> Finding:
    """Return a finding of something that does not work."""
    return Finding(subject, "problem", text, advice)
