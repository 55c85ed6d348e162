"""Rules of what runs a model, and of the identity that its vectors get by that."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from receiver.config import EmbedConfig
from receiver.embed import model as model_module
from receiver.embed.model import resolve_model
from receiver.embed.source import Runtime
from receiver.errors import EmbeddingUnavailableError

safetensors = pytest.importorskip("safetensors.numpy")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a model folder as the hub has them: a BERT without layers, mean pooling, normalisation."""
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in kinds.items()]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    (tmp_path / "tokenizer.json").write_text("{}")
    bert = {"model_type": "bert", "hidden_size": 12, "num_hidden_layers": 0, "num_attention_heads": 2}
    (tmp_path / "config.json").write_text(json.dumps(bert))
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    tables = [f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")]
    names = [*tables, "embeddings.LayerNorm.weight", "embeddings.LayerNorm.bias"]
    safetensors.save_file({name: np.zeros(1, np.float32) for name in names}, tmp_path / "model.safetensors")
    return tmp_path


@pytest.fixture(params=[True, False], ids=["8 bits", "no 8 bits"])
def int8(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Let the processor have instructions for 8 bits, or not."""
    monkeypatch.setattr(model_module, "int8_is_exact", lambda: request.param)
    return bool(request.param)


def _config(folder: Path, **more: object) -> EmbedConfig:
    return EmbedConfig.model_validate({"model_path": str(folder), **more})


def test_a_bert_runs_in_8_bits_where_the_processor_can(folder: Path, int8: bool) -> None:
    """Where it cannot, products would overflow without an error, so the full precision is taken."""
    source = resolve_model(_config(folder))
    assert (source.runtime, source.precision) == (Runtime.GRAPH, "int8" if int8 else "full")
    assert source.identity.endswith(":normalized:int8.1" if int8 else ":normalized")
    assert source.stand_in == (source.identity.removesuffix(":int8.1") if int8 else None)


def test_the_full_precision_has_one_identity_whatever_runs_it(folder: Path) -> None:
    """A change of the runtime alone leaves every vector valid."""
    identities = {
        resolve_model(_config(folder, precision="full", runtime=runtime)).identity
        for runtime in ("onnx", "sentence-transformers")
    }
    assert len(identities) == 1


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("config.json", '{"model_type": "mpnet", "hidden_size": 12}', "no BERT"),
        ("1_Pooling/config.json", '{"pooling_mode_max_tokens": true}', "modules besides"),
        ("config_sentence_transformers.json", '{"default_prompt_name": "query"}', "modules besides"),
        ("model.safetensors", "not weights", "no BERT"),
    ],
)
def test_a_model_that_is_no_plain_bert_runs_with_torch(
    folder: Path, file: str, content: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says why, once; who insists on onnxruntime is told the same."""
    (folder / file).write_text(content)
    with caplog.at_level(logging.INFO):
        assert resolve_model(_config(folder)).runtime is Runtime.SENTENCE_TRANSFORMERS
    assert [reason in record.message for record in caplog.records] == [True]
    with pytest.raises(EmbeddingUnavailableError, match=reason):
        resolve_model(_config(folder, runtime="onnx"))


def test_another_device_needs_torch(folder: Path) -> None:
    """A GPU is sentence-transformers' to use."""
    assert resolve_model(_config(folder, device="cuda")).runtime is Runtime.SENTENCE_TRANSFORMERS


def test_without_onnxruntime_torch_runs_the_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation from before goes on as it did, with vectors that fit those it has."""
    monkeypatch.setattr(model_module, "GRAPH_MODULES", ("no_such_module",))
    source = resolve_model(_config(folder))
    assert (source.runtime, source.precision) == (Runtime.SENTENCE_TRANSFORMERS, "full")


def test_ready_weights_are_used_where_no_graph_can_be_made(folder: Path, int8: bool) -> None:
    """They need no torch and no other weights; vectors carry the digest of the file that made them."""
    (folder / "config.json").write_text('{"model_type": "mpnet", "hidden_size": 12}')
    (folder / "model.safetensors").unlink()
    (folder / "onnx").mkdir()
    for name in ("model.onnx", "model_quint8_avx2.onnx"):
        (folder / "onnx" / name).write_text(name)
    small, full = resolve_model(_config(folder)), resolve_model(_config(folder, precision="full"))
    assert small.runtime is full.runtime is Runtime.ONNX_FILE
    assert small.weights.name == ("model_quint8_avx2.onnx" if int8 else "model.onnx")
    assert full.weights.name == "model.onnx"
    assert (small.identity != full.identity) is int8
