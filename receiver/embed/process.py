"""One embedding worker process, seen from the receiver: started, asked, stopped.

In: lists of texts. Out: lists of arrays. A process that dies, answers nonsense or does not answer within
``ANSWER_S`` raises :class:`WorkerDiedError` and is gone for good; the owner makes a new one.
Threads: all methods belong to one thread, the owner's, and block; only :meth:`WorkerProcess.terminate` and
the property ``pid`` may be used from others.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from receiver.embed.frames import Frame, encode_frame, read_frame
from receiver.embed.worker import WorkerSettings

_LOGGER = logging.getLogger(__name__)

LOAD_S = 300.0
"""A model that is not loaded after so many seconds will not be (usual: 5 to 10)."""
ANSWER_S = 300.0
"""A batch that is not done after so many seconds will not be (usual: below 20 for 32 texts of 8 chunks)."""
_MODULE = "receiver.embed.worker"
_PACKAGE_ROOT = str(Path(__file__).parents[2])


class WorkerDiedError(Exception):
    """The process ended, or did not do as it should and was ended."""


class WorkerRefusedError(Exception):
    """The process is well and says that it cannot do what it was asked."""


class WorkerProcess:
    """A process with a loaded model."""

    def __init__(self, settings: WorkerSettings, *, dimension: int) -> None:
        """Prepare; nothing runs yet."""
        self._settings = settings
        self._dimension = dimension
        self._lock = threading.Lock()
        self._terminated = False
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Return the process id; None where nothing runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def start(self) -> None:
        """Return once the model is loaded.

        Raises:
            WorkerDiedError: The process ended before that.
            WorkerRefusedError: It says that the model cannot be loaded.
        """
        path = os.pathsep.join(filter(None, (_PACKAGE_ROOT, os.environ.get("PYTHONPATH"))))
        with self._lock:
            if self._terminated:
                raise WorkerDiedError("the worker was told to end before it was started")
            self._process = subprocess.Popen(  # noqa: S603 - our own program, started by its module name
                # -P: whatever lies in the directory that the receiver was started in is not imported
                [sys.executable, "-P", "-m", _MODULE, self._settings.to_json()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,
            )
        ready = self._answer(LOAD_S)
        if ready.header.get("dimension") != self._dimension:
            raise WorkerRefusedError(
                f"the model's vectors have {ready.header.get('dimension')} numbers, not {self._dimension}"
            )

    def embed(self, texts: Sequence[str]) -> tuple[list[NDArray[np.float32]], int]:
        """Return each text's vectors, shape ``(chunks, dimension)``, and how many of the texts were cut.

        Raises:
            WorkerDiedError: There is no answer and never will be.
            WorkerRefusedError: The model raised an error over these texts.
        """
        process = self._process
        if process is None or process.stdin is None:
            raise WorkerDiedError("the worker does not run")
        request = memoryview(encode_frame(Frame({"texts": list(texts)})))
        try:
            while request:
                request = request[process.stdin.write(request) :]
        except OSError:
            raise WorkerDiedError(self._ending()) from None
        answer = self._answer(ANSWER_S)
        vectors = np.frombuffer(answer.payload, dtype="<f4").reshape(-1, self._dimension)
        ends = np.cumsum(answer.header["chunks"])
        return np.split(vectors.astype(np.float32, copy=False), ends[:-1]), answer.header["cut"]

    def terminate(self) -> None:
        """Tell the process to end at once, or not to begin. Threads: any; never blocks."""
        with self._lock:
            self._terminated = True
            if self._process is not None:
                self._process.terminate()

    def stop(self, grace_s: float) -> None:
        """Return once no process is left: end of input, SIGTERM, SIGKILL, a third of ``grace_s`` for each."""
        process = self._process
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        for number in (None, signal.SIGTERM, signal.SIGKILL):
            if number is not None:
                process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace_s / 3)
                return
        _LOGGER.error("embedding worker %s outlived SIGKILL by %.1f s", process.pid, grace_s / 3)

    def _answer(self, timeout_s: float) -> Frame:
        process = self._process
        if process is None or process.stdout is None:
            raise WorkerDiedError("the worker does not run")
        stream = process.stdout.fileno()
        deadline = time.monotonic() + timeout_s
        poll = select.poll()
        poll.register(stream, select.POLLIN)

        def read(size: int) -> bytes:
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise WorkerDiedError(f"the worker did not answer within {timeout_s:.0f} s")
            return os.read(stream, size)

        try:
            frame = read_frame(read)
        except EOFError:
            raise WorkerDiedError(self._ending()) from None
        if "error" in frame.header:
            raise WorkerRefusedError(frame.header["error"])
        return frame

    def _ending(self) -> str:
        """Say how the process ended; its pipe closed a moment ago, so it is about to."""
        if self._process is None:
            return "the worker does not run"
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return "the worker closed its output"
        return f"the worker was killed by signal {-code}" if code < 0 else f"the worker exited with {code}"
