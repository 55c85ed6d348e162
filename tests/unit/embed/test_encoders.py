"""Rules of running a model with onnxruntime, with ready weights of a few numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from receiver.embed.encoders import OnnxEncoder
from receiver.embed.source import ModelSource, Runtime

onnx: Any = pytest.importorskip("onnx")
helper: Any = pytest.importorskip("onnx.helper")
numpy_helper: Any = pytest.importorskip("onnx.numpy_helper")
tokenizers: Any = pytest.importorskip("tokenizers")
pytest.importorskip("onnxruntime")

_TABLE = np.array([[9, 9, 9], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
_WORDS = {"[UNK]": 0, "red": 1, "green": 2, "blue": 3}


def _source(folder: Path, pooling: str) -> ModelSource:
    kinds = {"": "Transformer", "1": "Pooling"}
    (folder / "modules.json").write_text(json.dumps([{"path": p, "type": k} for p, k in kinds.items()]))
    (folder / "config.json").write_text('{"hidden_size": 3}')
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 6}')
    (folder / "1").mkdir()
    (folder / "1" / "config.json").write_text(json.dumps({f"pooling_mode_{pooling}": True}))
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(_WORDS, unk_token="[UNK]"))  # noqa: S106 - no secret
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    kinds_of = onnx.TensorProto
    inputs = [
        helper.make_tensor_value_info(name, kinds_of.INT64, ["texts", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("last_hidden_state", kinds_of.FLOAT, ["texts", "tokens", 3])
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["found"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=kinds_of.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["found", "column"], ["last_hidden_state"]),
    ]
    constants = [
        numpy_helper.from_array(_TABLE, "table"),
        numpy_helper.from_array(np.array([2]), "last"),
    ]
    graph = helper.make_graph(nodes, "table", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, str(folder / "model.onnx"))
    return ModelSource("table", folder, "ab" * 32, 3, Runtime.ONNX_FILE, "full", folder / "model.onnx")


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    ("pooling", "mixed"), [("mean_tokens", [2 / 5**0.5, 1 / 5**0.5, 0]), ("cls_token", [1, 0, 0])]
)
def test_ready_weights_are_pooled_and_normalised(
    tmp_path: Path, pooling: str, mixed: list[float], threads: int
) -> None:
    """In the order of the texts, whatever their lengths; what a model does not read of a text is cut."""
    encoder = OnnxEncoder(_source(tmp_path, pooling), threads=threads, cache=None)
    texts = ["red green red", "blue", "red red red red red red blue blue blue", "green", "red red green"]
    vectors = encoder.encode(texts)
    expected = np.array([mixed, [0, 0, 1], [1, 0, 0], [0, 1, 0], mixed], dtype=np.float32)
    assert np.allclose(vectors, expected, atol=1e-6)
    assert (encoder.dimension, encoder.max_tokens) == (3, 6)
    assert list(encoder.offsets("red  blue " * 4))[:2] == [(0, 3), (5, 9)]
    assert len(encoder.offsets("red blue " * 4)) == 8
    encoder.close()
