"""Something that fails again and again until it is over: told once, counted meanwhile, and told when it has ended."""

from __future__ import annotations

import logging
import time

_AGAIN_S = 60.0


class Trouble:
    """One kind of trouble of one part, as /readyz shows it. Threads: one at a time; never blocks."""

    def __init__(self, log: logging.Logger, what: str, *, over: str) -> None:
        """Begin without trouble.

        Args:
            log: Where it is told.
            what: What fails, in front of each reason.
            over: What is said when it is over.
        """
        self._log = log
        self._what = what
        self._over = over
        self.failures = 0
        """How often it has happened since it began."""
        self._began = self._told_at = 0.0
        self._told = ""
        self.text: str | None = None
        """The newest reason; None while all is well."""

    def __str__(self) -> str:
        """Return what fails and why; empty while all is well."""
        return "" if self.text is None else f"{self._what}: {self.text}"

    def happened(self, text: str, *, error: BaseException | None = None) -> None:
        """Note one failure; the log gets the first, and another reason at most once a minute.

        Args:
            text: Why.
            error: Logged with its traceback: one that nobody foresaw.
        """
        now = time.monotonic()
        if self.text is None:
            self._began, self.failures = now, 0
        if self.text is None or (text != self._told and now - self._told_at >= _AGAIN_S):
            self._told, self._told_at = text, now
            self._log.error("%s: %s; it is tried again", self._what, text, exc_info=error)
        self.failures += 1
        self.text = text

    def ended(self) -> None:
        """Note that it works; the log gets it if it did not before."""
        if self.text is not None:
            self.text = None
            seconds = time.monotonic() - self._began
            self._log.info("%s, after %.1f s and %d failures", self._over, seconds, self.failures)
