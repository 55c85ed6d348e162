"""A BERT sentence encoder as an ONNX graph, written straight from its weights: no torch, no tracing.

In: the weights of a plain BERT. Out: the bytes of a graph that turns texts of equal length, as token ids of shape
``(texts, tokens)``, into their vectors of unit length, with onnxruntime's own fused operators where it has them.
Texts of one call have one length, so that nothing is padded and nothing masked.

In 8 bits, every token's activations have a scale of their own: a scale for the whole tensor, which is what
onnxruntime's dynamic quantization makes, costs several times the error, and the vector of a text would
depend on the texts beside it. docs/adr/0015 has the measurements.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from receiver.embed.layout import BertShape, Pooling

Precision = Literal["full", "int8"]
Array = NDArray[np.float32]

GRAPH_VERSION = 1
"""Goes up with every change after which the same text has another vector: it is part of int8's identity."""
TOKEN_IDS, VECTORS = "token_ids", "vectors"
_OPSET = 18
_IR_VERSION = 9
_FUSED = "com.microsoft"
_GELU_FLOOR = 0.17
"""GELU is never below -0.16997, so GELU + 0.17 needs no sign and has the whole range of 8 bits."""
_SPREAD = 3.0
"""How many standard deviations of a normalised channel count as its reach, where a channel's scale is chosen."""
_MOVED = 0.7
"""How much of the differences between channels goes into the weights; 0.5 to 0.8 differ little."""

_PARTS = (
    *(f"attention.self.{part}" for part in ("query", "key", "value")),
    *("attention.output.dense", "attention.output.LayerNorm"),
    *("intermediate.dense", "output.dense", "output.LayerNorm"),
)
_HEADER_LIMIT = 16 << 20


def build_bert_graph(weights: Path, shape: BertShape, pooling: Pooling, precision: Precision) -> bytes:
    """Return the graph.

    Args:
        weights: ``model.safetensors`` of the encoder.
        shape: Of the same model.
        pooling: How the tokens' vectors become one.
        precision: ``int8``: matrices as 8-bit integers, a quarter of the size.

    Raises:
        KeyError: A weight that a BERT has is not there.
        OSError, ValueError: The file cannot be read.
    """
    from safetensors.numpy import load_file  # noqa: PLC0415 - part of the extra

    tensors = load_file(weights)
    prefix = "bert." if any(name.startswith("bert.") for name in tensors) else ""
    return _Graph({name.removeprefix(prefix): tensors[name] for name in tensors}, shape, precision).build(
        pooling
    )


def holds_bert(weights: Path, shape: BertShape) -> bool:
    """Return True if a file of weights has every tensor that the graph needs; its first bytes name them."""
    try:
        with weights.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            names = json.loads(stream.read(min(length, _HEADER_LIMIT)))
    except (OSError, ValueError):
        return False
    bare = {name.removeprefix("bert.") for name in names}
    layers = ["embeddings.LayerNorm"]
    for number in range(shape.layers):
        layers += [f"encoder.layer.{number}.{part}" for part in _PARTS]
    tables = [f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")]
    return bare.issuperset([*tables, *(f"{name}.{each}" for name in layers for each in ("weight", "bias"))])


class _Graph:
    """Nodes and constants as they are added; a value is known by its name."""

    def __init__(self, tensors: dict[str, NDArray[Any]], shape: BertShape, precision: Precision) -> None:
        import onnx.helper  # noqa: PLC0415 - part of the extra, for the first start only
        import onnx.numpy_helper  # noqa: PLC0415 - as above

        self._onnx: Any = onnx
        self._tensors = tensors
        self._shape = shape
        self._int8 = precision == "int8"
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def build(self, pooling: Pooling) -> bytes:
        """Return the whole graph."""
        helper, kinds = self._onnx.helper, self._onnx.TensorProto
        hidden = self._embeddings()
        entry = "embeddings.LayerNorm"
        for layer in range(self._shape.layers):
            hidden = self._layer(f"encoder.layer.{layer}", entry, hidden)
            entry = f"encoder.layer.{layer}.output.LayerNorm"
        texts = self._node("Reshape", [hidden, "shape"])
        if pooling == "mean":
            pooled = self._node("ReduceMean", [texts, self._constant("second", np.array([1]))], keepdims=0)
        else:
            pooled = self._node("Gather", [texts, self._constant("start", np.array(0))], axis=1)
        self._node("LpNormalization", [pooled], out=VECTORS, axis=-1, p=2)
        graph = helper.make_graph(
            self._nodes,
            "bert",
            [helper.make_tensor_value_info(TOKEN_IDS, kinds.INT64, ["texts", "tokens"])],
            [helper.make_tensor_value_info(VECTORS, kinds.FLOAT, ["texts", self._shape.hidden])],
            list(self._constants.values()),
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_FUSED, 1)]
        model: bytes = helper.make_model(
            graph, opset_imports=opsets, ir_version=_IR_VERSION
        ).SerializeToString()
        return model

    def _embeddings(self) -> str:
        """Add words, positions and the only token type; name the shape of the texts ``shape``."""
        words = self._weight("embeddings.word_embeddings")
        if self._int8:
            scales = _scales(words, axis=1)
            found = self._node("Gather", [self._constant("words", _rounded(words, scales)), TOKEN_IDS])
            scale = self._node("Gather", [self._constant("words.scale", scales), TOKEN_IDS])
            word = self._node("Mul", [self._node("Cast", [found], to=self._onnx.TensorProto.FLOAT), scale])
        else:
            word = self._node("Gather", [self._constant("words", words), TOKEN_IDS])
        places = (
            self._weight("embeddings.position_embeddings")
            + self._weight("embeddings.token_type_embeddings")[0]
        )
        length = self._node("Shape", [TOKEN_IDS], start=1, end=2)
        zero = self._constant("zero", np.array([0]))
        place = self._node("Slice", [self._constant("places", places), zero, length, zero])
        both = self._node("Add", [word, place])
        self._node("Shape", [both], out="shape")
        flat = self._node("Reshape", [both, self._constant("flat", np.array([-1, self._shape.hidden]))])
        if self._int8:
            tokens = self._node("Shape", [flat], start=0, end=1)
            self._node("Expand", [self._constant("middle", np.uint8(128)), tokens], out="middles")
        return self._normalised(flat, "embeddings.LayerNorm")

    def _layer(self, name: str, entry: str, hidden: str) -> str:
        """Add attention and the two layers behind it; ``entry`` is the normalisation that ``hidden`` comes from."""
        # Value's weights use the channels in another way than those of query and key: together, twice the error.
        parts = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
        both = self._node("Add", self._product(hidden, parts[:2], after=entry))
        value = self._node("Add", self._product(hidden, parts[2:], after=entry))
        split = self._nodes_out("Split", [both], 2, axis=-1, num_outputs=2)
        texts = [self._node("Reshape", [part, "shape"]) for part in (*split, value)]
        attended = self._node("MultiHeadAttention", texts, fused=True, num_heads=self._shape.heads)
        flat = self._node("Reshape", [attended, "flat"])
        product, bias = self._product(flat, [f"{name}.attention.output.dense"])
        middle = f"{name}.attention.output.LayerNorm"
        hidden = self._normalised(self._sum(product, bias, hidden), middle)
        product, bias = self._product(hidden, [f"{name}.intermediate.dense"], after=middle)
        active = self._node("BiasGelu", [product, bias], fused=True)
        product, bias = self._product(active, [f"{name}.output.dense"], floor=_GELU_FLOOR)
        return self._normalised(self._sum(product, bias, hidden), f"{name}.output.LayerNorm")

    def _product(
        self, value: str, layers: list[str], *, after: str | None = None, floor: float | None = None
    ) -> tuple[str, str]:
        """Add the product of a value with the weights of some layers side by side; return it and their bias.

        Args:
            value: Shape ``(tokens, width)``.
            layers: Their names.
            after: The normalisation that the value comes from.
            floor: The value is nowhere below ``-floor``.
        """
        matrix = np.concatenate([self._weight(layer) for layer in layers]).T
        bias = np.concatenate([self._tensor(f"{layer}.bias") for layer in layers])
        name = layers[0]
        if not self._int8:
            product = self._node("MatMul", [value, self._constant(f"{name}.weight", matrix)])
            return product, self._constant(f"{name}.bias", bias)
        if after:
            # A few channels are far larger than the others and would set the scale of every token. Their size is
            # known from the normalisation before them; most of it is moved into the weights (SmoothQuant,
            # https://arxiv.org/abs/2211.10438, with the reach of a channel in the place of calibration data).
            reach = np.abs(self._tensor(f"{after}.bias")) + _SPREAD * np.abs(self._tensor(f"{after}.weight"))
            share = (np.maximum(reach, 1e-6) / np.maximum(_use(matrix), 1e-6)) ** np.float32(_MOVED)
            value = self._node("Mul", [value, self._constant(f"{name}.share", 1 / share)])
            matrix = matrix * share[:, None]
        scales = _scales(matrix, axis=0)
        rounded = _rounded(matrix, scales)
        weight = self._constant(f"{name}.weight", rounded)
        if floor is None:
            top = self._node(
                "ReduceMax", [self._node("Abs", [value]), self._constant("last", np.array([-1]))], keepdims=0
            )
            scale = self._node("Mul", [top, self._constant("1/127", np.float32(1 / 127))])
            middle = self._constant("middle", np.uint8(128))
            bytes_ = self._node("QuantizeLinear", [value, scale, "middles"], axis=0)
        else:
            value = self._node("Add", [value, self._constant("floor", np.float32(floor))])
            bias = bias - floor * (rounded.astype(np.float32) * scales).sum(axis=0)
            top = self._node("ReduceMax", [value, self._constant("last", np.array([-1]))], keepdims=0)
            scale = self._node("Mul", [top, self._constant("1/255", np.float32(1 / 255))])
            middle = ""
            bytes_ = self._node("QuantizeLinear", [value, scale], axis=0)
        column = self._node("Unsqueeze", [scale, self._constant("second", np.array([1]))])
        inputs = [bytes_, weight, column, self._constant(f"{name}.scale", scales.reshape(-1)), middle]
        product = self._node("MatMulIntegerToFloat", inputs, fused=True)
        return product, self._constant(f"{name}.bias", bias)

    def _sum(self, product: str, bias: str, hidden: str) -> str:
        return self._node("Add", [self._node("Add", [product, bias]), hidden])

    def _normalised(self, value: str, name: str) -> str:
        """Add a layer normalisation; onnxruntime's fused sum-and-normalise takes longer than both."""
        scale = self._constant(f"{name}.weight", self._tensor(f"{name}.weight"))
        shift = self._constant(f"{name}.bias", self._tensor(f"{name}.bias"))
        return self._node("LayerNormalization", [value, scale, shift], axis=-1, epsilon=self._shape.epsilon)

    def _node(
        self, kind: str, inputs: Sequence[str], *, out: str = "", fused: bool = False, **more: Any
    ) -> str:
        (name,) = self._nodes_out(kind, inputs, 1, out=out, fused=fused, **more)
        return name

    def _nodes_out(
        self, kind: str, inputs: Sequence[str], count: int, *, out: str = "", fused: bool = False, **more: Any
    ) -> list[str]:
        outputs = [out or f"{kind}.{len(self._nodes)}.{each}" for each in range(count)]
        domain = _FUSED if fused else ""
        self._nodes.append(self._onnx.helper.make_node(kind, list(inputs), outputs, domain=domain, **more))
        return outputs

    def _constant(self, name: str, value: Any) -> str:
        if name not in self._constants:
            self._constants[name] = self._onnx.numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def _weight(self, name: str) -> Array:
        return self._tensor(f"{name}.weight")

    def _tensor(self, name: str) -> Array:
        return np.asarray(self._tensors[name], dtype=np.float32)


def _use(matrix: Array) -> Array:
    """Return for each row how much of the columns' ranges it takes on average."""
    return np.sqrt(np.square(matrix / np.abs(matrix).max(axis=0)).mean(axis=1))


def _scales(matrix: Array, *, axis: int) -> Array:
    """Return the size of one step of 8 bits with a sign, along an axis."""
    return np.maximum(np.abs(matrix).max(axis=axis, keepdims=True), 1e-12) / np.float32(127)


def _rounded(matrix: Array, scales: Array) -> NDArray[np.int8]:
    return np.round(matrix / scales).astype(np.int8)
