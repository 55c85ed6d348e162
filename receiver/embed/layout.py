"""How a model's folder is laid out: what its modules are, and whether its encoder is a plain BERT.

In: a folder as sentence-transformers writes it. Out: a :class:`ModelLayout`. Only JSON is read, no weights.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Pooling = Literal["mean", "cls"]
TOKENIZER = "tokenizer.json"
WEIGHTS = "model.safetensors"
_MODULES_WITH_MEANING = {"Transformer", "Pooling", "Normalize"}


@dataclass(frozen=True, slots=True)
class BertShape:
    """What the configuration of a BERT encoder says about it."""

    layers: int
    hidden: int
    heads: int
    epsilon: float
    """Of the layer normalisations."""


@dataclass(frozen=True, slots=True)
class ModelLayout:
    """What the JSON files of a model's folder say."""

    dimension: int
    """Length of its vectors."""
    max_tokens: int | None
    """Tokens that it reads of one text, those that mark start and end counted."""
    pooling: Pooling | None
    """How the tokens' vectors become one; None where other modules than pooling and length are needed for it."""
    bert: BertShape | None
    """None: it is no BERT, or not a plain one."""


def read_layout(folder: Path) -> ModelLayout:
    """Return how the model in the folder is built.

    Raises:
        OSError: A file cannot be read.
        ValueError: The length of its vectors is not said, or a file is no JSON.
    """
    modules: list[dict[str, Any]] = _json(folder / "modules.json") or [{"path": ""}]
    configs = {str(each["path"]): _json(folder / each["path"] / "config.json") or {} for each in modules}
    dimension = 0
    for config in configs.values():  # the last module that changes the width decides
        for key in ("hidden_size", "word_embedding_dimension", "out_features"):
            dimension = config.get(key, dimension)
    if not dimension:
        msg = "its configuration does not say how long its vectors are"
        raise ValueError(msg)
    encoder = _json(folder / "config.json") or {}
    reading = _json(folder / "sentence_bert_config.json") or {}
    prompts = _json(folder / "config_sentence_transformers.json") or {}
    kinds = [str(each.get("type", "")).rpartition(".")[2] for each in modules]
    plain = (
        set(kinds) <= _MODULES_WITH_MEANING
        and kinds[:2] == ["Transformer", "Pooling"]
        and not reading.get("do_lower_case")
        and not prompts.get("default_prompt_name")
        and (folder / TOKENIZER).is_file()
    )
    limits = [
        int(limit)
        for limit in (reading.get("max_seq_length"), encoder.get("max_position_embeddings"))
        if limit
    ]
    return ModelLayout(
        dimension=int(dimension),
        max_tokens=min(limits, default=None),
        pooling=_pooling(configs[str(modules[1]["path"])]) if plain else None,
        bert=_bert(encoder),
    )


def _json(file: Path) -> Any:
    return json.loads(file.read_text("utf-8")) if file.is_file() else None


def _pooling(config: dict[str, Any]) -> Pooling | None:
    """Return the one way of pooling that is switched on; the names are sentence-transformers'."""
    modes = {
        key.removeprefix("pooling_mode_")
        for key, on in config.items()
        if key.startswith("pooling_mode_") and on
    }
    if modes == {"mean_tokens"} or config.get("pooling_mode") == "mean":
        return "mean"
    if modes == {"cls_token"} or config.get("pooling_mode") == "cls":
        return "cls"
    return None


def _bert(config: dict[str, Any]) -> BertShape | None:
    plain = (
        config.get("model_type") == "bert"
        and config.get("hidden_act", "gelu") == "gelu"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and not config.get("is_decoder")
    )
    try:
        return (
            BertShape(
                layers=int(config["num_hidden_layers"]),
                hidden=int(config["hidden_size"]),
                heads=int(config["num_attention_heads"]),
                epsilon=float(config.get("layer_norm_eps", 1e-12)),
            )
            if plain
            else None
        )
    except KeyError:
        return None
