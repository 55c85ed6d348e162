"""The program of an embedding worker: ``python -m receiver.embed.worker SETTINGS`` (JSON).

In, on standard input: frames with ``{"texts": [...]}``. Out, on standard output: one frame when the model is
loaded, then one for each request, with the vectors as float32 in the payload. It answers one request at a
time, runs at a low priority, and ends as soon as its input ends, whatever it is doing: a worker never
outlives the receiver. Importing this module imports no model library.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from receiver.embed.chunking import Chunks, chunk_text
from receiver.embed.encoders import Encoder, OnnxEncoder, SentenceTransformersEncoder
from receiver.embed.frames import Frame, encode_frame, read_frame
from receiver.embed.source import ModelSource, Runtime

_NICENESS = 10


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker has to know."""

    source: ModelSource
    cache: Path | None
    """Folder of what is made from the model's weights."""
    device: str
    threads: int
    chunk_tokens: int
    max_chunks: int

    def to_json(self) -> str:
        """Return the settings as the program takes them."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> WorkerSettings:
        """Return the settings that :meth:`to_json` wrote."""
        values = json.loads(text)
        source = values.pop("source")
        source.update(
            path=Path(source["path"]), weights=Path(source["weights"]), runtime=Runtime(source["runtime"])
        )
        cache = values.pop("cache")
        return cls(source=ModelSource(**source), cache=Path(cache) if cache else None, **values)


class _Model:
    """The loaded model and its way of cutting texts."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._encoder = _load(settings)
        self.dimension = self._encoder.dimension
        room = (
            self._encoder.max_tokens or settings.chunk_tokens + 2
        ) - 2  # the tokens that mark start and end
        self._chunk_tokens = min(settings.chunk_tokens, room)
        self._max_chunks = settings.max_chunks

    def embed(self, texts: Sequence[str]) -> Frame:
        """Return the vectors of every text's chunks; a chunk that stands twice is embedded once."""
        chunked = [self._chunk(text) for text in texts]
        rows = {piece: row for row, piece in enumerate(dict.fromkeys(p for c in chunked for p in c.texts))}
        vectors = self._encoder.encode(list(rows))
        ordered = vectors[[rows[piece] for c in chunked for piece in c.texts]].astype("<f4", copy=False)
        return Frame(
            {"chunks": [len(c.texts) for c in chunked], "cut": sum(c.cut for c in chunked)},
            ordered.tobytes(),
        )

    def _chunk(self, text: str) -> Chunks:
        return chunk_text(
            text, self._encoder.offsets, chunk_tokens=self._chunk_tokens, max_chunks=self._max_chunks
        )


def _load(settings: WorkerSettings) -> Encoder:
    source = settings.source
    if source.runtime is Runtime.SENTENCE_TRANSFORMERS:
        return SentenceTransformersEncoder(source, device=settings.device, threads=settings.threads)
    return OnnxEncoder(source, threads=settings.threads, cache=settings.cache)


def main(arguments: Sequence[str]) -> int:
    """Serve requests until the input ends; return 1 if the model cannot be loaded."""
    settings = WorkerSettings.from_json(arguments[0])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the receiver, which then ends its workers
    os.nice(_NICENESS)
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a library that prints must not break a frame
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    os.environ.update(
        OMP_NUM_THREADS=str(settings.threads),
        MKL_NUM_THREADS=str(settings.threads),
        TOKENIZERS_PARALLELISM="false",
        HF_HUB_OFFLINE="1",
        TRANSFORMERS_OFFLINE="1",
        HF_HUB_DISABLE_PROGRESS_BARS="1",
        HF_HUB_DISABLE_TELEMETRY="1",
    )
    # Read from a thread of its own, from the first moment on: only so the end of the receiver is noticed
    # while the model is loading or working.
    requests: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    try:
        model = _Model(settings)
    except Exception as error:  # noqa: BLE001 - task boundary: the receiver is told, whatever it was
        _send(answers, Frame({"error": _describe(error)}))
        return 1
    _send(answers, Frame({"dimension": model.dimension}))
    while True:
        _send(answers, _answer(model.embed, requests.get()))


def _answer(embed: Callable[[Sequence[str]], Frame], texts: Sequence[str]) -> Frame:
    try:
        return embed(texts)
    except Exception as error:  # noqa: BLE001 - task boundary: the receiver decides about the texts
        return Frame({"error": _describe(error)})


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]


def _read_requests(requests: queue.SimpleQueue[list[str]]) -> NoReturn:
    stream = sys.stdin.fileno()
    while True:
        try:
            requests.put(read_frame(lambda size: os.read(stream, size)).header["texts"])
        except EOFError:
            os._exit(0)  # the receiver is gone or wants us gone; a batch in hand is of no use to anyone


def _send(stream: int, frame: Frame) -> None:
    rest = memoryview(encode_frame(frame))
    while rest:
        rest = rest[os.write(stream, rest) :]


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # the receiver died between a request and its answer
        sys.exit(main(sys.argv[1:]))
