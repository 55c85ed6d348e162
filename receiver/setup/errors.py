"""What can go wrong with somebody's settings file; nothing was written when one of these is raised."""

from __future__ import annotations

from receiver.errors import PermanentError


class SetupError(PermanentError):
    """The file cannot be read, understood or written, or the target has no such file."""


class NotMergeableError(SetupError):
    """The file is fine, but a program cannot change it without loss: its owner pastes the configuration."""
