"""``otlp-receiver serve``: runs a receiver until a signal ends it."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from receiver import __version__
from receiver.cli.config_file import config_file_option
from receiver.cli.terminal import escaped
from receiver.cli.wording import plural

if TYPE_CHECKING:
    from receiver.app.receiver import StopReport
    from receiver.config import ListenerName, Settings

_SHOWN_AS_URL = {"OTLP/HTTP", "query"}
_LISTENERS: Mapping[str, ListenerName] = {"OTLP/gRPC": "grpc", "OTLP/HTTP": "http", "query": "query"}
_ANY_ADDRESS = ("0.0.0.0:", "[::]:")

_GRACES, _LEAST_S = 3, 20.0
"""A stop that takes longer than so many times ``stop_timeout_s``, and so many seconds, waits for a disk in vain."""
_SWITCH_INTERVAL_S = 0.002  # Python's own is 0.005


@click.command()
@click.option("--data-dir", metavar="FOLDER", help="Folder of the spool, the database and the index.")
@click.option("--grpc-endpoint", metavar="HOST:PORT", help="OTLP/gRPC listener; '' switches it off.")
@click.option("--http-endpoint", metavar="HOST:PORT", help="OTLP/HTTP listener; '' switches it off.")
@click.option("--query-endpoint", metavar="HOST:PORT", help="Listener of the HTTP API; '' switches it off.")
@config_file_option
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error.")
@click.option(
    "--take-over",
    is_flag=True,
    help="Take over from the receiver that runs on this folder; no client is refused meanwhile (Linux).",
)
def serve(
    *,
    data_dir: str | None,
    grpc_endpoint: str | None,
    http_endpoint: str | None,
    query_endpoint: str | None,
    config_file: Path | None,
    log_level: str | None,
    take_over: bool,
) -> None:
    """Start the receiver and run until Ctrl-C or SIGTERM.

    Prints one line per listener, where the data is, and how to send a first span. The first signal finishes
    what is in hand and stores what was accepted; a second one exits at once, and nothing acknowledged is lost.
    """
    # Nearly all that a start makes lives as long as the process: collecting is a tenth of its time, for nothing.
    gc.disable()
    try:
        _serve(
            {
                "data_dir": data_dir,
                "listen.grpc_endpoint": grpc_endpoint,
                "listen.http_endpoint": http_endpoint,
                "listen.query_endpoint": query_endpoint,
                "log.level": log_level,
            },
            config_file,
            take_over=take_over,
        )
    finally:
        gc.enable()


def _serve(overrides: Mapping[str, object], config_file: Path | None, *, take_over: bool) -> None:
    # pydantic would look for plugins of its own in every distribution that is installed, for the settings alone.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from receiver.app.checks import problems_of  # noqa: PLC0415 - only this command waits for these
    from receiver.app.data_directory import keep_files_private  # noqa: PLC0415
    from receiver.app.open_files import raise_open_files  # noqa: PLC0415
    from receiver.settings import InvalidSettingsError, load_settings  # noqa: PLC0415
    from receiver.telemetry.logging import configure_logging  # noqa: PLC0415

    settings = load_settings(config_file=config_file, overrides=overrides, environ=os.environ)
    if problems := problems_of(settings):
        raise InvalidSettingsError(problems)
    configure_logging(settings.log.level, settings.log.format)
    keep_files_private()
    raise_open_files()
    # gRPC's own lines have another form, and what a client does wrong makes one; it reads this when it is loaded.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # An answer passes the GIL between threads a dozen times and more; next to a thread that is busy in Python
    # (a request of 64 MiB that is refused, say) each time costs one interval. ADR 10 has the measurement.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        report = runner.run(_run(settings, take_over=take_over))
    _say(_stopped(report))
    # Nothing is left to be done, and the interpreter's own end takes 0.3 s, in which nobody listens.
    sys.stderr.flush()
    os._exit(0)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _run(settings: Settings, *, take_over: bool) -> StopReport:
    from receiver.app.receiver import Receiver  # noqa: PLC0415 - brings every stage with it
    from receiver.app.take_over import HandOver, TakeOver  # noqa: PLC0415

    asked = asyncio.Event()
    signals: list[int] = []

    def stop(number: int) -> None:
        signals.append(number)
        if len(signals) > 1:
            _say("stopped at once; what was acknowledged is on disk")
            os._exit(128 + number)
        asked.set()

    for number in (
        signal.SIGUSR1,
        signal.SIGUSR2,
    ):  # they would end it; HandOver handles them when there are ports
        signal.signal(number, signal.SIG_IGN)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    letting_go = False

    def let_go() -> None:
        nonlocal letting_go
        letting_go = letting_go or not asked.is_set()
        asked.set()

    if take_over:
        from receiver.app import answering  # noqa: F401, PLC0415 - loaded while the other receiver still answers

        with TakeOver(settings) as taking:
            receiver = Receiver(settings, bound=await taking.ports())
            addresses = await receiver.start()
    else:
        receiver = Receiver(settings)
        addresses = await receiver.start()
    hand_over = HandOver(settings, receiver.ports, let_go)
    for line in _welcome(settings, addresses):
        _say(line)
    gc.freeze()  # nor is it looked at later
    gc.enable()
    await asked.wait()
    _end_at_the_latest(max(_GRACES * settings.stop_timeout_s, _LEAST_S))
    hand_over.close()
    if letting_go:
        _say("handing over to another receiver")
        return await receiver.hand_over()
    _say("stopping; a second signal exits at once")
    return await receiver.stop()


def _end_at_the_latest(seconds: float) -> None:
    """Exit then: threads that wait for a disk that does not answer cannot be ended in another way."""

    def end() -> None:
        _say("stopped at once, because the disk does not answer; what was acknowledged is on disk")
        os._exit(1)

    watch = threading.Timer(seconds, end)
    watch.daemon = True
    watch.start()


def _welcome(settings: Settings, addresses: Mapping[str, str]) -> list[str]:
    lines = [f"otlp-receiver {__version__}"]
    for name, address in addresses.items():
        served = f"  ({_query_paths(settings)})" if name == "query" else ""
        lines.append(f"  {name:<10} {_scheme(settings, name)}{address}{served}")
    lines.append(f"  {'data':<10} {escaped(settings.data_path.absolute())}")
    if "OTLP/HTTP" in addresses:
        lines += ["Send a first span:", f"  {_first_span(settings, _reachable(addresses['OTLP/HTTP']))}"]
    if "query" in addresses:
        endpoint = f"{_scheme(settings, 'query')}{_reachable(addresses['query'])}"
        other = "" if endpoint == "http://localhost:8888" else f" --endpoint {endpoint}"
        lines += ["Find it again:", f"  otlp-receiver search 'greeting somebody'{other}"]
    return lines


def _query_paths(settings: Settings) -> str:
    return ", ".join(
        ("/api/v1", *(("/mcp",) if settings.mcp.enabled else ()), "/metrics", "/healthz", "/readyz")
    )


def _scheme(settings: Settings, name: str) -> str:
    """Return how the address of a listener begins."""
    speaks_tls = settings.tls.speaks(_LISTENERS[name])
    if name in _SHOWN_AS_URL:
        return "https://" if speaks_tls else "http://"
    return "https://" if speaks_tls else ""


def _first_span(settings: Settings, address: str) -> str:
    """Return a shell command that sends one span of this moment."""
    now = time.time_ns()
    span = {
        "traceId": secrets.token_hex(16),
        "spanId": secrets.token_hex(8),
        "name": "say hello",
        "kind": 1,
        "startTimeUnixNano": str(now - 5_000_000),
        "endTimeUnixNano": str(now),
    }
    service = {"key": "service.name", "value": {"stringValue": "hello"}}
    resource_spans = {"resource": {"attributes": [service]}, "scopeSpans": [{"spans": [span]}]}
    body = json.dumps({"resourceSpans": [resource_spans]}, separators=(",", ":"))
    url = f"{_scheme(settings, 'OTLP/HTTP')}{address}/v1/traces"
    # The shell puts the token in: it must not be seen in what a server prints.
    shown = ' -H "authorization: Bearer $OTLP_RECEIVER_TOKEN"' if settings.auth.ingest else ""
    return f"curl -sS {url} -H 'content-type: application/json'{shown} -d '{body}'"


def _reachable(address: str) -> str:
    """Return where this machine reaches a listener that is bound to all addresses."""
    for prefix in _ANY_ADDRESS:
        if address.startswith(prefix):
            return f"localhost:{address.removeprefix(prefix)}"
    return address


def _stopped(report: StopReport) -> str:
    if report.handed_over:
        left = plural(report.not_loaded_requests, "request")
        return f"handed over; {left} in the spool will be stored by the receiver that took over"
    if report.drained:
        return "stopped; everything that was accepted is stored"
    waiting = plural(report.not_loaded_requests, "request")
    return f"stopped; {waiting} in the spool will be stored at the next start"


def _say(line: str) -> None:
    """Print a line at once: whoever started the receiver may wait for it. A closed output stops nothing."""
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except OSError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - for the rest of the process
