"""``otlp-receiver serve``: runs a receiver until a signal ends it."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from receiver import __version__
from receiver.cli.terminal import escaped
from receiver.cli.wording import plural

if TYPE_CHECKING:
    from receiver.app.receiver import StopReport
    from receiver.config import Settings

_SHOWN_AS_URL = {"OTLP/HTTP", "query"}
_ANY_ADDRESS = ("0.0.0.0:", "[::]:")

_SWITCH_INTERVAL_S = 0.002  # Python's own is 0.005


@click.command()
@click.option("--data-dir", metavar="FOLDER", help="Folder of the spool, the database and the index.")
@click.option("--grpc-endpoint", metavar="HOST:PORT", help="OTLP/gRPC listener; '' switches it off.")
@click.option("--http-endpoint", metavar="HOST:PORT", help="OTLP/HTTP listener; '' switches it off.")
@click.option("--query-endpoint", metavar="HOST:PORT", help="Listener of the HTTP API; '' switches it off.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Configuration file instead of config/receiver.yaml.",
)
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error.")
def serve(
    *,
    data_dir: str | None,
    grpc_endpoint: str | None,
    http_endpoint: str | None,
    query_endpoint: str | None,
    config_file: Path | None,
    log_level: str | None,
) -> None:
    """Start the receiver and run until Ctrl-C or SIGTERM.

    Prints one line per listener, where the data is, and how to send a first span. The first signal finishes
    what is in hand and stores what was accepted; a second one exits at once, and nothing acknowledged is lost.
    """
    from receiver.app.checks import problems_of  # noqa: PLC0415 - only this command waits for these
    from receiver.settings import InvalidSettingsError, load_settings  # noqa: PLC0415
    from receiver.telemetry.logging import configure_logging  # noqa: PLC0415

    settings = load_settings(
        config_file=config_file,
        overrides={
            "data_dir": data_dir,
            "listen.grpc_endpoint": grpc_endpoint,
            "listen.http_endpoint": http_endpoint,
            "listen.query_endpoint": query_endpoint,
            "log.level": log_level,
        },
        environ=os.environ,
    )
    if problems := problems_of(settings):
        raise InvalidSettingsError(problems)
    configure_logging(settings.log.level, settings.log.format)
    # An answer passes the GIL between threads a dozen times and more; next to a thread that is busy in Python
    # (a request of 64 MiB that is refused, say) each time costs one interval. ADR 10 has the measurement.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        report = runner.run(_run(settings))
    _say(_stopped(report))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _run(settings: Settings) -> StopReport:
    from receiver.app.receiver import Receiver  # noqa: PLC0415 - brings every stage with it

    asked = asyncio.Event()
    signals: list[int] = []

    def stop(number: int) -> None:
        signals.append(number)
        if len(signals) > 1:
            _say("stopped at once; what was acknowledged is on disk")
            os._exit(128 + number)
        asked.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    receiver = Receiver(settings)
    addresses = await receiver.start()
    for line in _welcome(settings, addresses):
        _say(line)
    await asked.wait()
    _say("stopping; a second signal exits at once")
    return await receiver.stop()


def _welcome(settings: Settings, addresses: Mapping[str, str]) -> list[str]:
    lines = [f"otlp-receiver {__version__}"]
    for name, address in addresses.items():
        served = f"  ({_query_paths(settings)})" if name == "query" else ""
        lines.append(f"  {name:<10} {'http://' if name in _SHOWN_AS_URL else ''}{address}{served}")
    lines.append(f"  {'data':<10} {escaped(settings.data_path.absolute())}")
    if "OTLP/HTTP" in addresses:
        lines += ["Send a first span:", f"  {_first_span(_reachable(addresses['OTLP/HTTP']))}"]
    if "query" in addresses:
        endpoint = f"http://{_reachable(addresses['query'])}"
        other = "" if endpoint == "http://localhost:8888" else f" --endpoint {endpoint}"
        lines += ["Find it again:", f"  otlp-receiver search 'greeting somebody'{other}"]
    return lines


def _query_paths(settings: Settings) -> str:
    return ", ".join(
        ("/api/v1", *(("/mcp",) if settings.mcp.enabled else ()), "/metrics", "/healthz", "/readyz")
    )


def _first_span(address: str) -> str:
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
    return f"curl -sS http://{address}/v1/traces -H 'content-type: application/json' -d '{body}'"


def _reachable(address: str) -> str:
    """Return where this machine reaches a listener that is bound to all addresses."""
    for prefix in _ANY_ADDRESS:
        if address.startswith(prefix):
            return f"localhost:{address.removeprefix(prefix)}"
    return address


def _stopped(report: StopReport) -> str:
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
