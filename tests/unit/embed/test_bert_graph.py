"""Rules of the graph that is made from the weights of a BERT, with a small one of random weights."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from receiver.embed import graph_file
from receiver.embed.bert_graph import TOKEN_IDS, Precision, build_bert_graph, holds_bert
from receiver.embed.graph_file import bert_graph, graph_path
from receiver.embed.layout import BertShape, ModelLayout, Pooling
from receiver.embed.source import ModelSource, Runtime

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
safetensors = pytest.importorskip("safetensors.numpy")

_SHAPE = BertShape(layers=2, hidden=32, heads=4, epsilon=1e-12)
_WORDS, _PLACES = 50, 24
_LAYOUT = ModelLayout(dimension=32, max_tokens=_PLACES, pooling="mean", bert=_SHAPE)
Array = NDArray[np.float32]


@pytest.fixture(scope="module")
def tensors() -> dict[str, Array]:
    """Give random weights under the names that BERT's have."""
    random = np.random.default_rng(7)
    hidden, inner = _SHAPE.hidden, 4 * _SHAPE.hidden
    made: dict[str, Array] = {}

    def linear(name: str, outputs: int, inputs: int) -> None:
        made[f"{name}.weight"] = random.normal(0, 0.3, (outputs, inputs)).astype(np.float32)
        made[f"{name}.bias"] = random.normal(0, 0.1, outputs).astype(np.float32)

    def normalisation(name: str) -> None:
        made[f"{name}.weight"] = random.uniform(0.5, 1.5, hidden).astype(np.float32)
        made[f"{name}.bias"] = random.normal(0, 0.2, hidden).astype(np.float32)

    for kind, rows in (("word", _WORDS), ("position", _PLACES), ("token_type", 2)):
        name = f"embeddings.{kind}_embeddings.weight"
        made[name] = random.normal(0, 1, (rows, hidden)).astype(np.float32)
    normalisation("embeddings.LayerNorm")
    for number in range(_SHAPE.layers):
        layer = f"encoder.layer.{number}"
        for part in ("query", "key", "value"):
            linear(f"{layer}.attention.self.{part}", hidden, hidden)
        linear(f"{layer}.attention.output.dense", hidden, hidden)
        normalisation(f"{layer}.attention.output.LayerNorm")
        linear(f"{layer}.intermediate.dense", inner, hidden)
        linear(f"{layer}.output.dense", hidden, inner)
        normalisation(f"{layer}.output.LayerNorm")
    return made


@pytest.fixture
def source(tensors: dict[str, Array], tmp_path: Path) -> ModelSource:
    """Give a model whose weights are in a file."""
    weights = tmp_path / "model.safetensors"
    safetensors.save_file(tensors, weights)
    return ModelSource("small", tmp_path, "ab" * 32, 32, Runtime.GRAPH, "int8", weights)


def _plainly(tensors: dict[str, Array], ids: list[int], pooling: Pooling) -> Array:
    """Return a text's vector as the definition of BERT has it, step by step."""

    def linear(x: Array, name: str) -> Array:
        return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    def normalised(x: Array, name: str) -> Array:
        spread = np.sqrt(x.var(axis=1, keepdims=True) + _SHAPE.epsilon)
        return (x - x.mean(axis=1, keepdims=True)) / spread * tensors[f"{name}.weight"] + tensors[
            f"{name}.bias"
        ]

    x = tensors["embeddings.word_embeddings.weight"][ids]
    x = x + tensors["embeddings.position_embeddings.weight"][: len(ids)]
    x = normalised(x + tensors["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    width = _SHAPE.hidden // _SHAPE.heads
    for number in range(_SHAPE.layers):
        layer = f"encoder.layer.{number}"
        query, key, value = (
            linear(x, f"{layer}.attention.self.{each}") for each in ("query", "key", "value")
        )
        heads = []
        for at in range(0, _SHAPE.hidden, width):
            part = slice(at, at + width)
            weights = np.exp(query[:, part] @ key[:, part].T / math.sqrt(width))
            heads.append(weights / weights.sum(axis=1, keepdims=True) @ value[:, part])
        attended = linear(np.concatenate(heads, axis=1), f"{layer}.attention.output.dense")
        x = normalised(attended + x, f"{layer}.attention.output.LayerNorm")
        inner = linear(x, f"{layer}.intermediate.dense")
        active = inner * 0.5 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
        x = normalised(linear(active, f"{layer}.output.dense") + x, f"{layer}.output.LayerNorm")
    pooled: Array = x.mean(axis=0) if pooling == "mean" else x[0]
    return pooled / np.linalg.norm(pooled)


def _runner(graph: bytes) -> Callable[[list[list[int]]], Array]:
    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda ids: session.run(None, {TOKEN_IDS: np.array(ids, dtype=np.int64)})[0]


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize(("precision", "least"), [("full", 0.999999), ("int8", 0.998)])
def test_a_vector_is_what_the_definition_gives(
    tensors: dict[str, Array], source: ModelSource, pooling: Pooling, precision: Precision, least: float
) -> None:
    """In full precision exactly, in 8 bits nearly; one token or as many as there are places."""
    run = _runner(build_bert_graph(source.weights, _SHAPE, pooling, precision))
    for ids in ([3], [1, 2, 3, 4, 5], list(range(_PLACES))):
        (vector,) = run([ids])
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
        assert float(vector @ _plainly(tensors, ids, pooling)) > least


def test_a_text_has_the_same_vector_beside_any_other(source: ModelSource) -> None:
    """Every token has its own scale, so large values of a neighbour cost a text nothing of its precision."""
    run = _runner(build_bert_graph(source.weights, _SHAPE, "mean", "int8"))
    (alone,) = run([[1, 2, 3]])
    assert np.allclose(run([[9, 8, 7], [1, 2, 3], [4, 4, 4]])[1], alone, atol=1e-6)


def test_weights_under_the_name_bert_are_the_same_model(tensors: dict[str, Array], tmp_path: Path) -> None:
    """Some models are saved with a prefix before every name; one that lacks a tensor is known before it is run."""
    file = tmp_path / "prefixed.safetensors"
    safetensors.save_file({f"bert.{name}": tensor for name, tensor in tensors.items()}, file)
    assert holds_bert(file, _SHAPE)
    (vector,) = _runner(build_bert_graph(file, _SHAPE, "mean", "full"))([[5, 6]])
    assert np.allclose(vector, _plainly(tensors, [5, 6], "mean"), atol=1e-5)
    lacking = {name: tensor for name, tensor in tensors.items() if "layer.1.output.dense.bias" not in name}
    safetensors.save_file(lacking, file)
    assert not holds_bert(file, _SHAPE)
    file.write_bytes(b"not weights")
    assert not holds_bert(file, _SHAPE)


def test_a_graph_is_made_once_and_then_read(
    source: ModelSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second worker needs no weights; the folder is its user's alone, and nothing else is left in it."""
    folder = tmp_path / "models"
    made = bert_graph(source, _LAYOUT, folder)
    source.weights.unlink()
    assert bert_graph(source, _LAYOUT, folder) == made
    assert list(folder.iterdir()) == [graph_path(source, folder)]
    assert (folder.stat().st_mode & 0o77, graph_path(source, folder).stat().st_mode & 0o77) == (0, 0)


@pytest.mark.parametrize("damage", ["flipped", "short", "empty", "no header"])
def test_a_broken_file_is_made_anew(source: ModelSource, tmp_path: Path, damage: str) -> None:
    """What does not fit its checksum is never run; the file is good again afterwards."""
    made = bert_graph(source, _LAYOUT, tmp_path)
    path = graph_path(source, tmp_path)
    good = path.read_bytes()
    broken = {
        "flipped": good[:-9] + bytes([good[-9] ^ 1]) + good[-8:],
        "short": good[:-1],
        "empty": b"",
        "no header": made,
    }
    path.write_bytes(broken[damage])
    assert bert_graph(source, _LAYOUT, tmp_path) == made
    assert path.read_bytes() == good


def test_a_graph_of_other_weights_is_not_taken(source: ModelSource, tmp_path: Path) -> None:
    """A file that was put under another model's name says what it is."""
    bert_graph(source, _LAYOUT, tmp_path)
    path = graph_path(source, tmp_path)
    header, _, graph = path.read_bytes().partition(b"\n")
    other = {**json.loads(header), "weights": "cd" * 32}
    path.write_bytes(json.dumps(other).encode() + b"\n" + graph)
    assert graph_file._kept(path, source) is None


def test_a_folder_that_cannot_be_written_costs_only_time(source: ModelSource, tmp_path: Path) -> None:
    """The graph is made for this start, and nothing fails."""
    (tmp_path / "models").write_text("a file where the folder should be")
    assert bert_graph(source, _LAYOUT, tmp_path / "models") == bert_graph(source, _LAYOUT, None)
