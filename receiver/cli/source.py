"""Where an answer comes from: the running receiver, or else the database of a data directory, read-only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from receiver.access import Given
from receiver.cli.terminal import console, print_note
from receiver.cli.wording import plural
from receiver.client.server import NoAnswerError, Server
from receiver.errors import StoreUnavailableError

if TYPE_CHECKING:
    from receiver.config import Settings

DEFAULT_ENDPOINT = "http://localhost:8888"
ENDPOINT_VARIABLE = "OTLP_RECEIVER_ENDPOINT"


@dataclass(frozen=True, slots=True)
class Source:
    """What the options ``--endpoint`` and ``--data-dir`` say."""

    endpoint: str | None
    data_dir: str | None

    @property
    def server(self) -> Server:
        """Return the receiver to ask."""
        return Server(self.endpoint or DEFAULT_ENDPOINT)

    def ask(self, question: str, given: Given) -> bytes:
        """Return the JSON that answers the question; what to know about its source is said on standard error.

        Raises:
            ReceiverError: Nobody could answer, or the question was refused.
        """
        with _patience():
            if self.data_dir is not None and self.endpoint is None:
                return self._read_or_ask(question, given)
            try:
                return self.server.ask(question, given)
            except NoAnswerError as error:
                if self.endpoint is not None and self.data_dir is None:
                    raise  # who names a receiver wants to hear from that one
                if not self.settings().store_path.is_file():
                    raise
                print_note(f"{error.message}; reading {self.settings().store_path} instead")
                return self._read(question, given)

    def _read_or_ask(self, question: str, given: Given) -> bytes:
        try:
            return self._read(question, given)
        except StoreUnavailableError as held:  # its receiver runs
            try:
                return self.server.ask(question, given)
            except NoAnswerError:
                raise held from None

    def settings(self) -> Settings:
        """Return the settings that say where the data directory is."""
        from receiver.settings import load_settings  # noqa: PLC0415 - most answers do not need it

        overrides = {"data_dir": self.data_dir, "log.level": "error"}
        return load_settings(config_file=None, overrides=overrides, environ=os.environ)

    def _read(self, question: str, given: Given) -> bytes:
        from receiver.app.direct import ask_directly  # noqa: PLC0415 - brings the database with it
        from receiver.telemetry.logging import configure_logging  # noqa: PLC0415 - see above

        settings = self.settings()
        configure_logging("error", "text")
        answer = ask_directly(settings, question, given)
        if answer.waiting_requests:
            waiting = plural(answer.waiting_requests, "acknowledged request")
            print_note(f"{waiting} in the spool are stored at the next start of the receiver")
        return answer.body


@contextmanager
def _patience() -> Iterator[None]:
    """Show on a terminal that something goes on; the first search loads the model, which takes seconds."""
    errors = os.isatty(2)
    if not errors:
        yield
        return
    with console(errors=True).status("asking…", spinner="dots"):
        yield
