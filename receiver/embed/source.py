"""A model that lies in a folder of this machine, and what runs it: what the receiver tells its workers.

Standard library and numpy only: a worker imports this, and should be ready soon.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from receiver.embed.bert_graph import GRAPH_VERSION, Precision


class Runtime(StrEnum):
    """What runs the model."""

    GRAPH = "onnx"
    """onnxruntime, with a graph that is made from the weights."""
    ONNX_FILE = "onnx-file"
    """onnxruntime, with ready ONNX weights."""
    SENTENCE_TRANSFORMERS = "sentence-transformers"


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model that lies in a folder of this machine."""

    name: str
    """Without the organisation ``sentence-transformers``: both spellings are the same model."""
    path: Path
    digest: str
    """SHA-256 of the weights, lower-case hex."""
    dimension: int
    runtime: Runtime = Runtime.SENTENCE_TRANSFORMERS
    precision: Precision = "full"
    """``int8``: of a graph that is made from the weights; ready weights are what they are."""
    weights: Path = Path()
    """The file that onnxruntime needs; not set for sentence-transformers."""

    @property
    def identity(self) -> str:
        """Return what vectors of this model are marked with.

        Those of the full precision are the same whatever computes them (to six digits) and have one identity.
        """
        full = f"{self.name}@{self.digest[:12]}:{self.dimension}:normalized"
        return full if self.precision == "full" else f"{full}:{self.precision}.{GRAPH_VERSION}"

    @property
    def stand_in(self) -> str | None:
        """Return the identity of vectors that a question may be compared with until a text has its own.

        They are of the same weights in full precision; docs/adr/0015 has what it costs.
        """
        return None if self.precision == "full" else self.identity.rpartition(":")[0]
