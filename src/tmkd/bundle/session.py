"""ONNX Runtime session of one graph: batches of pairs of similar length, each computed by the calling thread."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from tmkd.bundle.fair_queue import MOST_PAIRS
from tmkd.data.tokens import TokenIds
from tmkd.errors import TmkdError, first_line
from tmkd.onnx_runtime import onnx_runtime

TOKEN_BUDGET = 512  # padded ids a batch: the activations between two layers then fit a core's cache
# Fusions of onnxruntime that are slower than the operators they replace (docs/speed.md).
SLOWER_FUSED = ["BiasGeluFusion"]


class Session:
    """A graph (the bytes of an ONNX file) ready to run. Safe to call from several threads. Errors call it `name`.

    Raises: TmkdError when onnxruntime is missing or cannot open the graph.
    """

    def __init__(self, graph: bytes, name: str | Path, pad_id: int) -> None:
        onnxruntime = onnx_runtime("a bundle needs")
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
        self.pad_id = pad_id
        self.classes = int(self._session.get_outputs()[0].shape[1])

    def parts(self, tokens: TokenIds, threads: int) -> list[npt.NDArray[np.int64]]:
        """Split pairs into batches of like lengths, at most TOKEN_BUDGET padded ids each: indices, largest first."""
        # Few pairs are cut into more batches, for about equal work on every core: three batches for two (docs/log.md).
        batches = 1.0 if threads == 1 else 1.5 * threads
        share = max(int(tokens.lengths.sum() / batches), 1)
        cut = [
            indices[start : start + MOST_PAIRS]
            for indices in tokens.batches(min(TOKEN_BUDGET, share))
            for start in range(0, len(indices), MOST_PAIRS)
        ]
        # By padded ids; the last pair is the longest.
        return sorted(cut, key=lambda indices: len(indices) * int(tokens.lengths[indices[-1]]), reverse=True)

    def logits(self, tokens: TokenIds) -> npt.NDArray[np.float32]:
        """Logarithm of Eq. 6 of one batch, padded to its longest pair, float32 (pairs, classes).

        Raises: TmkdError when the graph cannot compute these ids, or a logit is not finite.
        """
        inputs = tokens.pad(np.arange(len(tokens.lengths)), self.pad_id)
        try:
            logits: npt.NDArray[np.float32] = self._session.run(None, inputs)[0]
        except Exception as error:  # an id outside its table, and the like
            raise TmkdError(f"{self.name}: onnxruntime cannot run the graph: {first_line(error)}") from None
        if not np.isfinite(logits).all():
            raise TmkdError(f"{self.name}: a logit is not finite; export the bundle again")
        return logits
