"""ONNX Runtime session of one graph: batches of pairs of similar length, one thread a batch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tmkd.data.tokens import TokenIds
from tmkd.errors import TmkdError, first_line, optional_import
from tmkd.machine import cores

TOKEN_BUDGET = 512  # padded ids a batch: the activations between two layers then fit a core's cache
# Fusions of onnxruntime that are slower than the operators they replace (docs/speed.md).
SLOWER_FUSED = ["BiasGeluFusion"]


class Session:
    """A graph (the bytes of an ONNX file) ready to run. Safe to call from several threads. Errors call it `name`.

    `threads` batches are computed side by side (default: all cores). Raises: TmkdError when onnxruntime is missing or
    cannot open the graph.
    """

    def __init__(self, graph: bytes, name: str | Path, threads: int | None = None) -> None:
        with optional_import("a bundle needs", "onnxruntime"):
            import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # the calling thread computes: no core waits for another within a layer
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=SLOWER_FUSED
            )
        except Exception as error:  # onnxruntime's exceptions have no base class of their own
            raise TmkdError(f"{name}: onnxruntime cannot open the graph: {first_line(error)}") from None
        self.name = name
        self.threads = threads or cores()
        self.classes = int(self._session.get_outputs()[0].shape[1])
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="tmkd")

    def logits(self, tokens: TokenIds, pad_id: int) -> npt.NDArray[np.float32]:
        """Logarithm of Eq. 6, float32 (pairs, classes).

        Raises: TmkdError when a logit is not finite.
        """
        logits = np.empty((len(tokens.lengths), self.classes), dtype=np.float32)
        # Few pairs are cut into more batches, for about equal work on every core: three batches for two (docs/log.md).
        batches = 1.0 if self.threads == 1 else 1.5 * self.threads
        share = max(int(tokens.lengths.sum() / batches), 1)

        def run(indices: npt.NDArray[np.int64]) -> None:
            logits[indices] = self._session.run(None, tokens.pad(indices, pad_id))[0]

        largest_first = sorted(
            tokens.batches(min(TOKEN_BUDGET, share)),
            key=lambda indices: len(indices) * int(tokens.lengths[indices[-1]]),  # padded ids; the last pair is longest
            reverse=True,
        )
        for _ in self._pool.map(run, largest_first):
            pass
        if not np.isfinite(logits).all():
            raise TmkdError(f"{self.name}: a logit is not finite; export the bundle again")
        return logits
