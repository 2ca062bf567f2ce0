"""Scores and rankings by a bundle, computed by our own kernel or ONNX Runtime on a thread per core."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tmkd.bundle.check_sequences import FP32_LIMIT
from tmkd.bundle.fair_queue import FairQueue, GraphRunner
from tmkd.bundle.format import (
    BUNDLE,
    GRAPHS,
    Engine,
    Int8Engine,
    Precision,
    Width,
    engine_words,
    read_bundle,
    read_file,
)
from tmkd.bundle.kernel import Kernel, kernel_fault
from tmkd.bundle.kernel_library import kernel_level
from tmkd.bundle.network_graph import NetworkSize, check_graph
from tmkd.bundle.onnx_reader import read_graph
from tmkd.bundle.processor import FASTEST_FIRST, own_precision
from tmkd.bundle.session import Session
from tmkd.bundle.tokenizer_check import open_tokenizer
from tmkd.data.text import TOKENIZER
from tmkd.data.tokens import TokenIds
from tmkd.errors import TmkdError, first_line
from tmkd.ranking import Predictions, Probabilities, RankedPassage, predictions, ranking

_AT_ONCE = 1024  # pairs tokenised together: bounds memory, and how long another caller waits for the tokenizer

_Candidate = tuple[Precision, Engine, Width | None]


class Ranker:
    """A served student. A pair's score depends on that pair alone.

    Safe to call from several threads, whose requests `queue` serves in turns, and in a forked process.

    `precision` is fp32, int8 or None: int8 if the processor's int8 products are exact and an engine that kept the int8
    graph's limits runs here, else fp32. `engine` is kernel (our own, for int8), onnxruntime or None, `width` the bytes
    of an input of an int8 product (onnxruntime has 1 alone; the attribute is None for fp32) or None: the first of
    FASTEST_FIRST that kept the limits and runs here. An engine whose log-odds of the bundle's check sequences are wrong
    is left with a warning for the next.
    `threads` batches are computed at the same time (default: one per core), each by one thread.
    Raises: TmkdError when the folder is no bundle of this version, a file is damaged, or the engine can't run it.
    """

    def __init__(
        self,
        folder: str | Path,
        precision: Precision | None = None,
        threads: int | None = None,
        engine: Engine | None = None,
        width: Width | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.bundle = read_bundle(self.folder)
        candidates = self._candidates(precision, engine, width)
        (self.precision, self.engine, self.width), self.queue, size = self._opened(candidates, threads)
        data = read_file(self.folder, TOKENIZER)
        self.tokenizer = open_tokenizer(data, self.bundle.text, size, self.folder / TOKENIZER)

    @property
    def engine_words(self) -> str:
        """Precision, engine and width in words, such as `int8, kernel, 2 bytes`."""
        return engine_words(self.precision, self.engine, self.width)

    def _candidates(self, precision: Precision | None, engine: Engine | None, width: Width | None) -> list[_Candidate]:
        """Candidates as given, or else those that kept their limits, the fastest first; fp32 at last."""
        available = self.bundle.precisions
        if precision is not None and precision not in available:
            raise TmkdError(f"{self.folder}: has no {precision} graph; it has {', '.join(available)}")
        wanted = precision or ("int8" if engine == "kernel" or width else own_precision())
        asked = bool(precision or width) or engine == "kernel"
        found: list[_Candidate] = []
        if wanted == "int8" and "int8" in available:
            fitting = [
                one
                for one in FASTEST_FIRST[kernel_level()]
                if engine in (None, one.engine) and width in (None, one.width)
            ]
            if not fitting:
                raise TmkdError(f"{self.folder}: {engine} has no int8 products of inputs of {width} bytes")
            no_kernel = engine != "onnxruntime" and kernel_fault(self._graph("int8")) is not None
            running = [one for one in fitting if one.engine == "onnxruntime" or not no_kernel]
            kept = [one for one in running if one in self.bundle.engines]
            if not kept and asked:
                kept = (running or fitting)[:1]
            found = [("int8", one.engine, one.width) for one in kept]
        elif width is not None:
            raise TmkdError(f"{self.folder}: a width is that of int8 products; an fp32 graph has none")
        if not found or not asked:
            found.append(("fp32", engine or "onnxruntime", None))
        return found

    def _opened(
        self, candidates: Sequence[_Candidate], threads: int | None
    ) -> tuple[_Candidate, FairQueue, NetworkSize]:
        """The first engine whose log-odds of the bundle's check sequences are right; warns of each before it."""
        for candidate in candidates:
            precision, engine, width = candidate
            graph = self._graph(precision)
            size = self._size(graph, precision)
            runner: GraphRunner = (
                Kernel(graph, self.folder, width=width or 2)
                if engine == "kernel"
                else Session(graph, self.folder, self.bundle.text.pad_id)
            )
            queue = FairQueue(runner, threads)
            fault = self._fault(precision, queue)
            if fault is None:
                return candidate, queue, size
            name = engine if width is None else Int8Engine(engine, width)
            fault = f"{self.folder}: the {precision} graph computed by {name} is {fault}"
            if precision == "fp32" or candidate == candidates[-1]:
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

    def encode(self, questions: Sequence[str], passages: Sequence[str]) -> TokenIds:
        """Token ids of pairs, each cut to the model's length.  Raises: TmkdError for texts that are no Unicode."""
        try:
            return self.tokenizer.encode(questions, passages)
        except Exception as error:  # the tokenizers library raises plain Exception
            raise TmkdError(f"{self.folder / TOKENIZER}: cannot tokenise these texts ({first_line(error)})") from error

    def predict_proba(self, pairs: Sequence[tuple[str, str]]) -> Probabilities:
        """Probabilities (Eq. 6) of (question, passage) pairs, float32 (pairs, classes)."""
        logits = np.empty((len(pairs), len(self.bundle.labels.names)), dtype=np.float32)
        for start in range(0, len(pairs), _AT_ONCE):
            part = pairs[start : start + _AT_ONCE]
            tokens = self.encode([question for question, _ in part], [passage for _, passage in part])
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
