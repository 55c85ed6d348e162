"""Sends one OTLP request over HTTP."""

from __future__ import annotations

import http.client
from urllib.parse import SplitResult, urlsplit

from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status

from receiver.client.credentials import Credentials
from receiver.client.otlp_answer import ExportAnswer, Outcome, answer_of
from receiver.signals import Signal

_PROTOBUF = "application/x-protobuf"
_SAID = 300
"""Most characters of a refusal that are passed on."""


def export_over_http(
    url: str, signal: Signal, body: bytes, *, timeout_s: float, credentials: Credentials | None = None
) -> ExportAnswer:
    """Return what the endpoint said to one serialized export request; never retries, never asks a proxy.

    Args:
        url: ``http://host:port`` or ``https://host:port``; the signal's path is put behind it.
        signal: Which path is posted to.
        body: The request.
        timeout_s: Longest silence, while connecting or while waiting for the answer.
        credentials: What to show there; None: what the environment says.

    Raises:
        ConfigError: A file of the credentials cannot be read.
    """
    shown = Credentials.from_environment() if credentials is None else credentials
    parts = urlsplit(url)
    connection = _connection(parts, shown, timeout_s)
    try:
        try:
            connection.connect()
        except TimeoutError as error:
            return ExportAnswer(Outcome.TIMEOUT, str(error))
        except OSError as error:
            return ExportAnswer(Outcome.UNREACHABLE, error.strerror or str(error))
        connection.request(
            "POST", signal.http_path, body=body, headers={"content-type": _PROTOBUF, **shown.headers()}
        )
        response = connection.getresponse()
        said = response.read()
    except TimeoutError as error:
        return ExportAnswer(Outcome.TIMEOUT, str(error))
    except http.client.RemoteDisconnected:
        return ExportAnswer(Outcome.NOT_OTLP, "it closed the connection without an answer")
    except http.client.BadStatusLine:
        return ExportAnswer(Outcome.NOT_OTLP, "it does not speak HTTP/1.1")
    except (OSError, http.client.HTTPException) as error:
        return ExportAnswer(Outcome.NOT_OTLP, f"it broke off: {error}")
    finally:
        connection.close()
    if response.status == http.client.OK:
        return answer_of(signal, said)
    # An OTLP endpoint answers protobuf with protobuf, refusals included (a google.rpc.Status).
    is_otlp = (response.headers.get("content-type") or "").partition(";")[0].strip() == _PROTOBUF
    text = _status_message(said) if is_otlp else " ".join(said.decode("utf-8", "replace").split())
    outcome = Outcome.REFUSED if is_otlp else Outcome.NOT_OTLP
    return ExportAnswer(outcome, f"HTTP {response.status} {response.reason}: {text[:_SAID]}")


def _connection(parts: SplitResult, shown: Credentials, timeout_s: float) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "https":
        return http.client.HTTPSConnection(host, parts.port, timeout=timeout_s, context=shown.context())
    return http.client.HTTPConnection(host, parts.port, timeout=timeout_s)


def _status_message(body: bytes) -> str:
    status = Status()
    try:
        status.ParseFromString(body)
    except DecodeError:
        return ""
    return str(status.message)
