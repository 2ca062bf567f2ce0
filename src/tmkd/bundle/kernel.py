"""The int8 engine: packs a graph's weights for the kernel (src/kernel) and runs batches on a pool of threads."""

from __future__ import annotations

import ctypes
import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tmkd.bundle.kernel_library import CPU_LEVELS, Batch, kernel_level, open_library, warn_of_unused_processor
from tmkd.bundle.kernel_weights import Weights, unsuitable
from tmkd.bundle.onnx_reader import read_constants
from tmkd.data.tokens import TokenIds
from tmkd.errors import TmkdError
from tmkd.machine import cores

_PAIRS = 64  # of one call: the last layer's weights are then read once for all their first tokens
_ALIGNMENT = 64  # bytes: the workspace begins at a multiple of it


class Kernel:
    """A BERT's int8 graph (its ONNX bytes), run without onnxruntime. Safe to call from several threads.

    `threads` groups of pairs are computed side by side (default: one per core). A pair's logits are the same to the bit
    in any batch. `level` (default: the highest) is one of CPU_LEVELS.
    Raises: TmkdError when the kernel cannot run here or cannot compute this graph, or the graph is damaged.
    """

    def __init__(self, graph: bytes, name: str | Path, threads: int | None = None, level: int | None = None) -> None:
        self.name = name
        self.threads = threads or cores()
        fault = kernel_fault(graph, level)
        if fault is not None:
            raise TmkdError(f"{name}: tmkd's own kernel can't run it: {fault}")
        self.level = level or kernel_level()
        self._library, _ = open_library()
        try:
            self._weights = Weights(*read_constants(graph))
        except (KeyError, ValueError) as error:
            raise TmkdError(f"{name}: a damaged int8 graph ({error}); export the bundle again") from None
        self.classes = self._weights.classes
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="tmkd")
        self._workspaces: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()
        for _ in range(self.threads):
            self._workspaces.put(np.empty(0, dtype=np.uint8))

    def logits(self, tokens: TokenIds) -> npt.NDArray[np.float32]:
        """Logarithms of Eq. 6's probabilities, float32 (pairs, classes).

        Raises: TmkdError when an id, type or length is outside the network's tables, or a result is not finite.
        """
        self._check(tokens)
        outputs = np.empty((len(tokens.lengths), self._weights.outputs), dtype=np.float32)
        for _ in self._pool.map(lambda part: self._encode(tokens, part, outputs), self._parts(tokens.lengths)):
            pass
        headers = self._weights.headers
        logits = outputs[:, : headers * self.classes].reshape(-1, headers, self.classes)
        of_headers = logits - np.logaddexp.reduce(logits, axis=2, keepdims=True)  # log-softmax
        answer = np.logaddexp.reduce(of_headers, axis=1) - np.float32(np.log(headers))
        if not np.isfinite(answer).all():
            raise TmkdError(f"{self.name}: the graph gave a number that is not finite; export the bundle again")
        return answer

    def _parts(self, lengths: np.ndarray) -> Iterator[slice]:
        """Runs of pairs with about equally many ids, about _PAIRS pairs at most; equally many runs for each thread."""
        runs = -(-len(lengths) // (_PAIRS * self.threads)) * self.threads
        middles, targets = np.cumsum(lengths) - lengths / 2, lengths.sum() * np.arange(1, runs) / max(runs, 1)
        cuts = [0, *np.searchsorted(middles, targets).tolist(), len(lengths)]
        return (slice(start, end) for start, end in pairwise(cuts) if end > start)

    def _encode(self, tokens: TokenIds, part: slice, outputs: np.ndarray) -> None:
        some = tokens.take(np.arange(part.start, part.stop))
        arrays = some.flat_ids.astype(np.int32), some.flat_types.astype(np.int32), some.lengths.astype(np.int64)
        batch = ctypes.byref(Batch(len(some.lengths), *(array.ctypes.data for array in arrays)))
        model = ctypes.byref(self._weights.model)
        size = self._library.tmkd_workspace_size(model, batch) + _ALIGNMENT
        workspace = self._workspaces.get()
        try:
            if len(workspace) < size:
                workspace = np.empty(size, dtype=np.uint8)
            start = workspace.ctypes.data + -workspace.ctypes.data % _ALIGNMENT
            self._library.tmkd_encode(model, self.level, batch, start, outputs[part].ctypes.data)
        finally:
            self._workspaces.put(workspace)

    def _check(self, tokens: TokenIds) -> None:
        """The kernel trusts what it looks up; nothing may be outside the tables."""
        for what, values, least, end in (
            ("token id", tokens.flat_ids, 0, self._weights.words),
            ("token type", tokens.flat_types, 0, self._weights.types),
            ("length", tokens.lengths, 1, self._weights.positions + 1),
        ):
            if len(values) and not (values.min() >= least and values.max() < end):
                raise TmkdError(f"{self.name}: a {what} that the network does not have; is tokenizer.json its own?")


def kernel_fault(graph: bytes, level: int | None = None) -> str | None:
    """Why the kernel cannot run this graph (its ONNX bytes) here, at `level` of CPU_LEVELS or the highest, or None.

    Warns once where only a missing or outdated compiled library is in the way.
    """
    try:
        constants, settings = read_constants(graph)
        fault = unsuitable(constants, settings)
    except (KeyError, ValueError) as error:
        return f"it is no graph of this tmkd ({error})"
    if fault is not None:
        return fault
    _, fault = open_library()
    if fault is not None:
        warn_of_unused_processor()
        return fault
    if level is not None and level not in CPU_LEVELS:
        return f"unknown level {level}; use " + " or ".join(f"{key} ({name})" for key, name in CPU_LEVELS.items())
    return None if (level or 1) <= kernel_level() else f"this processor has no {CPU_LEVELS[level or 1]}"
