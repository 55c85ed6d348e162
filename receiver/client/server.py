"""The running receiver, asked over HTTP: names of questions and texts in, the API's bytes out."""

from __future__ import annotations

import functools
import http.client
import json
import logging
import ssl
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from receiver.access import Given
from receiver.client.credentials import Credentials
from receiver.errors import (
    EmbeddingOffError,
    NotFoundError,
    QueryError,
    ReceiverError,
    RetryableError,
    StoreUnavailableError,
    UnauthenticatedError,
)

_PREFIX = "/api/v1"
_CONNECT_S = 5.0
_ANSWER_S = 120.0
_CHUNK_BYTES = 1 << 20
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

_log = logging.getLogger(__name__)

PATHS: Mapping[str, tuple[str, str]] = {
    "search": ("GET", "/search"),
    "traces": ("GET", "/traces"),
    "trace": ("GET", "/traces/{trace_id}"),
    "outline": ("GET", "/traces/{trace_id}/outline"),
    "compare": ("GET", "/compare"),
    "investigate": ("GET", "/investigate"),
    "services": ("GET", "/services"),
    "logs": ("GET", "/logs"),
    "metrics": ("GET", "/metrics"),
    "metric": ("GET", "/metrics/{name}"),
    "sessions": ("GET", "/sessions"),
    "session": ("GET", "/sessions/{session_id}"),
    "stats": ("GET", "/stats"),
    "sql": ("POST", "/sql"),
    "requeue": ("POST", "/requeue"),
    "flush": ("POST", "/flush"),
}
"""Method and path of each question; ``receiver.api.routes`` has the same, and importing it takes too long."""

_IN_QUERY = frozenset({"flush"})
"""Posted questions whose parameters stand in the query string."""


class NoAnswerError(StoreUnavailableError):
    """Nothing listens at the endpoint."""


class Server:
    """Asks one receiver. Never goes through a proxy: it is on this machine, or named on purpose.

    Threads: one at a time; every call is a connection of its own.
    """

    def __init__(self, endpoint: str, credentials: Credentials | None = None) -> None:
        """Keep where to ask.

        Args:
            endpoint: ``http://host:port`` or ``https://host:port``; the scheme may be missing.
            credentials: What to show there; None: what the environment says.

        Raises:
            QueryError: The endpoint cannot be read.
            ConfigError: A file of the credentials cannot be read.
        """
        self.endpoint = endpoint if "://" in endpoint else f"http://{endpoint}"
        scheme, host, port, self._base = _parts(self.endpoint)
        shown = Credentials.from_environment() if credentials is None else credentials
        self._headers = shown.headers()
        self._connect: Callable[[], http.client.HTTPConnection]
        if scheme == "https":
            self._connect = functools.partial(
                http.client.HTTPSConnection, host, port, timeout=_CONNECT_S, context=shown.context()
            )
            return
        self._connect = functools.partial(http.client.HTTPConnection, host, port, timeout=_CONNECT_S)
        if shown.token and host not in _LOOPBACK:
            _log.warning("the token goes to %s in clear; an https:// endpoint keeps it secret", host)

    def ask(self, question: str, given: Given) -> bytes:
        """Return the JSON that the API answers.

        Raises:
            NoAnswerError: Nothing listens there.
            ReceiverError: The receiver refused, with its own message and hint.
        """
        method, path = PATHS[question]
        rest = {name: list(texts) for name, texts in given.items()}
        if "{" in path:
            name = path[path.index("{") + 1 : path.index("}")]
            path = path.replace(f"{{{name}}}", quote(rest.pop(name)[0], safe=""))
        if method == "POST" and question not in _IN_QUERY:
            return self.post(path, {name: texts[0] for name, texts in rest.items()})
        query = urlencode(rest, doseq=True)
        body = b"{}" if method == "POST" else None
        return self._answer(self.request(method, f"{_PREFIX}{path}{'?' if query else ''}{query}", body))

    def post(self, path: str, value: Any) -> bytes:
        """Return the JSON that the API answers to a JSON body.

        Raises:
            NoAnswerError: Nothing listens there.
            ReceiverError: The receiver refused, with its own message and hint.
        """
        return self._answer(self.request("POST", f"{_PREFIX}{path}", json.dumps(value).encode()))

    def _answer(self, answered: tuple[int, bytes]) -> bytes:
        status, body = answered
        if status != http.client.OK:
            raise self._refusal(status, body)
        return body

    def request(self, method: str, target: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Return status and body of one request.

        Raises:
            NoAnswerError: Nothing listens there.
            StoreUnavailableError: It broke off, or took too long.
        """
        with self._exchange(method, target, body, "application/json") as response:
            return response.status, response.read()

    def chunks(self, target: str, accept: str) -> Generator[bytes]:
        """Yield the body of an answer piece by piece, as it comes.

        Raises:
            NoAnswerError: Nothing listens there.
            StoreUnavailableError: It broke off, or paused for too long; what was yielded is not the whole.
            ReceiverError: The receiver refused, with its own message and hint.
        """
        with self._exchange("GET", target, None, accept) as response:
            if response.status != http.client.OK:
                raise self._refusal(response.status, response.read())
            while chunk := response.read(_CHUNK_BYTES):
                yield chunk

    @contextmanager
    def _exchange(
        self, method: str, target: str, body: bytes | None, accept: str
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request; hold the connection while its answer is read."""
        connection = self._connect()
        try:
            try:
                connection.connect()
            except ssl.SSLError as error:
                raise QueryError(
                    f"there is no TLS with {self.endpoint}: {getattr(error, 'verify_message', '') or error.reason}",
                    hint="--ca-file names the authority of its certificate; is it an https:// listener at all?",
                ) from error
            except OSError as error:
                raise NoAnswerError(
                    f"no receiver answers at {self.endpoint} ({error.strerror or error})",
                    hint="start one with: otlp-receiver serve",
                ) from error
            connection.sock.settimeout(_ANSWER_S)
            headers = {"accept": accept, **self._headers}
            if body is not None:
                headers["content-type"] = "application/json"
            connection.request(method, self._base + target, body=body, headers=headers)
            yield connection.getresponse()
        except TimeoutError as error:
            raise StoreUnavailableError(f"{self.endpoint} did not answer within {_ANSWER_S:.0f} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise StoreUnavailableError(f"{self.endpoint} broke off the answer: {error}") from error
        finally:
            connection.close()

    def _refusal(self, status: int, body: bytes) -> ReceiverError:
        try:
            said: Any = json.loads(body)["error"]
            message, hint = str(said["message"]), said["hint"]
        except (ValueError, LookupError, TypeError):
            return QueryError(
                f"what answers at {self.endpoint} is not a receiver (HTTP {status})",
                hint="--endpoint takes the address of its query listener, port 8888 unless configured",
            )
        hint = None if hint is None else str(hint)
        if status == http.client.UNAUTHORIZED:
            return UnauthenticatedError(
                message, hint="set OTLP_RECEIVER_TOKEN, or give --token-file, with a token for query"
            )
        if status == http.client.NOT_IMPLEMENTED:
            return EmbeddingOffError(message, hint=hint)
        if status == http.client.SERVICE_UNAVAILABLE:
            return RetryableError(message, hint=hint)
        kind = NotFoundError if status == http.client.NOT_FOUND else QueryError
        return kind(message, hint=hint)


def _parts(endpoint: str) -> tuple[str, str, int | None, str]:
    """Return scheme, host, port and path of an endpoint."""
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if not parts.hostname or parts.scheme not in {"http", "https"}:
        raise QueryError(f"{endpoint!r} is not an endpoint", hint="write http://localhost:8888")
    return parts.scheme, parts.hostname, port, parts.path.rstrip("/")
