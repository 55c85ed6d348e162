"""Sends one record of each signal as the printed configuration would, and waits until the receiver has stored it."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass

from receiver.client.otlp_answer import ExportAnswer, Outcome
from receiver.client.otlp_grpc import export_over_grpc
from receiver.client.otlp_http import export_over_http
from receiver.client.server import Server
from receiver.errors import ReceiverError
from receiver.setup.options import Options, OtlpProtocol
from receiver.setup.probe import Probe
from receiver.signals import Signal

_FLUSH = "/api/v1/flush"
_AGAIN_S = 0.1
"""Pause between two questions; a flush usually makes the first one the last."""
_START = "start one with: otlp-receiver serve"


@dataclass(frozen=True, slots=True)
class SignalResult:
    """What became of the record of one signal."""

    signal: Signal
    problem: str | None
    """None: it was accepted and stored."""
    hint: str | None = None
    stored_s: float | None = None
    """Seconds from sending to the answer that has it."""


def check_signals(options: Options, *, timeout_s: float) -> list[SignalResult]:
    """Return what became of a span, a metric point and a log record, in this order.

    Blocks for at most about ``timeout_s`` for each of sending and storing; one thread.

    Args:
        options: Completed: address and protocol to send with, and the query listener to ask.
        timeout_s: Longest wait for an answer, and for all records to be stored.
    """
    probe = Probe.new()
    began = time.monotonic()
    answers = {signal: _export(options, signal, probe.body(signal), timeout_s) for signal in Signal}
    accepted = [signal for signal, answer in answers.items() if answer.outcome is Outcome.ACCEPTED]
    stored, trouble = _wait(options, probe, accepted, began=began, timeout_s=timeout_s)
    return [_result(options, signal, answers[signal], stored, trouble) for signal in Signal]


def _export(options: Options, signal: Signal, body: bytes, timeout_s: float) -> ExportAnswer:
    export = export_over_http if options.protocol is OtlpProtocol.HTTP else export_over_grpc
    return export(options.otlp_url, signal, body, timeout_s=timeout_s)


def _wait(
    options: Options, probe: Probe, wanted: list[Signal], *, began: float, timeout_s: float
) -> tuple[dict[Signal, float], str | None]:
    """Return after how many seconds each signal was stored, and why the rest was not found."""
    stored: dict[Signal, float] = {}
    deadline = time.monotonic() + timeout_s
    trouble: str | None = None
    while len(stored) < len(wanted):
        try:
            server = Server(options.query_url)
            status, _ = server.request("POST", _FLUSH, b"{}")
            if status not in (http.client.OK, http.client.SERVICE_UNAVAILABLE):
                return stored, f"what answers at {options.query_url} is no query listener (HTTP {status})"
            for signal in wanted:
                if signal not in stored and _is_stored(server, probe, signal):
                    stored[signal] = time.monotonic() - began
            trouble = None
        except ReceiverError as error:
            trouble = str(error)
        if time.monotonic() > deadline or len(stored) == len(wanted):
            break
        time.sleep(_AGAIN_S)
    return stored, trouble


def _is_stored(server: Server, probe: Probe, signal: Signal) -> bool:
    status, body = server.request("GET", probe.question(signal))
    if status != http.client.OK:
        return False
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    return isinstance(answer, dict) and probe.is_in(signal, answer)


def _result(
    options: Options, signal: Signal, answer: ExportAnswer, stored: dict[Signal, float], trouble: str | None
) -> SignalResult:
    url, protocol = options.otlp_url, options.protocol
    match answer.outcome:
        case Outcome.ACCEPTED if signal in stored:
            return SignalResult(signal, None, stored_s=stored[signal])
        case Outcome.ACCEPTED if trouble is not None:
            return SignalResult(
                signal, f"accepted at {url}, and it cannot be asked whether it is stored: {trouble}"
            )
        case Outcome.ACCEPTED:
            return SignalResult(
                signal,
                f"accepted at {url}, and not stored in what answers at {options.query_url}",
                "is --endpoint the query listener of the same receiver? its log says what went wrong",
            )
        case Outcome.UNREACHABLE:
            return SignalResult(signal, f"nothing listens at {url} ({answer.detail})", _START)
        case Outcome.TIMEOUT:
            return SignalResult(signal, f"no answer from {url} ({answer.detail})", "is that a receiver?")
        case Outcome.NOT_OTLP:
            problem = f"what listens at {url} does not take OTLP over {protocol} ({answer.detail})"
            return SignalResult(signal, problem, _what_listens(options))
        case _:
            return SignalResult(signal, f"{answer.outcome} at {url}: {answer.detail}")


def _what_listens(options: Options) -> str:
    """Return what to do about a port that does not speak the protocol."""
    is_http = options.protocol is OtlpProtocol.HTTP
    other = export_over_grpc if is_http else export_over_http
    option = "--http-endpoint" if is_http else "--grpc-endpoint"
    if other(options.otlp_url, Signal.TRACES, b"", timeout_s=2.0).outcome is Outcome.ACCEPTED:
        right = OtlpProtocol.GRPC if is_http else OtlpProtocol.HTTP
        return (
            f"that port takes OTLP over {right}: name the right one with {option}, or say --protocol {right}"
        )
    try:
        status, _ = Server(options.otlp_url).request("GET", "/healthz")
    except ReceiverError:
        status = 0
    if status == http.client.OK:
        return f"that is a query listener: name the OTLP listener with {option}"
    return f"name the receiver's listener with {option}"
