"""The int8 engine: packs a graph's weights for the kernel (src/kernel) and runs batches on the calling thread."""

from __future__ import annotations

import ctypes
import math
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tmkd.bundle.fair_queue import MOST_PAIRS
from tmkd.bundle.format import Width
from tmkd.bundle.kernel_library import CPU_LEVELS, Batch, kernel_level, open_library, warn_of_unused_processor
from tmkd.bundle.kernel_weights import Weights, unsuitable
from tmkd.bundle.network_graph import check_graph
from tmkd.bundle.onnx_reader import read_constants, read_graph
from tmkd.data.tokens import TokenIds
from tmkd.errors import TmkdError

_TOKENS = 1024  # of one call: few enough for short turns; more at once are not faster
_ALIGNMENT = 64  # bytes: the workspace begins at a multiple of it


class Kernel:
    """A BERT's int8 graph (its ONNX bytes), run without onnxruntime. Safe to call from several threads.

    A pair's logits are the same to the bit in any batch. `level` (default: the highest) is one of CPU_LEVELS, `width`
    the bytes of an input of an int8 product.
    Raises: TmkdError when the kernel cannot run here or cannot compute this graph, or the graph is damaged.
    """

    def __init__(self, graph: bytes, name: str | Path, level: int | None = None, width: Width = 2) -> None:
        self.name = name
        fault = kernel_fault(graph, level)
        if fault is not None:
            raise TmkdError(f"{name}: tmkd's own kernel can't run it: {fault}")
        self.level = level or kernel_level()
        self._library, _ = open_library()
        try:
            content = read_graph(graph)
            check_graph(content)
            self._weights = Weights(content.constants, content.settings, width)
        except (KeyError, ValueError) as error:
            raise TmkdError(f"{name}: a damaged int8 graph ({error}); export the bundle again") from None
        self.classes = self._weights.classes
        self._of_thread = threading.local()

    def parts(self, tokens: TokenIds, threads: int) -> list[npt.NDArray[np.int64]]:
        """Split pairs into runs with about equally many ids, equally many runs for each thread: their indices."""
        lengths, pairs, total = tokens.lengths, len(tokens.lengths), tokens.lengths.sum()
        most = max(pairs / MOST_PAIRS, total / _TOKENS)
        runs = math.ceil(most / threads) * threads
        middles, targets = np.cumsum(lengths) - lengths / 2, total * np.arange(1, runs) / max(runs, 1)
        cuts = [0, *np.searchsorted(middles, targets).tolist(), pairs]
        return [
            np.arange(first, min(first + MOST_PAIRS, end))  # more pairs than MOST_PAIRS where many short ones meet
            for start, end in pairwise(cuts)
            for first in range(start, end, MOST_PAIRS)
        ]

    def logits(self, tokens: TokenIds) -> npt.NDArray[np.float32]:
        """Logarithms of Eq. 6's probabilities, float32 (pairs, classes).

        Raises: TmkdError when an id, type or length is outside the network's tables, or a result is not finite.
        """
        self._check(tokens)
        outputs = self._encode(tokens)
        headers = self._weights.headers
        logits = outputs[:, : headers * self.classes].reshape(-1, headers, self.classes)
        of_headers = logits - np.logaddexp.reduce(logits, axis=2, keepdims=True)  # log-softmax
        answer = np.logaddexp.reduce(of_headers, axis=1) - np.float32(np.log(headers))
        if not np.isfinite(answer).all():
            raise TmkdError(f"{self.name}: the graph gave a number that is not finite; export the bundle again")
        return answer

    def _encode(self, tokens: TokenIds) -> npt.NDArray[np.float32]:
        """Header logits, float32 (pairs, outputs)."""
        outputs = np.empty((len(tokens.lengths), self._weights.outputs), dtype=np.float32)
        arrays = tokens.flat_ids.astype(np.int32), tokens.flat_types.astype(np.int32), tokens.lengths.astype(np.int64)
        batch = ctypes.byref(Batch(len(tokens.lengths), *(array.ctypes.data for array in arrays)))
        model = ctypes.byref(self._weights.model)
        size = self._library.tmkd_workspace_size(model, batch) + _ALIGNMENT
        workspace = getattr(self._of_thread, "workspace", None)
        if workspace is None or len(workspace) < size:
            workspace = self._of_thread.workspace = np.empty(size, dtype=np.uint8)
        start = workspace.ctypes.data + -workspace.ctypes.data % _ALIGNMENT
        self._library.tmkd_encode(model, self.level, batch, start, outputs.ctypes.data)
        return outputs

    def _check(self, tokens: TokenIds) -> None:
        """Check that ids, types and lengths are within the tables: the kernel does not."""
        for what, values, least, end in (
            ("token id", tokens.flat_ids, 0, self._weights.words),
            ("token type", tokens.flat_types, 0, self._weights.types),
            ("length", tokens.lengths, 1, self._weights.positions + 1),
        ):
            if len(values) and not (values.min() >= least and values.max() < end):
                raise TmkdError(f"{self.name}: a {what} that the network does not have; is tokenizer.json its own?")


def kernel_fault(graph: bytes, level: int | None = None) -> str | None:
    """Reason why the kernel cannot run a graph (ONNX bytes) here, at `level` of CPU_LEVELS or the highest; or None.

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
