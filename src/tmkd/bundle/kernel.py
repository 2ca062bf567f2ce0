"""Our own encoder for a bundle's int8 graph, compiled when tmkd is installed: its weights, all in a core's cache."""

from __future__ import annotations

import ctypes
import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tmkd.bundle.kernel_weights import Weights, unsuitable
from tmkd.bundle.onnx_reader import read_constants
from tmkd.data.tokens import TokenIds
from tmkd.errors import TmkdError
from tmkd.machine import cores

LEVELS = {0: "none", 1: "AVX-512 VNNI", 2: "AMX"}  # what a processor has for it
_PAIRS = 64  # in one call: the last layer's weights are then read once for all their first tokens
_ALIGNED = 64  # bytes: where the work space must begin


@cache
def _library() -> Any:
    """The compiled encoder, or None where tmkd was installed without one."""
    found = find_spec("tmkd.bundle._kernel")
    if found is None or found.origin is None:
        return None
    library = ctypes.CDLL(found.origin)
    library.tmkd_work_space.restype = ctypes.c_long
    library.tmkd_work_space.argtypes = [ctypes.c_void_p, ctypes.c_long, ctypes.c_long]
    library.tmkd_encode.restype = None
    library.tmkd_encode.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_long, *[ctypes.c_void_p] * 5]
    return library


@cache
def kernel_level() -> int:
    """What this processor has for the kernel, of LEVELS; 0 also where tmkd was installed without it."""
    return 0 if _library() is None else int(_library().tmkd_level())


class Kernel:
    """An int8 graph of a BERT (its ONNX bytes) ready to run without onnxruntime. Safe to call from several threads.

    `threads` groups of pairs are computed side by side (default: all cores). A pair's logits are the same to the bit
    whatever stands beside it. `level` (default: the best) is one of LEVELS.
    Raises: TmkdError when this processor or this graph is none for it, or the graph is damaged.
    """

    def __init__(self, graph: bytes, name: str | Path, threads: int | None = None, level: int | None = None) -> None:
        self.name = name
        self.threads = threads or cores()
        self.level = kernel_level() if level is None else level
        fault = kernel_fault(graph, self.level)
        if fault is not None:
            raise TmkdError(f"{name}: tmkd's own kernel can't run it: {fault}")
        try:
            self._weights = Weights(*read_constants(graph))
        except (KeyError, ValueError) as error:
            raise TmkdError(f"{name}: a damaged int8 graph ({error}); export the bundle again") from None
        self.classes = self._weights.classes
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="tmkd")
        self._rooms: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()
        for _ in range(self.threads):
            self._rooms.put(np.empty(0, dtype=np.uint8))

    def logits(self, tokens: TokenIds) -> npt.NDArray[np.float32]:
        """The log of Eq. 6, float32 (pairs, classes).

        Raises: TmkdError when an id or a length is none of this network's, or a number comes out that is not finite.
        """
        self._check(tokens)
        products = np.empty((len(tokens.lengths), self._weights.outputs), dtype=np.float32)
        for _ in self._pool.map(lambda part: self._encode(tokens, part, products), self._parts(tokens.lengths)):
            pass
        headers = self._weights.headers
        shares = products[:, : headers * self.classes].reshape(-1, headers, self.classes)
        shares = shares - np.logaddexp.reduce(shares, axis=2, keepdims=True)
        answer = np.logaddexp.reduce(shares, axis=1) - np.float32(np.log(headers))
        if not np.isfinite(answer).all():
            raise TmkdError(f"{self.name}: the graph gave a number that is not finite; export the bundle again")
        return answer

    def _parts(self, lengths: np.ndarray) -> Iterator[slice]:
        """Pairs in runs of about equally many ids, none of over _PAIRS pairs by much: as many runs for every core."""
        runs = -(-len(lengths) // (_PAIRS * self.threads)) * self.threads
        middles, shares = np.cumsum(lengths) - lengths / 2, lengths.sum() * np.arange(1, runs) / max(runs, 1)
        cuts = [0, *np.searchsorted(middles, shares).tolist(), len(lengths)]
        return (slice(start, end) for start, end in pairwise(cuts) if end > start)

    def _encode(self, tokens: TokenIds, part: slice, products: np.ndarray) -> None:
        some = tokens.take(np.arange(part.start, part.stop))
        arrays = (some.flat_ids.astype(np.int32), some.flat_types.astype(np.int32), some.lengths)
        model, pairs = self._weights.address, len(some.lengths)
        space = _library().tmkd_work_space(model, pairs, int(some.lengths.max())) + _ALIGNED
        room = self._rooms.get()
        try:
            if len(room) < space:
                room = np.empty(space, dtype=np.uint8)
            start = room.ctypes.data + -room.ctypes.data % _ALIGNED
            addresses = [array.ctypes.data for array in arrays]
            _library().tmkd_encode(model, self.level, pairs, *addresses, start, products[part].ctypes.data)
        finally:
            self._rooms.put(room)

    def _check(self, tokens: TokenIds) -> None:
        """Nothing is looked up outside the tables."""
        for what, values, least, end in (
            ("token id", tokens.flat_ids, 0, self._weights.words),
            ("token type", tokens.flat_types, 0, self._weights.types),
            ("length", tokens.lengths, 1, self._weights.positions + 1),
        ):
            if len(values) and not (values.min() >= least and values.max() < end):
                raise TmkdError(f"{self.name}: a {what} that the network does not have; is tokenizer.json its own?")


def kernel_fault(graph: bytes, level: int | None = None) -> str | None:
    """Why the kernel can't run this graph (its ONNX bytes) here, at `level` of LEVELS or the best; None if it can."""
    if _library() is None:
        return "tmkd was installed without it (it needs Linux on x86-64 and a C compiler)"
    if not 0 < (kernel_level() if level is None else level) <= kernel_level():
        return f"this processor has no {LEVELS.get(level or 1, level)}"
    try:
        constants, settings = read_constants(graph)
        return unsuitable(constants, settings)
    except (KeyError, ValueError) as error:
        return f"it is no graph of this tmkd ({error})"
