"""``otlp-receiver mcp``: the tools for AI agents over standard input and output."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from receiver.access import Access, Given
from receiver.cli.options import named_endpoint
from receiver.client.server import NoAnswerError
from receiver.ports import ImportOutcome, ImportUnit, Outcome
from receiver.signals import Signal

if TYPE_CHECKING:
    from receiver.config import Settings

T = TypeVar("T")
_log = logging.getLogger(__name__)


@click.command()
@named_endpoint
@click.option("--data-dir", metavar="FOLDER", help="Data directory to open where no receiver answers for it.")
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error. [default: warning]")
def mcp(endpoint: str | None, data_dir: str | None, log_level: str | None) -> None:
    """Serve the tools for AI agents over MCP on standard input and output.

    An agent starts this command; `claude mcp add otlp-receiver -- otlp-receiver mcp` tells Claude Code to.
    It ends when its standard input is closed. The receiver is looked for at the first question, and again when it was gone.
    """
    from receiver.settings import load_settings  # noqa: PLC0415 - only this command waits for these
    from receiver.telemetry.logging import configure_logging  # noqa: PLC0415

    settings = load_settings(
        config_file=None,
        overrides={"data_dir": data_dir, "log.level": log_level or "warning"},
        environ=os.environ,
    )
    configure_logging(settings.log.level, settings.log.format)
    asyncio.run(_serve(settings, endpoint or None, data_dir))


class ReachedAccess:
    """Implements ``receiver.access.Access``: reaches the receiver when it is needed, and again after it was gone.

    A data directory that was opened for it is let go of after a minute without a question, so that an agent that
    is left open does not keep a receiver from starting. Threads: one event loop.
    """

    def __init__(self, endpoint: str | None, data_dir: str | None, *, idle_s: float = 60.0) -> None:
        """Keep where to look (``receiver.cli.reach``); nothing is reached yet."""
        self._endpoint = endpoint
        self._data_dir = data_dir
        self._idle_s = idle_s
        self._held = AsyncExitStack()
        self._access: Access | None = None
        self._reaching = asyncio.Lock()
        self._calls = 0
        self._idle: asyncio.Task[None] | None = None
        self._letting_go: asyncio.Task[None] | None = None

    async def ask(self, question: str, given: Given | None = None) -> dict[str, Any]:
        """Return the answer to a question."""
        return await self._answered(lambda access: access.ask(question, given))

    async def export(self, signal: Signal, body: bytes) -> Outcome:
        """Return once the records are on disk and synced."""
        return await self._answered(lambda access: access.export(signal, body))

    async def import_units(self, units: Sequence[ImportUnit]) -> ImportOutcome:
        """Return once the units are on disk, each once."""
        return await self._answered(lambda access: access.import_units(units))

    async def flush(self, *, embeddings: bool = False) -> None:
        """Return when everything acknowledged before the call can be found."""
        await self._answered(lambda access: access.flush(embeddings=embeddings))

    async def close(self) -> None:
        """Let go of the receiver; the next call reaches it again."""
        if self._idle is not None:
            self._idle.cancel()
            await asyncio.gather(self._idle, return_exceptions=True)
        await self._let_go()

    async def _answered(self, call: Callable[[Access], Awaitable[T]]) -> T:
        """Make the call; once more where the receiver was gone before it got anything of it."""
        if self._idle is not None:
            self._idle.cancel()
        self._calls += 1
        try:
            access = await self._reached()
            try:
                return await call(access)
            except NoAnswerError:
                await self._let_go(access)
                return await call(await self._reached())
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle = asyncio.create_task(self._let_go_when_idle(), name="idle receiver")

    async def _reached(self) -> Access:
        from receiver.cli.reach import reach  # noqa: PLC0415 - brings the client with it

        async with self._reaching:
            if self._access is None:
                self._access = await self._held.enter_async_context(reach(self._endpoint, self._data_dir))
            return self._access

    async def _let_go(self, gone: Access | None = None) -> None:
        """Let go of the receiver; of ``gone`` only, as another call may have reached the next one meanwhile."""
        async with self._reaching:
            if gone is None or gone is self._access:
                self._access = None
                await self._held.aclose()

    async def _let_go_when_idle(self) -> None:
        await asyncio.sleep(self._idle_s)
        # A call that comes now cancels this task; it must wait until the directory is closed, and not open it too.
        self._letting_go = asyncio.create_task(self._let_go_unless_asked(), name="letting go")
        await asyncio.shield(self._letting_go)

    async def _let_go_unless_asked(self) -> None:
        async with self._reaching:
            if not self._calls:
                self._access = None
                await self._held.aclose()


async def _serve(settings: Settings, endpoint: str | None, data_dir: str | None) -> NoReturn:
    try:
        from receiver.mcp.server import build_server  # noqa: PLC0415 - needs the extra
    except ImportError as error:
        raise click.ClickException(
            f"the extra mcp is not installed ({error}); pip install 'otlp-receiver[mcp]'"
        ) from error
    from receiver.app.request_reader import DecodingRequestReader  # noqa: PLC0415 - brings the decoder

    access = ReachedAccess(endpoint, data_dir)
    server = build_server(access, settings, requests_of=DecodingRequestReader)
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked.set)
    serving = asyncio.ensure_future(server.run_stdio_async(show_banner=False))
    stopping = asyncio.ensure_future(asked.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await access.close()
    ended_by = serving.exception() if serving.done() and not serving.cancelled() else None
    failed = ended_by is not None and not _client_went(ended_by)
    if failed:
        _log.error("MCP ended: %r", ended_by)
    # A thread that reads standard input cannot be woken, and one that waits for vectors may take minutes.
    sys.stderr.flush()
    os._exit(int(failed))


def _client_went(error: BaseException) -> bool:
    """Return True if all that went wrong is that nobody reads the answers any more: an end like any other."""
    if isinstance(error, BaseExceptionGroup):
        return all(_client_went(each) for each in error.exceptions)
    return isinstance(error, BrokenPipeError)
