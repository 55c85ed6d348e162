"""What can be set up: one program with one file, telemetry or MCP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from receiver.setup.entry import ABSENT, Change, Entry, Merged, Obstacle, changes_of, found, shown
from receiver.setup.errors import SetupError
from receiver.setup.options import Options, OtlpProtocol
from receiver.setup.places import Places


class Document(Protocol):
    """A file format. Pure: texts in, texts out."""

    @property
    def language(self) -> str:
        """Return its name as a fenced block has it."""

    def rendered(self, entries: Sequence[Entry]) -> str:
        """Return a text that holds just the entries."""

    def read(self, text: str) -> Mapping[str, Any]:
        """Return the values of a text.

        Raises:
            SetupError: It is not of this format.
        """

    def merged(self, existing: str | None, entries: Sequence[Entry]) -> Merged:
        """Return the text with the entries in it and everything else as it was; None is a file that is not there.

        Raises:
            SetupError: It cannot be read, or cannot be changed without loss (``NotMergeableError``).
        """


class Target(Protocol):
    """One program whose settings make it send here, or ask here. Pure: nothing is read or written."""

    @property
    def name(self) -> str:
        """Return the word of the command line."""

    @property
    def title(self) -> str:
        """Return the program's name."""

    @property
    def language(self) -> str:
        """Return the format of its file."""

    @property
    def is_required(self) -> bool:
        """Return whether the program reads its settings from the file, and from nowhere else."""

    def completed(self, options: Options) -> Options:
        """Return the options with the target's own protocol, if none was chosen."""

    def file(self, places: Places, *, project: bool) -> Path | None:
        """Return its settings file; None if there is no usual place for it.

        Raises:
            SetupError: It has no such file for a project.
        """

    def rendered(self, options: Options) -> str:
        """Return the configuration, to be pasted."""

    def merged(self, existing: str | None, options: Options) -> Merged:
        """Return the file's text with the configuration in it; None is a file that is not there.

        Raises:
            SetupError: See ``Document``.
        """

    def missing(self, existing: str, options: Options) -> list[Change]:
        """Return what a file lacks, or has otherwise.

        Raises:
            SetupError: It is not of this format.
        """

    def obstacles(self, existing: str) -> list[str]:
        """Return what stands in a file and keeps the data from coming here, a sentence each."""

    def overruled_by(self, environ: Mapping[str, str]) -> list[str]:
        """Return the variables of an environment that go before the file."""

    def hints(self, options: Options) -> tuple[str, ...]:
        """Return what to know beside the configuration."""


def _no_hints(_options: Options) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTarget:
    """A target that is a list of entries in a file; implements ``Target``."""

    name: str
    title: str
    document: Document
    entries: Callable[[Options], Sequence[Entry]]
    user_file: Callable[[Places], Path | None]
    project_file: Callable[[Places], Path | None] | None
    """None: the program does not read this from a project."""
    protocol: OtlpProtocol = OtlpProtocol.GRPC
    is_required: bool = True
    against: tuple[Obstacle, ...] = ()
    variables: tuple[str, ...] = ()
    """Environment variables that go before the file."""
    said: Callable[[Options], tuple[str, ...]] = _no_hints
    comment: Callable[[Options], str] | None = None
    """Lines behind the printed configuration; they are not written."""

    @property
    def language(self) -> str:
        """Return the format of its file."""
        return self.document.language

    def completed(self, options: Options) -> Options:
        """Return the options with the target's own protocol, if none was chosen."""
        return options.by(self.protocol)

    def file(self, places: Places, *, project: bool) -> Path | None:
        """Return its settings file; None if there is no usual place for it.

        Raises:
            SetupError: It has no such file for a project.
        """
        if not project:
            return self.user_file(places)
        if self.project_file is None:
            raise SetupError(
                f"{self.title} does not read this from a project's settings", hint="leave --project out"
            )
        return self.project_file(places)

    def rendered(self, options: Options) -> str:
        """Return the configuration, to be pasted."""
        options = self.completed(options)
        text = self.document.rendered(self.entries(options))
        return text if self.comment is None else text + self.comment(options)

    def merged(self, existing: str | None, options: Options) -> Merged:
        """Return the file's text with the configuration in it; None is a file that is not there.

        Raises:
            SetupError: See ``Document``.
        """
        return self.document.merged(existing, self.entries(self.completed(options)))

    def missing(self, existing: str, options: Options) -> list[Change]:
        """Return what a file lacks, or has otherwise.

        Raises:
            SetupError: It is not of this format.
        """
        return changes_of(self.document.read(existing), self.entries(self.completed(options)))

    def obstacles(self, existing: str) -> list[str]:
        """Return what stands in a file and keeps the data from coming here, a sentence each."""
        data = self.document.read(existing)
        return [
            f"{'.'.join(each.path)} is {shown(value)}: {each.why}"
            for each in self.against
            if (value := found(data, each.path)) is not ABSENT and value not in ("", None, False)
        ]

    def overruled_by(self, environ: Mapping[str, str]) -> list[str]:
        """Return the variables of an environment that go before the file."""
        return [name for name in self.variables if environ.get(name)]

    def hints(self, options: Options) -> tuple[str, ...]:
        """Return what to know beside the configuration."""
        return self.said(self.completed(options))
