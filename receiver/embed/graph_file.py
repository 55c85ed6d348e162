"""The file that keeps a graph which was made from a model's weights: a cache, written whole or not at all.

In: a model that is a plain BERT. Out: its graph as bytes. One file for each model, precision and version of the
maker; its first line says which, with a checksum over the rest. Whatever does not fit is made anew.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import xxhash

from receiver.embed.bert_graph import GRAPH_VERSION, build_bert_graph
from receiver.embed.layout import ModelLayout
from receiver.embed.source import ModelSource

_LOGGER = logging.getLogger(__name__)
_FORMAT = 1
_HEADER_LIMIT = 4096


def graph_path(source: ModelSource, folder: Path) -> Path:
    """Return where the graph of a model is kept."""
    return folder / f"{source.digest[:12]}-{source.precision}-{GRAPH_VERSION}.graph"


def bert_graph(source: ModelSource, layout: ModelLayout, folder: Path | None) -> bytes:
    """Return the graph of a model, from its file if that is good, and keep it if it had to be made.

    Args:
        source: Whose encoder is a plain BERT.
        layout: Of the same model.
        folder: Where graphs are kept, made if it is missing; None: nothing is read or kept.

    A folder that cannot be written costs the next start the making, no more.
    Threads: any, several processes at a time too; blocks, below a second where it is made.
    """
    if layout.bert is None or layout.pooling is None:
        msg = f"{source.name} is no plain BERT"
        raise ValueError(msg)
    path = graph_path(source, folder) if folder else None
    if path is not None and (kept := _kept(path, source)) is not None:
        return kept
    graph = build_bert_graph(source.weights, layout.bert, layout.pooling, source.precision)
    if path is not None:
        try:
            _keep(path, source, graph)
        except OSError as error:
            _LOGGER.warning("the model's graph is not kept, the next start makes it again: %s", error)
    return graph


def _kept(path: Path, source: ModelSource) -> bytes | None:
    try:
        with path.open("rb") as stream:
            header: dict[str, Any] = json.loads(stream.readline(_HEADER_LIMIT))
            graph = stream.read()
        return graph if header == _header(source, graph) else None
    except (OSError, ValueError):
        return None


def _keep(path: Path, source: ModelSource, graph: bytes) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    scratch = path.with_name(f"{path.name}.{os.getpid()}")  # several workers may start at the same moment
    try:
        with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:  # noqa: PTH123 - with a mode
            stream.write(json.dumps(_header(source, graph)).encode("ascii") + b"\n")
            stream.write(graph)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _header(source: ModelSource, graph: bytes) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "graph": GRAPH_VERSION,
        "weights": source.digest,
        "precision": source.precision,
        "bytes": len(graph),
        "checksum": xxhash.xxh3_128_hexdigest(graph),
    }
