"""Rules of finding and identifying the model."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from receiver.config import EmbedConfig
from receiver.embed import model as model_module
from receiver.embed.model import PACKAGED_DIGEST, resolve_model
from receiver.errors import EmbeddingUnavailableError


def _model_folder(folder: Path, *, dense: int | None = None) -> Path:
    modules = [{"path": ""}, {"path": "1_Pooling"}, {"path": "2_Normalize"}]
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "config.json").write_text(json.dumps({"hidden_size": 12}))
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 12}))
    if dense is not None:
        modules.insert(2, {"path": "2_Dense"})
        (folder / "2_Dense").mkdir()
        (folder / "2_Dense" / "config.json").write_text(
            json.dumps({"in_features": 12, "out_features": dense})
        )
    (folder / "modules.json").write_text(json.dumps(modules))
    return folder


@pytest.mark.model
@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"])
def test_the_packaged_model_is_the_published_one(name: str) -> None:
    """Both spellings of the name give the installed package, whose weights have the published digest."""
    source = resolve_model(EmbedConfig(model=name))
    assert source.digest == PACKAGED_DIGEST
    assert source.identity.startswith("all-MiniLM-L6-v2@53aa51172d14:384:normalized")
    assert (source.path / "tokenizer.json").exists()


def test_a_configured_folder_goes_before_the_package(tmp_path: Path) -> None:
    """What the user names is used, and its vectors are marked with the digest of its weights."""
    folder = _model_folder(tmp_path / "mine")
    source = resolve_model(EmbedConfig(model="all-MiniLM-L6-v2", model_path=str(folder)))
    digest = hashlib.sha256(b"weights").hexdigest()
    assert source.path == folder
    assert source.identity == f"all-MiniLM-L6-v2@{digest[:12]}:12:normalized"


def test_other_weights_are_another_identity(tmp_path: Path) -> None:
    """Vectors of a model that was trained further are never compared with those from before."""
    folder = _model_folder(tmp_path / "mine")
    before = resolve_model(EmbedConfig(model_path=str(folder))).identity
    (folder / "model.safetensors").write_bytes(b"other weights")
    assert resolve_model(EmbedConfig(model_path=str(folder))).identity != before


def test_a_dense_layer_decides_the_dimension(tmp_path: Path) -> None:
    """The last module that changes the width of the vectors counts."""
    folder = _model_folder(tmp_path / "mine", dense=5)
    assert resolve_model(EmbedConfig(model_path=str(folder))).dimension == 5


def test_weights_with_another_digest_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package under the right name with other weights is an error that names both digests."""
    package = tmp_path / "packaged_weights"
    _model_folder(package / "model")
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(model_module, "PACKAGED_MODULE", "packaged_weights")
    with pytest.raises(EmbeddingUnavailableError, match=PACKAGED_DIGEST) as raised:
        resolve_model(EmbedConfig())
    assert hashlib.sha256(b"weights").hexdigest() in str(raised.value)


@pytest.mark.parametrize(
    ("remove", "reason"),
    [("model.safetensors", "no model weights"), ("config.json", "how long its vectors are")],
)
def test_a_folder_without_a_model_says_what_is_missing(tmp_path: Path, remove: str, reason: str) -> None:
    """The reason names the folder, so that a wrong embed.model_path is found at a glance."""
    folder = _model_folder(tmp_path / "mine")
    for file in [*folder.glob(remove), *folder.glob(f"*/{remove}")]:
        file.unlink()
    with pytest.raises(EmbeddingUnavailableError, match=reason) as raised:
        resolve_model(EmbedConfig(model_path=str(folder)))
    assert str(folder) in str(raised.value)


def test_looking_the_model_up_imports_no_model_library(tmp_path: Path) -> None:
    """The receiver's own process stays small and starts fast."""
    folder = _model_folder(tmp_path / "mine")
    program = (
        "import sys; from receiver.config import EmbedConfig; from receiver.embed.model import resolve_model;"
        "import receiver.embed.pool, receiver.embed.index, receiver.embed.backlog;"
        f"resolve_model(EmbedConfig(model_path={str(folder)!r}));"
        "print(sorted({'torch', 'sentence_transformers', 'onnx', 'onnxruntime', 'tokenizers', 'usearch'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
