"""Scores and rankings by a bundle, computed by our own kernel or ONNX Runtime on a thread per core."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tmkd.bundle.check_sequences import FP32_LIMIT
from tmkd.bundle.fair_queue import FairQueue, GraphRunner
from tmkd.bundle.format import BUNDLE, GRAPHS, Engine, Precision, read_bundle, read_file
from tmkd.bundle.kernel import Kernel, kernel_fault
from tmkd.bundle.network_graph import NetworkSize, check_graph
from tmkd.bundle.onnx_reader import read_graph
from tmkd.bundle.processor import own_precision
from tmkd.bundle.session import Session
from tmkd.bundle.tokenizer_check import open_tokenizer
from tmkd.data.text import TOKENIZER
from tmkd.errors import TmkdError, first_line
from tmkd.ranking import Predictions, Probabilities, RankedPassage, predictions, ranking

_AT_ONCE = 1024  # pairs tokenised together: bounds memory, and how long another caller waits for the tokenizer


class Ranker:
    """A served student. A pair's score depends on that pair alone.

    Safe to call from several threads, whose requests `queue` serves in turns, and in a forked process.

    `precision` is fp32, int8 or None: int8 if the processor's int8 products are exact and an engine that kept the int8
    graph's limits runs here, else fp32. `engine` is kernel (our own, for int8), onnxruntime or None: the first of the
    two that kept the limits and runs here. An engine whose log-odds of the bundle's check sequences are wrong is left
    with a warning for the next.
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
        self.precision, self.engine, self.queue, size = self._opened(self._candidates(precision, engine), threads)
        data = read_file(self.folder, TOKENIZER)
        self.tokenizer = open_tokenizer(data, self.bundle.text, size, self.folder / TOKENIZER)

    def _candidates(self, precision: Precision | None, engine: Engine | None) -> list[tuple[Precision, Engine]]:
        """Precisions and engines as given, or else those that kept their limits, the fastest first; fp32 at last."""
        available = self.bundle.precisions
        if precision is not None and precision not in available:
            raise TmkdError(f"{self.folder}: has no {precision} graph; it has {', '.join(available)}")
        wanted = precision or ("int8" if engine == "kernel" else own_precision())
        found: list[tuple[Precision, Engine]] = []
        if wanted == "int8" and "int8" in available:
            graph = self._graph("int8")
            found = [
                ("int8", kept)
                for kept in self.bundle.engines
                if engine in (None, kept) and (kept == "onnxruntime" or kernel_fault(graph) is None)
            ]
            if not found and (precision or engine == "kernel"):
                found = [("int8", engine or "onnxruntime")]
        if not found or not (precision or engine == "kernel"):
            found.append(("fp32", engine or "onnxruntime"))
        return found

    def _opened(
        self, candidates: Sequence[tuple[Precision, Engine]], threads: int | None
    ) -> tuple[Precision, Engine, FairQueue, NetworkSize]:
        """The first engine whose log-odds of the bundle's check sequences are right; warns of each before it."""
        for precision, engine in candidates:
            graph = self._graph(precision)
            size = self._size(graph, precision)
            runner: GraphRunner = (
                Kernel(graph, self.folder)
                if engine == "kernel"
                else Session(graph, self.folder, self.bundle.text.pad_id)
            )
            queue = FairQueue(runner, threads)
            fault = self._fault(precision, queue)
            if fault is None:
                return precision, engine, queue, size
            fault = f"{self.folder}: the {precision} graph computed by {engine} is {fault}"
            if precision == "fp32" or (precision, engine) == candidates[-1]:
                raise TmkdError(f"{fault}; export the bundle again, or install tmkd and onnxruntime again")
            warnings.warn(f"{fault}; the next engine is used", RuntimeWarning, stacklevel=3)
        raise AssertionError("there is always a candidate")

    def _fault(self, precision: Precision, queue: FairQueue) -> str | None:
        """Difference of an engine from the bundle's check sequences in words, or None within its limit."""
        check = self.bundle.check
        if check is None:
            return None
        limit = FP32_LIMIT if precision == "fp32" else check.int8_limit
        try:
            difference = check.difference(queue.logits(check.tokens))
        except TmkdError as error:
            return f"wrong: {error}"
        return None if difference <= limit else f"wrong: a log-odds is off by {difference:.2g}, more than {limit:.2g}"

    def _size(self, graph: bytes, precision: Precision) -> NetworkSize:
        """Size of a graph's network, after the check that it is a student's, and this bundle's."""
        path, bundle = self.folder / GRAPHS[precision], self.bundle
        try:
            size = check_graph(read_graph(graph))
        except (ValueError, KeyError, RecursionError) as error:
            raise TmkdError(f"{path}: not a student's graph: {first_line(error)}; export the bundle again") from None
        for what, graphs, declared in (
            ("classes", size.classes, len(bundle.labels.names)),
            ("headers", size.headers, len(bundle.headers)),
        ):
            if graphs != declared:
                raise TmkdError(f"{path}: {graphs} {what}, {BUNDLE} names {declared}; export the bundle again")
        return size

    def _graph(self, precision: Precision) -> bytes:
        return read_file(self.folder, GRAPHS[precision])

    def predict_proba(self, pairs: Sequence[tuple[str, str]]) -> Probabilities:
        """Probabilities (Eq. 6) of (question, passage) pairs, float32 (pairs, classes)."""
        logits = np.empty((len(pairs), len(self.bundle.labels.names)), dtype=np.float32)
        for start in range(0, len(pairs), _AT_ONCE):
            part = pairs[start : start + _AT_ONCE]
            try:
                tokens = self.tokenizer.encode([question for question, _ in part], [passage for _, passage in part])
            except Exception as error:  # the tokenizers library raises plain Exception
                reason = first_line(error)
                raise TmkdError(f"{self.folder / TOKENIZER}: cannot tokenise these texts ({reason})") from error
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
