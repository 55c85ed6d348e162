"""The two ways to run a model inside a worker: onnxruntime with tokenizers, and sentence-transformers with torch.

In: texts that the model reads whole. Out: their vectors of unit length. Making one imports the libraries and loads
the weights; importing this module does neither. Worker processes only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from receiver.embed.bert_graph import TOKEN_IDS
from receiver.embed.chunking import Offsets
from receiver.embed.graph_file import bert_graph
from receiver.embed.layout import TOKENIZER, Pooling, read_layout
from receiver.embed.source import ModelSource, Runtime

Vectors = NDArray[np.float32]

_DEFAULT_TOKENS = 512
_MOST_TOGETHER = 256
"""Tokens in one call of onnxruntime, where more than one text is in it: more gain nothing measurable and take memory."""


class Encoder(Protocol):
    """**Protocol:** a loaded model. Threads: one at a time."""

    dimension: int
    max_tokens: int | None
    """Tokens that it reads of one text, those that mark start and end counted."""

    def offsets(self, text: str) -> Offsets:
        """Return where each token starts and ends in the text, those that mark start and end left out."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return one row of unit length for each text."""
        ...


class OnnxEncoder:
    """A model as an ONNX graph, one text at a time or several of equal length: nothing is padded.

    So the vector of a text does not depend on the texts beside it, whatever the graph was quantized with, and short
    texts cost what short texts cost.
    """

    def __init__(self, source: ModelSource, *, threads: int, cache: Path | None) -> None:
        """Load; a graph that is written from the weights is made first, once (below a second).

        Args:
            source: Whose runtime is one of onnxruntime's.
            threads: Texts that are worked on at a time.
            cache: Folder where a graph that was made is kept; None: it is made anew each time.
        """
        import onnxruntime  # noqa: PLC0415 - part of the extra, and never in the receiver
        from tokenizers import Tokenizer  # noqa: PLC0415 - as above

        layout = read_layout(source.path)
        self.dimension = layout.dimension
        self.max_tokens = layout.max_tokens
        self._tokenizer: Any = Tokenizer.from_file(str(source.path / TOKENIZER))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._limit = self.max_tokens or _DEFAULT_TOKENS
        options: Any = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # texts side by side, see encode
        options.enable_cpu_mem_arena = False  # no slower without, as far as can be measured
        options.log_severity_level = 3
        graph: bytes | str
        if source.runtime is Runtime.ONNX_FILE:
            graph = str(source.weights)
            self._pooling: Pooling | None = layout.pooling
        else:
            graph = bert_graph(source, layout, cache)
            self._pooling = None  # the graph does it
        self._session: Any = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._inputs = {each.name for each in self._session.get_inputs()}
        self._threads = ThreadPoolExecutor(threads) if threads > 1 else None

    def offsets(self, text: str) -> Offsets:
        """Return the places of the tokens."""
        offsets: Offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return offsets

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors, in the order of the texts."""
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        self._tokenizer.enable_truncation(self._limit)
        groups = list(_of_equal_length([each.ids for each in self._tokenizer.encode_batch(list(texts))]))
        self._tokenizer.no_truncation()
        calls = [np.array([ids for _, ids in group], dtype=np.int64) for group in groups]
        run = self._threads.map if self._threads else map
        for group, rows in zip(groups, run(self._run, calls), strict=True):
            vectors[[number for number, _ in group]] = rows
        return vectors

    def close(self) -> None:
        """End the threads; a worker process just ends."""
        if self._threads:
            self._threads.shutdown()

    def _run(self, ids: NDArray[np.int64]) -> Vectors:
        if self._pooling is None:
            rows: Vectors = self._session.run(None, {TOKEN_IDS: ids})[0]
            return rows
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        tokens = self._session.run(None, {name: given[name] for name in given.keys() & self._inputs})[0]
        pooled: Vectors = tokens[:, 0] if self._pooling == "cls" else tokens.mean(axis=1)
        return pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)


def _of_equal_length(texts: Sequence[list[int]]) -> Iterator[list[tuple[int, list[int]]]]:
    """Yield the texts with their places, in groups that one call can take."""
    group: list[tuple[int, list[int]]] = []
    for place in sorted(range(len(texts)), key=lambda number: len(texts[number])):
        length = len(texts[place])
        if group and (len(group[0][1]) != length or (len(group) + 1) * length > _MOST_TOGETHER):
            yield group
            group = []
        group.append((place, texts[place]))
    if group:
        yield group


class SentenceTransformersEncoder:
    """Any model that sentence-transformers loads, on any device of torch. Slow to make: 5 to 10 s, most of it imports."""

    def __init__(self, source: ModelSource, *, device: str, threads: int) -> None:
        """Import torch and load."""
        import torch  # noqa: PLC0415 - after the environment is set, and never in the receiver
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - as above
        from transformers.utils import logging as transformers_logging  # noqa: PLC0415 - as above

        torch.set_num_threads(threads)
        library_log: Any = transformers_logging
        library_log.set_verbosity_error()
        library_log.disable_progress_bar()
        model: Any = SentenceTransformer(str(source.path), device=device, local_files_only=True)
        # sentence-transformers renamed the method in 5.3 and keeps the old name for a while
        width: Any = getattr(model, "get_embedding_dimension", None) or model.get_sentence_embedding_dimension
        self._model = model
        self.dimension = int(width())
        self.max_tokens: int | None = model.max_seq_length

    def offsets(self, text: str) -> Offsets:
        """Return the places of the tokens."""
        encoded: Any = self._model.tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False
        )
        offsets: Offsets = encoded["offset_mapping"]
        return offsets

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors; all texts in one call of the model."""
        vectors: Vectors = self._model.encode(
            list(texts),
            batch_size=max(1, len(texts)),
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return vectors
