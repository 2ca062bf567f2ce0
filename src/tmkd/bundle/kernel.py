"""Our own encoder for a bundle's int8 graph, compiled when tmkd was installed: the same sums, all in a core's cache."""

from __future__ import annotations

import ctypes
import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tmkd.bundle.constants import Constants, read_constants
from tmkd.bundle.processor import own_cores
from tmkd.errors import TmkdError
from tmkd.tokens import TokenIds

PAIRS_AT_ONCE = 64  # in one call: the last layer's weights are then read once for all their first tokens
_BLOCK, _QUAD, _TILE = 32, 64, 16  # as in products.h
_ZERO, _LOW = 128, 16  # the bytes that stand for 0, as in rows.h
_LOUD = 4


class _Bytes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("steps", "scales", "bias", "sums", "ease")]


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


@cache
def _library() -> tuple[Any, int]:
    """The compiled encoder, None where there is none, and what this processor has: 2 AMX, 1 AVX-512 VNNI, 0 neither."""
    found = find_spec("tmkd.bundle._kernel")
    if found is None or found.origin is None:
        return None, 0
    library = ctypes.CDLL(found.origin)
    library.tmkd_work_space.restype = ctypes.c_long
    library.tmkd_work_space.argtypes = [ctypes.c_void_p, ctypes.c_long, ctypes.c_long]
    library.tmkd_encode.restype = None
    library.tmkd_encode.argtypes = [
        ctypes.c_void_p, ctypes.c_int, ctypes.c_long, *[ctypes.c_void_p] * 5
    ]
    return library, int(library.tmkd_level())


def kernel_level() -> int:
    """2 where the kernel can use AMX, 1 where AVX-512 with VNNI, 0 where it can't run."""
    return _library()[1]


class Kernel:
    """An int8 graph of a BERT (its ONNX bytes) ready to run without onnxruntime. Safe to call from several threads.

    `threads` groups of pairs are computed side by side (default: all cores). A pair's logits are the same to the bit
    whatever stands beside it. Raises: TmkdError when this processor or this graph is none for it (`unsuitable`).
    """

    def __init__(self, graph: bytes, name: str | Path, threads: int | None = None) -> None:
        self._library, self._level = _library()
        constants, settings = _read(graph, name)
        why = unsuitable(constants, settings)
        if why is not None:
            raise TmkdError(f"{name}: tmkd's own kernel can't run it: {why}")
        self.name = name
        self.threads = threads or own_cores()
        self._arrays: list[np.ndarray] = []  # what the model points to
        self._headers = int(settings["headers"])
        self._limits = len(constants["words.steps"]), len(constants["positions"]), len(constants["types"])
        self._model = self._build(constants, settings)
        self.classes = len(constants["headers.bias"]) // self._headers
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="tmkd")
        self._rooms: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()
        for _ in range(self.threads):
            self._rooms.put(np.empty(0, dtype=np.uint8))

    def logits(self, tokens: TokenIds, pad_id: int) -> npt.NDArray[np.float32]:
        """The log of Eq. 6, float32 (pairs, classes).

        Raises: TmkdError when an id or a length is none of this network's, or a number comes out that is not finite.
        """
        self._check(tokens)
        count = len(tokens.lengths)
        products = np.empty((count, self._model.outputs), dtype=np.float32)
        list(self._pool.map(lambda part: self._encode(tokens, part, products), self._parts(tokens)))
        heads = products[:, : self._headers * self.classes].reshape(count, self._headers, self.classes)
        heads = heads - np.logaddexp.reduce(heads, axis=2, keepdims=True)
        answer = np.logaddexp.reduce(heads, axis=1) - np.float32(np.log(self._headers))
        if not np.isfinite(answer).all():
            raise TmkdError(f"{self.name}: the graph gave a number that is not finite; export the bundle again")
        return answer

    def _parts(self, tokens: TokenIds) -> Iterator[slice]:
        """Pairs in runs of about equally many ids, the cores' shares of a small request or PAIRS_AT_ONCE of a large."""
        ends = np.cumsum(tokens.lengths)
        count = len(ends)
        runs = max(-(-count // PAIRS_AT_ONCE), min(self.threads, count))
        runs = -(-runs // self.threads) * self.threads if count >= self.threads else runs
        shares = np.arange(1, runs) * (ends[-1] / runs) if count else np.empty(0)
        cuts = [0, *np.searchsorted(ends, shares).tolist(), count]
        return (slice(start, end) for start, end in zip(cuts, cuts[1:], strict=False) if end > start)

    def _encode(self, tokens: TokenIds, part: slice, products: np.ndarray) -> None:
        lengths = np.ascontiguousarray(tokens.lengths[part], dtype=np.int64)
        start = int(tokens.lengths[: part.start].sum())
        ids, types = (
            np.ascontiguousarray(flat[start : start + int(lengths.sum())], dtype=np.int32)
            for flat in (tokens.flat_ids, tokens.flat_types)
        )
        model = ctypes.byref(self._model)
        space = self._library.tmkd_work_space(model, len(lengths), int(lengths.max()))
        room = self._rooms.get()
        if len(room) < space + _QUAD:
            room = np.empty(space + _QUAD, dtype=np.uint8)
        where = room.ctypes.data + -room.ctypes.data % _QUAD
        self._library.tmkd_encode(
            model, self._level, len(lengths), ids.ctypes.data, types.ctypes.data, lengths.ctypes.data, where,
            products[part].ctypes.data,
        )
        self._rooms.put(room)

    def _check(self, tokens: TokenIds) -> None:
        """Nothing is looked up outside the tables."""
        words, positions, types = self._limits
        for what, values, least, end in (
            ("token id", tokens.flat_ids, 0, words),
            ("token type", tokens.flat_types, 0, types),
            ("length", tokens.lengths, 1, positions + 1),
        ):
            if len(values) and not (values.min() >= least and values.max() < end):
                raise TmkdError(f"{self.name}: a {what} that the network does not have; is tokenizer.json its own?")

    def _build(self, constants: Constants, settings: dict[str, str]) -> _Model:
        layers = int(settings["layers"])
        width = constants["words.steps"].shape[1]
        last = f"encoder.layer.{layers - 1}"
        neurons = _up(constants[f"{last}.intermediate.dense.bias"].shape[0], _QUAD)
        outputs = _up(len(constants["headers.bias"]), _BLOCK)
        found = [self._layer(constants, number, number == layers - 1, width, neurons) for number in range(layers)]
        pooler = self._exact(constants, "pooler", width, width) if "pooler.weight" in constants else _Pair()
        return _Model(
            layers=layers,
            width=width,
            heads=int(settings["heads"]),
            neurons=neurons,
            outputs=outputs,
            epsilon=float(settings["epsilon"]),
            words=self._keep(constants["words.steps"]),
            word_scales=self._keep(constants["words.scales"]),
            positions=self._keep(constants["positions"]),
            types=self._keep(constants["types"]),
            embedded=self._norm(constants, "embeddings.LayerNorm"),
            layer=(_Layer * layers)(*found),
            first=_First(
                query=self._exact(constants, f"{last}.attention.self.query", width, width),
                mixed=self._exact(constants, f"{last}.attention.output.dense", width, width),
                inner=self._exact(constants, f"{last}.intermediate.dense", width, neurons),
                outer=self._exact(constants, f"{last}.output.dense", neurons, width),
                pooler=pooler,
                headers=self._exact(constants, "headers", width, outputs),
            ),
        )

    def _layer(self, constants: Constants, number: int, last: bool, width: int, neurons: int) -> _Layer:
        name = f"encoder.layer.{number}"
        attended, fed = f"{name}.attention.output", f"{name}.output"
        norms = {"attended": self._norm(constants, f"{attended}.LayerNorm"), "fed": self._norm(constants, f"{fed}.LayerNorm")}
        parts = [f"{name}.attention.self.{part}" for part in _joined(last)]
        joined = self._bytes(constants, parts, width, len(parts) * width, _ZERO)
        if last:
            return _Layer(joined=joined, **norms)
        empty = np.zeros((_LOUD, width), dtype=np.float32)
        return _Layer(
            joined=joined,
            mixed=self._bytes(constants, [f"{attended}.dense"], width, width, _ZERO),
            inner=self._bytes(constants, [f"{name}.intermediate.dense"], width, neurons, _ZERO),
            outer=self._bytes(constants, [f"{fed}.dense"], neurons, width, _LOW),
            loud_weight=self._keep(constants.get(f"{name}.intermediate.loud.weight", empty.T).T),
            loud_bias=self._keep(constants.get(f"{name}.intermediate.loud.bias", empty[:, 0])),
            loud_onward=self._keep(constants.get(f"{fed}.loud.weight", empty)),
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
            scales[rows] = constants[f"{name}.scales"]
            bias[rows] = constants.get(f"{name}.bias", 0)
            at += len(own)
        tiles = steps.reshape(outputs // _TILE, _TILE, inputs // _QUAD, _TILE, 4).transpose(0, 2, 3, 1, 4)
        ease = constants.get(f"{names[0]}.ease")
        return _Bytes(
            steps=self._keep(tiles),
            scales=self._keep(scales),
            bias=self._keep(bias),
            sums=self._keep(zero * steps.sum(axis=1, dtype=np.int32)),
            ease=None if ease is None else self._keep(ease),
        )

    def _exact(self, constants: Constants, name: str, inputs: int, outputs: int) -> _Pair:
        weight, bias = np.zeros((inputs, outputs), dtype=np.float32), np.zeros(outputs, dtype=np.float32)
        own = constants[f"{name}.weight"]
        weight[: own.shape[0], : own.shape[1]] = own
        bias[: own.shape[1]] = constants[f"{name}.bias"]
        columns = weight.reshape(inputs, outputs // _BLOCK, _BLOCK).transpose(1, 0, 2)
        return _Pair(weight=self._keep(columns), bias=self._keep(bias))

    def _norm(self, constants: Constants, name: str) -> _Pair:
        return _Pair(*(self._keep(constants[f"{name}.{part}"]) for part in ("weight", "bias")))

    def _keep(self, array: np.ndarray) -> int:
        """The address of its numbers, which begin at a multiple of 64 and stay there."""
        room = np.empty(array.nbytes + _QUAD, dtype=np.uint8)
        start = -room.ctypes.data % _QUAD
        placed = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        placed[...] = array
        self._arrays.append(placed)
        return int(placed.ctypes.data)


def _joined(last: bool) -> tuple[str, ...]:
    return ("key", "value") if last else ("query", "key", "value")


def _up(count: int, step: int) -> int:
    return -(-count // step) * step


def _read(graph: bytes, name: str | Path) -> tuple[Constants, dict[str, str]]:
    try:
        return read_constants(graph)
    except (ValueError, UnicodeDecodeError) as error:
        raise TmkdError(f"{name}: not an ONNX graph ({error}); export the bundle again") from None
