"""Scores and rankings by a bundle, computed by our own kernel or ONNX Runtime on a thread per core."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from tmkd.bundle.fair_queue import FairQueue, GraphRunner
from tmkd.bundle.format import GRAPHS, Engine, Precision, check_file, read_bundle, tokenizer_file
from tmkd.bundle.kernel import Kernel, kernel_fault
from tmkd.bundle.processor import own_precision
from tmkd.bundle.session import Session
from tmkd.data.text import PairTokenizer
from tmkd.errors import TmkdError, first_line
from tmkd.ranking import Predictions, Probabilities, RankedPassage, predictions, ranking

_AT_ONCE = 1024  # pairs tokenised together: bounds memory, and how long another caller waits for the tokenizer


class Ranker:
    """A served student. A pair's score depends on that pair alone.

    Safe to call from several threads, whose requests `queue` serves in turns, and in a forked process.

    `precision` is fp32, int8 or None: int8 if the processor's int8 products are exact and an engine that kept the int8
    graph's limits runs here, else fp32. `engine` is kernel (our own, for int8), onnxruntime or None: the first of the
    two that kept the limits and runs here.
    `threads` batches are computed at the same time (default: one per core), each by one thread.
    Raises: TmkdError when the folder is no bundle of this version, a file is damaged, or the engine can't run it.
    """

    def __init__(
        self,
        folder: str | Path,
        precision: Precision | None = None,
        threads: int | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.bundle = read_bundle(self.folder)
        self.precision, self.engine, graph = self._chosen(precision, engine)
        runner: GraphRunner
        if self.engine == "kernel":
            runner = Kernel(graph, self.folder)
        else:
            runner = Session(graph, self.folder, self.bundle.text.pad_id)
        self.queue = FairQueue(runner, threads)
        self.tokenizer = PairTokenizer(_tokenizer(tokenizer_file(self.folder)), self.bundle.text)

    def _chosen(self, precision: Precision | None, engine: Engine | None) -> tuple[Precision, Engine, bytes]:
        """Precision and engine as given, or else the fastest that kept its limits; and the bytes of the graph."""
        available = self.bundle.precisions
        if precision is not None and precision not in available:
            raise TmkdError(f"{self.folder}: has no {precision} graph; it has {', '.join(available)}")
        wanted = precision or ("int8" if engine == "kernel" else own_precision())
        if wanted == "int8" and "int8" in available:
            graph = self._graph("int8")
            for kept in self.bundle.engines:
                if engine in (None, kept) and (kept == "onnxruntime" or kernel_fault(graph) is None):
                    return "int8", kept, graph
            if precision or engine == "kernel":
                return "int8", engine or "onnxruntime", graph
        return "fp32", engine or "onnxruntime", self._graph("fp32")

    def _graph(self, precision: Precision) -> bytes:
        return check_file(self.folder, GRAPHS[precision]).read_bytes()

    def predict_proba(self, pairs: Sequence[tuple[str, str]]) -> Probabilities:
        """Probabilities (Eq. 6) of (question, passage) pairs, float32 (pairs, classes)."""
        logits = np.empty((len(pairs), len(self.bundle.labels.names)), dtype=np.float32)
        for start in range(0, len(pairs), _AT_ONCE):
            part = pairs[start : start + _AT_ONCE]
            tokens = self.tokenizer.encode([question for question, _ in part], [passage for _, passage in part])
            logits[start : start + len(part)] = self.queue.logits(tokens)
        return np.exp(logits)

    def predict(self, pairs: Sequence[tuple[str, str]]) -> Predictions:
        """Predict (pairs,): the positive class's probability, float32; with three or more the class index, int64."""
        return predictions(self.predict_proba(pairs), self.bundle.labels)

    def rank(
        self, question: str, passages: Sequence[str], top_k: int | None = None, return_documents: bool = False
    ) -> list[RankedPassage]:
        """Rank passages by the probability of the positive class, the best first; equals keep their order.

        Returns {"corpus_id": index in `passages`, "score": probability}, with "text" if `return_documents`.
        """
        probabilities = self.predict_proba([(question, passage) for passage in passages])
        return ranking(probabilities, self.bundle.labels, passages, top_k, return_documents)


def _tokenizer(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_buffer(path.read_bytes())
    except Exception as error:  # the tokenizers library raises plain Exception
        raise TmkdError(f"{path}: not a tokenizer ({first_line(error)})") from None
