"""The receiver's own log: one line per entry on standard error, text or JSON, with repeats held back."""

from __future__ import annotations

import json
import logging
import sys
import time

import orjson

_REPEAT_S = 10.0


class _RepeatFilter(logging.Filter):
    """Lets the same message of one logger through once in ten seconds and says how many it held back."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key = (record.name, str(record.msg))
        now = time.monotonic()
        last, held = self._seen.get(key, (-_REPEAT_S, 0))
        if now - last < _REPEAT_S and record.levelno < logging.CRITICAL:
            self._seen[key] = (last, held + 1)
            return False
        if len(self._seen) > 1000:
            self._seen.clear()
        self._seen[key] = (now, 0)
        if held:
            record.msg = f"{record.msg} (and {held} more like it)"
        return True


class _TextFormatter(logging.Formatter):
    """One line of text: what could break it, or act on a terminal, stands as an escape."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if text.isprintable() else "".join(map(_printable, text))


class _JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(entry).decode()
        except orjson.JSONEncodeError:  # half of a surrogate pair, which UTF-8 cannot say
            return json.dumps(entry)


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def configure_logging(level: str, form: str) -> None:
    """Send our log, and errors of the event loop and of uvicorn, to standard error from here on.

    A second call replaces the first. gRPC's logger stays silent: what a client does wrong fills it.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_RepeatFilter())
    handler.setFormatter(
        _JsonFormatter()
        if form == "json"
        else _TextFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    for name, least in {"receiver": level.upper(), "asyncio": "WARNING", "uvicorn": "ERROR"}.items():
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(least)
        logger.propagate = False
