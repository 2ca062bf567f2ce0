"""An int8 graph's constants as the kernel takes them: bytes in tiles, weights in columns, addresses in structures."""

from __future__ import annotations

import ctypes
from functools import reduce

import numpy as np

from tmkd.bundle.onnx_reader import Constants

_BLOCK, _QUAD, _TILE = 32, 64, 16  # as in products.h
_ZERO, _LOW, _LOUD = 128, 16, 4  # as in rows.h: the bytes that stand for 0, and the loud neurons of a feed-forward

TURNED = 16  # neighbouring numbers of a hidden state that are mixed before they become bytes

_TABLES = ("words.steps", "positions", "types")  # what is looked up in

Settings = dict[str, str]


class _Bytes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("steps", "scales", "bias", "none")]


class _Pair(ctypes.Structure):
    """A norm, or a product in fp32."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("weight", "bias")]


class _Layer(ctypes.Structure):
    _fields_ = [
        *((name, _Bytes) for name in ("joined", "mixed", "inner", "outer")),
        *((name, _Pair) for name in ("attended", "fed")),
        *((name, ctypes.c_void_p) for name in ("loud_weight", "loud_bias", "loud_onward")),
    ]


class _First(ctypes.Structure):
    _fields_ = [(name, _Pair) for name in ("query", "mixed", "inner", "outer", "pooler", "headers")]


class _Model(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in ("layers", "width", "heads", "neurons", "outputs")),
        ("epsilon", ctypes.c_float),
        *((name, ctypes.c_void_p) for name in ("words", "word_scales", "positions", "types")),
        ("embedded", _Pair),
        ("layer", ctypes.POINTER(_Layer)),
        ("first", _First),
    ]


def unsuitable(constants: Constants, settings: Settings) -> str | None:
    """Why the kernel can't compute this graph, or None if it can."""
    if "heads" not in settings:
        return "its body is no BERT"
    if "words.steps" not in constants:
        return "its weights are not in bytes"
    width, heads, layers = constants["words.steps"].shape[1], int(settings["heads"]), int(settings["layers"])
    if settings["activation"] != "gelu":
        return f"its activation is {settings['activation']}, not gelu"
    if layers < 1 or heads < 1 or width % heads or width % _QUAD or width // heads % _BLOCK:
        return f"{width} channels in {heads} heads are no multiples of {_QUAD} and {_BLOCK}"
    if not np.array_equal(constants.get("turn", ()), hadamard()):
        return f"its hidden states are not turned by Hadamard's matrix of {TURNED}"
    for layer in range(layers):
        if len(constants.get(f"encoder.layer.{layer}.intermediate.loud.bias", np.empty(_LOUD))) != _LOUD:
            return f"it has another number of loud neurons than {_LOUD}"
    return None


class Weights:
    """The kernel's model of one graph: `address` of C's Model, and what its tables allow.

    `words`, `positions` and `types` are the rows of the tables that are looked up in. The headers' product has
    `outputs` numbers a pair, of which the first `headers` × `classes` count.
    Raises: KeyError or ValueError when a constant is missing or has another shape.
    """

    def __init__(self, constants: Constants, settings: Settings) -> None:
        self._arrays: list[np.ndarray] = []  # what the model points to
        self._model = self._build(constants, settings)
        self.address = ctypes.addressof(self._model)
        self.words, self.positions, self.types = (len(constants[name]) for name in _TABLES)
        self.outputs, self.headers = int(self._model.outputs), int(settings["headers"])
        self.classes = len(constants["headers.bias"]) // self.headers

    def _build(self, constants: Constants, settings: Settings) -> _Model:
        layers = int(settings["layers"])
        words, positions, types = (constants[name] for name in _TABLES)
        width = words.shape[1]
        last = f"encoder.layer.{layers - 1}"
        neurons = _up(constants[f"{last}.intermediate.dense.bias"].shape[0], _QUAD)
        outputs = _up(len(constants["headers.bias"]), _BLOCK)
        found = [self._layer(constants, number, number == layers - 1, width, neurons) for number in range(layers)]
        pooler = self._fine(constants, "pooler", width, width) if "pooler.weight" in constants else _Pair()
        return _Model(
            layers=layers,
            width=width,
            heads=int(settings["heads"]),
            neurons=neurons,
            outputs=outputs,
            epsilon=float(settings["epsilon"]),
            words=self._keep(words, np.int8, len(words), width),
            word_scales=self._keep(constants["words.scales"], np.float32, len(words), width // _QUAD, 1),
            positions=self._keep(positions, np.float32, len(positions), width),
            types=self._keep(types, np.float32, len(types), width),
            embedded=self._norm(constants, "embeddings.LayerNorm", width),
            layer=(_Layer * layers)(*found),
            first=_First(
                query=self._fine(constants, f"{last}.attention.self.query", width, width),
                mixed=self._fine(constants, f"{last}.attention.output.dense", width, width),
                inner=self._fine(constants, f"{last}.intermediate.dense", width, neurons),
                outer=self._fine(constants, f"{last}.output.dense", neurons, width),
                pooler=pooler,
                headers=self._fine(constants, "headers", width, outputs),
            ),
        )

    def _layer(self, constants: Constants, number: int, last: bool, width: int, neurons: int) -> _Layer:
        name = f"encoder.layer.{number}"
        attended, fed = f"{name}.attention.output", f"{name}.output"
        norms = {
            "attended": self._norm(constants, f"{attended}.LayerNorm", width),
            "fed": self._norm(constants, f"{fed}.LayerNorm", width),
        }
        parts = [f"{name}.attention.self.{part}" for part in _joined(last)]
        joined = self._bytes(constants, parts, width, len(parts) * width, _ZERO)
        if last:
            return _Layer(joined=joined, **norms)
        silent = np.zeros((_LOUD, width), dtype=np.float32)
        weight = constants.get(f"{name}.intermediate.loud.weight", silent.T)
        bias = constants.get(f"{name}.intermediate.loud.bias", silent[:, 0])
        onward = constants.get(f"{fed}.loud.weight", silent)
        return _Layer(
            joined=joined,
            mixed=self._bytes(constants, [f"{attended}.dense"], width, width, _ZERO),
            inner=self._bytes(constants, [f"{name}.intermediate.dense"], width, neurons, _ZERO),
            outer=self._bytes(constants, [f"{fed}.dense"], neurons, width, _LOW),
            loud_weight=self._keep(weight.T, np.float32, _LOUD, width),
            loud_bias=self._keep(bias, np.float32, _LOUD),
            loud_onward=self._keep(onward, np.float32, _LOUD, width),
            **norms,
        )

    def _bytes(self, constants: Constants, names: list[str], inputs: int, outputs: int, zero: int) -> _Bytes:
        """Layers with the same inputs as one, in tiles; inputs and outputs that are missing are 0."""
        steps = np.zeros((outputs, inputs), dtype=np.int8)
        scales, bias = np.zeros((2, outputs), dtype=np.float32)
        at = 0
        for name in names:
            own = constants[f"{name}.steps"].T
            rows = slice(at, at + len(own))
            steps[rows, : own.shape[1]] = own
            scales[rows] = _vector(constants, f"{name}.scales", len(own)) * _share(name)
            if f"{name}.bias" in constants:
                bias[rows] = _vector(constants, f"{name}.bias", len(own)) * _share(name)
            at += len(own)
        tiles = steps.reshape(outputs // _TILE, _TILE, inputs // _QUAD, _TILE, 4).transpose(0, 2, 3, 1, 4)
        return _Bytes(
            steps=self._keep(tiles, np.int8, *tiles.shape),
            scales=self._keep(scales, np.float32, outputs),
            bias=self._keep(bias, np.float32, outputs),
            none=self._keep(-zero * steps.sum(axis=1, dtype=np.int32), np.int32, outputs),
        )

    def _fine(self, constants: Constants, name: str, inputs: int, outputs: int) -> _Pair:
        """A layer that the graph computes in fp32, in bf16 tiles."""
        weight, bias = np.zeros((inputs, outputs), dtype=np.float32), np.zeros(outputs, dtype=np.float32)
        own = constants[f"{name}.weight"]
        weight[: own.shape[0], : own.shape[1]] = own * _share(name)
        bias[: own.shape[1]] = _vector(constants, f"{name}.bias", own.shape[1]) * _share(name)
        bits = weight.view(np.uint32)
        halves = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)  # to the nearest, ties to even
        tiles = halves.reshape(inputs // _BLOCK, _TILE, 2, outputs // _TILE, _TILE).transpose(3, 0, 1, 4, 2)
        return _Pair(weight=self._keep(tiles, np.uint16, *tiles.shape), bias=self._keep(bias, np.float32, outputs))

    def _norm(self, constants: Constants, name: str, width: int) -> _Pair:
        return _Pair(*(self._keep(constants[f"{name}.{part}"], np.float32, width) for part in ("weight", "bias")))

    def _keep(self, array: np.ndarray, kind: type[np.generic], *shape: int) -> int:
        """The address of its numbers, which begin at a multiple of 64 and stay there."""
        if array.shape != shape or array.dtype != kind:
            raise ValueError(f"a constant is {array.dtype} {array.shape}, not {kind.__name__} {shape}")
        if kind is np.float32 and not np.isfinite(array).all():
            raise ValueError("a constant is not finite")
        self._arrays.append(aligned(array))
        return int(self._arrays[-1].ctypes.data)


def hadamard() -> np.ndarray:
    """What hidden states are turned by before they become bytes: orthonormal, of one size, float32 (TURNED, TURNED).

    It spreads what is in one number over all of them (as in arXiv 2404.00456).
    """
    signs = reduce(lambda one, two: np.kron(one, two), [np.array([[1, 1], [1, -1]])] * 4)
    return (signs / TURNED**0.5).astype(np.float32)


def aligned(array: np.ndarray) -> np.ndarray:
    """The same numbers, beginning at an address that is a multiple of 64, as the kernel reads them."""
    room = np.empty(array.nbytes + _QUAD, dtype=np.uint8)
    start = -room.ctypes.data % _QUAD
    placed: np.ndarray = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    placed[...] = array
    return placed


def _joined(last: bool) -> tuple[str, ...]:
    return ("key", "value") if last else ("query", "key", "value")


def _share(name: str) -> np.float32:
    """Scores are in powers of 2, not of e: so much larger are queries."""
    return np.float32(1 / np.log(2) if name.endswith("attention.self.query") else 1)


def _vector(constants: Constants, name: str, length: int) -> np.ndarray:
    if constants[name].shape != (length,):
        raise ValueError(f"{name} is {constants[name].shape}, not ({length},)")
    return constants[name]


def _up(count: int, step: int) -> int:
    return -(-count // step) * step
