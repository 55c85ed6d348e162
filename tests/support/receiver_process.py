"""A real receiver as a process of its own: started, asked over HTTP, killed or stopped, always gone afterwards.

Nothing here waits by the clock: a start is over when the last address line was read, and a question that is
answered 503 is asked again after the time that the answer names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.process_output import rest_of_output

REPOSITORY = Path(__file__).parents[2]
_ASK_S = 60.0
"""Longest wait for one answer, and longest time in which 503 is taken for "not yet"."""
_STOP_S = 60.0


@dataclass(frozen=True)
class Sent:
    """What the receiver answered to an export over HTTP."""

    status: int
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """Return the body as JSON."""
        answer: dict[str, Any] = json.loads(self.body)
        return answer


@dataclass(frozen=True)
class Stopped:
    """How a process ended and what it had to say."""

    exit_code: int
    output: str


class ReceiverProcess:
    """A running ``otlp-receiver serve``; a context manager that leaves no process behind."""

    def __init__(
        self,
        data_dir: Path,
        *,
        environment: Mapping[str, str] | None = None,
        same_ports_as: ReceiverProcess | None = None,
        take_over: bool = False,
        module: str = "receiver",
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            data_dir: Folder of the receiver; a file for its log is made beside it.
            environment: Added to this process's; the embedding workers are off unless it says otherwise.
            same_ports_as: Listen where that one, which has ended, was listening.
            take_over: Take over from the one that runs there.
            module: What runs the receiver's command line.
        """
        self.data_dir = data_dir
        self._module = module
        self.log_path = data_dir.with_name(f"{data_dir.name}.log")
        self._environment = {"OTLP_RECEIVER_EMBED__ENABLED": "false", **(environment or {})}
        self._more = ["--take-over"] if take_over else []
        self._process: subprocess.Popen[str] | None = None
        self._lines: list[str] = []
        self.grpc: str = ""
        """Address of the OTLP/gRPC listener as ``host:port``."""
        self.http: str = ""
        self.query: str = ""
        before = same_ports_as
        self._wanted = (before.grpc, before.http, before.query) if before else ("localhost:0",) * 3

    @property
    def pid(self) -> int:
        """Return the id of the process."""
        return self._running.pid

    @property
    def log(self) -> str:
        """Return what it wrote to standard error so far, restarts on the same directory included."""
        return self.log_path.read_text(encoding="utf-8")

    def __enter__(self) -> Self:
        """Start it; return when all its listeners accept."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, whatever state it is in; its embedding workers end with it."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def start(self) -> None:
        """Return when the process has printed the address of each of its listeners."""
        grpc, http, query = self._wanted
        with self.log_path.open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable, "-m", self._module, "serve", "--data-dir", str(self.data_dir),
                    "--grpc-endpoint", grpc, "--http-endpoint", http, "--query-endpoint", query,
                    *self._more,
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=self.log_path.parent,  # no config/ is there: defaults, and what this object says
                env={**os.environ, "PYTHONPATH": str(REPOSITORY), **self._environment},
                start_new_session=True,
            )  # fmt: skip
        assert self._process.stdout is not None
        self.grpc = self.http = self.query = ""
        for line in self._process.stdout:
            self._lines.append(line)
            self._take_address(line.split())
            if self.grpc and self.http and self.query:
                return
        raise AssertionError(f"it ended with {self._process.wait()}: {''.join(self._lines)}{self.log}")

    def kill(self) -> None:
        """End it with SIGKILL; return when it is gone."""
        self._running.kill()
        self._running.communicate(timeout=_STOP_S)

    def wait(self) -> int:
        """Return its exit code when it has ended by itself."""
        self._running.communicate(timeout=_STOP_S)
        return self._running.returncode

    def stop(self) -> Stopped:
        """Stop it with SIGTERM; return when it is gone."""
        self._running.terminate()
        return self.ended()

    def ended(self) -> Stopped:
        """Return when it has ended, by itself or because it was told to."""
        process = self._running
        rest = rest_of_output(process, within_s=_STOP_S)
        return Stopped(process.returncode, "".join(self._lines) + rest)

    def get(self, path: str, **parameters: str | float) -> dict[str, Any]:
        """Return the answer to a question, such as ``get("/traces", limit=5)``."""
        return self._ask(path, parameters, None)

    def sql(self, query: str, *, limit: int = 10_000) -> list[list[Any]]:
        """Return the rows of a SQL question; none may be missing."""
        answer = self._ask("/sql", {}, {"query": query, "limit": limit})
        assert not answer["truncated"], "ask for less"
        rows: list[list[Any]] = answer["rows"]
        return rows

    def flush(self, *, embeddings: bool = False) -> None:
        """Return when everything that was acknowledged is stored, and embedded if asked for."""
        self._ask("/flush", {"embeddings": int(embeddings)}, {})

    def stats(self) -> dict[str, Any]:
        """Return the totals."""
        return self.get("/stats")

    def send(self, path: str, body: bytes, content_type: str = "application/json") -> Sent:
        """Return the answer to one export request over HTTP."""
        request = urllib.request.Request(
            f"http://{self.http}{path}", data=body, headers={"content-type": content_type}
        )
        try:
            with urllib.request.urlopen(request, timeout=_ASK_S) as answer:
                return Sent(answer.status, answer.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return Sent(refusal.code, refusal.read())

    @property
    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None, "it was not started"
        return self._process

    def _take_address(self, words: list[str]) -> None:
        match words:
            case ["OTLP/gRPC", address, *_]:
                self.grpc = address.rpartition("/")[2]
            case ["OTLP/HTTP", address, *_]:
                self.http = address.rpartition("/")[2]
            case ["query", address, *_]:
                self.query = address.rpartition("/")[2]

    def _ask(self, path: str, parameters: Mapping[str, str | int | float], body: Any) -> dict[str, Any]:
        url = f"http://{self.query}/api/v1{path}"
        if parameters:
            url += "?" + urllib.parse.urlencode(parameters)
        request = urllib.request.Request(
            url,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        deadline = time.monotonic() + _ASK_S
        while True:
            try:
                with urllib.request.urlopen(request, timeout=_ASK_S) as answer:
                    found: dict[str, Any] = json.load(answer)
                    return found
            except urllib.error.HTTPError as refusal:
                with refusal:
                    said = refusal.read().decode(errors="replace")
                if refusal.code != 503 or time.monotonic() > deadline:
                    raise AssertionError(f"{url}: {refusal.code} {said}; its log: {self.log}") from None
                time.sleep(float(refusal.headers["Retry-After"]))
