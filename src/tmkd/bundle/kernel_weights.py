"""The weights of an int8 graph in the kernel's layout: int8 and bf16 tiles, structures of their addresses."""

from __future__ import annotations

import numpy as np

from tmkd.bundle.graph import HADAMARD_SIZE, Constants, hadamard
from tmkd.bundle.kernel_library import OUTLIERS, Bf16Linear, Int8Linear, LastLayer, Layer, LayerNorm, Model, Outliers

_TILE, _TILE_BF16, _TILE_INT8, _BLOCK_OUTPUTS = 16, 32, 64, 32  # as in tiles.h
# The zero points of 8-bit activations. 16-bit codes have them in the upper byte (rows.h).
_ZERO_POINT, _GELU_ZERO_POINT = 128, 16

_TABLES = ("words.codes", "positions", "types")  # of embeddings

Settings = dict[str, str]


def unsuitable(constants: Constants, settings: Settings) -> str | None:
    """Why the kernel cannot compute this graph, or None if it can."""
    if "heads" not in settings:
        return "its body is no BERT"
    if "words.codes" not in constants:
        return "its weights are not int8"
    width, heads, layers = constants["words.codes"].shape[-1], int(settings["heads"]), int(settings["layers"])
    if settings["activation"] != "gelu":
        return f"its activation is {settings['activation']}, not gelu"
    if layers > len(constants):  # before anything is repeated so often
        raise ValueError(f"{layers} layers do not have {len(constants)} constants")
    if layers < 1 or heads < 1 or width % heads or width % _TILE_INT8 or width // heads % _TILE_BF16:
        return f"{width} channels in {heads} heads are no multiples of {_TILE_INT8} and {_TILE_BF16}"
    if not np.array_equal(constants.get("hadamard", ()), hadamard()):
        return f"its hidden states are not rotated by the Hadamard matrix of size {HADAMARD_SIZE}"
    for layer in range(layers):
        if len(constants.get(f"encoder.layer.{layer}.intermediate.outliers.bias", np.empty(OUTLIERS))) != OUTLIERS:
            return f"a feed-forward has another number of outlier neurons than {OUTLIERS}"
    return None


class Weights:
    """The kernel's `model` of one graph (kernel.h), and the sizes of its tables and outputs.

    `words`, `positions` and `types` are numbers of rows of the embedding tables. The headers' layer has `outputs`
    numbers per pair: `headers` × `classes` logits, then padding. `code_bytes` (1 or 2) are of an int8 layer's inputs.
    Raises: KeyError or ValueError when a constant is missing, has another shape or is not finite.
    """

    def __init__(self, constants: Constants, settings: Settings, code_bytes: int) -> None:
        packer = _Packer(constants, code_bytes)
        self.model = packer.model(settings)
        self._arrays = packer.arrays  # what the model points to
        self.words, self.positions, self.types = (len(constants[name]) for name in _TABLES)
        self.outputs, self.headers = int(self.model.last.headers.outputs), int(settings["headers"])
        self.classes = len(constants["headers.bias"]) // self.headers


class _Packer:
    """Structures of a graph's constants; `arrays` are the memory that they point to."""

    def __init__(self, constants: Constants, code_bytes: int) -> None:
        self._constants = constants
        self._code_bytes = code_bytes
        self.arrays: list[np.ndarray] = []

    def model(self, settings: Settings) -> Model:
        layers = int(settings["layers"])
        words, positions, types = (self._constants[name] for name in _TABLES)
        width, last = words.shape[1], f"encoder.layer.{layers - 1}"
        ffn_width = _round_up(self._constants[f"{last}.intermediate.dense.bias"].shape[0], _TILE_INT8)
        packed = [self._layer(number, width, ffn_width) for number in range(layers - 1)] + [
            self._last_key_value(last, width)
        ]
        return Model(
            layers=layers,
            width=width,
            heads=int(settings["heads"]),
            ffn_width=ffn_width,
            epsilon=float(settings["epsilon"]),
            word_codes=self._keep(words, np.int8, len(words), width),
            word_scales=self._keep(self._constants["words.scales"], np.float32, len(words), width // _TILE_INT8, 1),
            positions=self._keep(positions, np.float32, len(positions), width),
            token_types=self._keep(types, np.float32, len(types), width),
            embedding_norm=self._norm("embeddings.LayerNorm", width),
            layer=(Layer * layers)(*packed),
            last=self._last(last, width, ffn_width),
        )

    def _layer(self, number: int, width: int, ffn_width: int) -> Layer:
        name = f"encoder.layer.{number}"
        return Layer(
            qkv=self._int8([f"{name}.attention.self.{part}" for part in ("query", "key", "value")], width, 3 * width),
            attn_out=self._int8([f"{name}.attention.output.dense"], width, width),
            ffn_up=self._int8([f"{name}.intermediate.dense"], width, ffn_width),
            ffn_down=self._int8([f"{name}.output.dense"], ffn_width, width, _GELU_ZERO_POINT),
            attn_norm=self._norm(f"{name}.attention.output.LayerNorm", width),
            ffn_norm=self._norm(f"{name}.output.LayerNorm", width),
            outliers=self._outliers(name, width),
        )

    def _last_key_value(self, name: str, width: int) -> Layer:
        """The last layer, which has keys and values for all tokens; all else of it is in LastLayer."""
        return Layer(
            qkv=self._int8([f"{name}.attention.self.{part}" for part in ("key", "value")], width, 2 * width),
            attn_norm=self._norm(f"{name}.attention.output.LayerNorm", width),
            ffn_norm=self._norm(f"{name}.output.LayerNorm", width),
        )

    def _last(self, name: str, width: int, ffn_width: int) -> LastLayer:
        outputs = _round_up(len(self._constants["headers.bias"]), _BLOCK_OUTPUTS)
        return LastLayer(
            query=self._bf16(f"{name}.attention.self.query", width, width),
            attn_out=self._bf16(f"{name}.attention.output.dense", width, width),
            ffn_up=self._bf16(f"{name}.intermediate.dense", width, ffn_width),
            ffn_down=self._bf16(f"{name}.output.dense", ffn_width, width),
            pooler=self._bf16("pooler", width, width) if "pooler.weight" in self._constants else Bf16Linear(),
            headers=self._bf16("headers", width, outputs),
        )

    def _outliers(self, name: str, width: int) -> Outliers:
        none = np.zeros((OUTLIERS, width), dtype=np.float32)
        up = self._constants.get(f"{name}.intermediate.outliers.weight", none.T)
        bias = self._constants.get(f"{name}.intermediate.outliers.bias", none[:, 0])
        down = self._constants.get(f"{name}.output.outliers.weight", none)
        return Outliers(
            up_weight=self._keep(up.T, np.float32, OUTLIERS, width),
            up_bias=self._keep(bias, np.float32, OUTLIERS),
            down_weight=self._keep(down, np.float32, OUTLIERS, width),
        )

    def _int8(self, names: list[str], inputs: int, outputs: int, zero_point: int = _ZERO_POINT) -> Int8Linear:
        """Int8 layers with the same inputs as one layer; padded with zeros to `inputs` and `outputs`."""
        codes = np.zeros((outputs, inputs), dtype=np.int8)
        scales, bias = np.zeros((2, outputs), dtype=np.float32)
        at = 0
        for name in names:
            own = self._constants[f"{name}.codes"].T
            if own.dtype != np.int8:
                raise ValueError(f"{name}.codes is {own.dtype}, not int8")
            rows = slice(at, at + len(own))
            codes[rows, : own.shape[1]] = own
            scales[rows] = self._vector(f"{name}.scales", len(own)) * _log2_factor(name)
            if f"{name}.bias" in self._constants:
                bias[rows] = self._vector(f"{name}.bias", len(own)) * _log2_factor(name)
            at += len(own)
        tiles = int8_tiles(codes)
        return Int8Linear(
            codes=self._keep(tiles, np.int8, *tiles.shape),
            scales=self._keep(scales, np.float32, outputs),
            bias=self._keep(bias, np.float32, outputs),
            compensation=self._keep(-zero_point * codes.sum(axis=1, dtype=np.int32), np.int32, outputs),
            inputs=inputs,
            outputs=outputs,
            bytes=self._code_bytes,
        )

    def _bf16(self, name: str, inputs: int, outputs: int) -> Bf16Linear:
        """A layer that the graph computes in fp32, as bf16; padded with zeros to `inputs` and `outputs`."""
        weight, bias = np.zeros((inputs, outputs), dtype=np.float32), np.zeros(outputs, dtype=np.float32)
        own = self._constants[f"{name}.weight"]
        if own.dtype != np.float32:
            raise ValueError(f"{name}.weight is {own.dtype}, not float32")
        weight[: own.shape[0], : own.shape[1]] = own * _log2_factor(name)
        bias[: own.shape[1]] = self._vector(f"{name}.bias", own.shape[1]) * _log2_factor(name)
        tiles = bf16_tiles(weight)
        return Bf16Linear(
            weight=self._keep(tiles, np.uint16, *tiles.shape),
            bias=self._keep(bias, np.float32, outputs),
            inputs=inputs,
            outputs=outputs,
        )

    def _norm(self, name: str, width: int) -> LayerNorm:
        parts = (self._constants[f"{name}.{part}"] for part in ("weight", "bias"))
        return LayerNorm(*(self._keep(part, np.float32, width) for part in parts))

    def _vector(self, name: str, length: int) -> np.ndarray:
        vector = self._constants[name]
        if vector.shape != (length,) or vector.dtype != np.float32:
            raise ValueError(f"{name} is {vector.dtype} {vector.shape}, not float32 ({length},)")
        return vector

    def _keep(self, array: np.ndarray, kind: type[np.generic], *shape: int) -> int:
        """The address of an aligned copy in `arrays`."""
        if array.shape != shape or array.dtype != kind:
            raise ValueError(f"a constant is {array.dtype} {array.shape}, not {kind.__name__} {shape}")
        if kind is np.float32 and not np.isfinite(array).all():
            raise ValueError("a constant is not finite")
        self.arrays.append(aligned(array))
        return int(self.arrays[-1].ctypes.data)


def int8_tiles(codes: np.ndarray) -> np.ndarray:
    """Weights int8 (outputs, inputs) → tiles as in tiles.h, (outputs / 16, inputs / 64, 16, 16, 4)."""
    outputs, inputs = codes.shape
    return codes.reshape(outputs // _TILE, _TILE, inputs // _TILE_INT8, _TILE, 4).transpose(0, 2, 3, 1, 4)


def bf16_tiles(weight: np.ndarray) -> np.ndarray:
    """Weights float32 (inputs, outputs) → bf16 tiles as in tiles.h, uint16 (outputs / 16, inputs / 32, 16, 16, 2)."""
    inputs, outputs = weight.shape
    bits = weight.view(np.uint32)
    halves = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)  # to nearest, ties to even
    return halves.reshape(inputs // _TILE_BF16, _TILE, 2, outputs // _TILE, _TILE).transpose(3, 0, 1, 4, 2)


def aligned(array: np.ndarray) -> np.ndarray:
    """Copy that begins at an address that is a multiple of 64."""
    memory = np.empty(array.nbytes + 64, dtype=np.uint8)
    start = -memory.ctypes.data % 64
    copy: np.ndarray = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def _log2_factor(name: str) -> np.float32:
    """Scale of query weights by log2(e), since the kernel's softmax is 2^x; 1 for every other layer."""
    return np.float32(1 / np.log(2) if name.endswith("attention.self.query") else 1)


def _round_up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple
