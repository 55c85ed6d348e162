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
from typing import Any, NoReturn

from receiver.embed.chunking import Chunks, Offsets, chunk_text
from receiver.embed.frames import Frame, encode_frame, read_frame

_NICENESS = 10


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker has to know."""

    path: str
    """Folder of the model."""
    device: str
    threads: int
    chunk_tokens: int
    max_chunks: int

    def to_json(self) -> str:
        """Return the settings as the program takes them."""
        return json.dumps(asdict(self))


class _Model:
    """The loaded model. Slow to make: 5 to 10 s, most of it imports."""

    def __init__(self, settings: WorkerSettings) -> None:
        import torch  # noqa: PLC0415 - after the environment is set, and never in the receiver
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - as above
        from transformers.utils import logging as transformers_logging  # noqa: PLC0415 - as above

        torch.set_num_threads(settings.threads)
        library_log: Any = transformers_logging
        library_log.set_verbosity_error()
        library_log.disable_progress_bar()
        self._model: Any = SentenceTransformer(settings.path, device=settings.device, local_files_only=True)
        model = (
            self._model
        )  # sentence-transformers renamed the method in 5.3 and keeps the old name for a while
        width: Any = getattr(model, "get_embedding_dimension", None) or model.get_sentence_embedding_dimension
        self.dimension = int(width())
        room = (
            self._model.max_seq_length or settings.chunk_tokens + 2
        ) - 2  # the tokens that mark start and end
        self._chunk_tokens = min(settings.chunk_tokens, room)
        self._max_chunks = settings.max_chunks

    def embed(self, texts: Sequence[str]) -> Frame:
        """Return the vectors of every text's chunks; a chunk that stands twice is embedded once."""
        chunked = [self._chunk(text) for text in texts]
        rows = {piece: row for row, piece in enumerate(dict.fromkeys(p for c in chunked for p in c.texts))}
        vectors: Any = self._model.encode(
            list(rows),
            batch_size=max(1, len(texts)),
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        ordered = vectors[[rows[piece] for c in chunked for piece in c.texts]].astype("<f4", copy=False)
        return Frame(
            {"chunks": [len(c.texts) for c in chunked], "cut": sum(c.cut for c in chunked)},
            ordered.tobytes(),
        )

    def _chunk(self, text: str) -> Chunks:
        return chunk_text(text, self._offsets, chunk_tokens=self._chunk_tokens, max_chunks=self._max_chunks)

    def _offsets(self, text: str) -> Offsets:
        encoded: Any = self._model.tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False
        )
        offsets: Offsets = encoded["offset_mapping"]
        return offsets


def main(arguments: Sequence[str]) -> int:
    """Serve requests until the input ends; return 1 if the model cannot be loaded."""
    settings = WorkerSettings(**json.loads(arguments[0]))
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
