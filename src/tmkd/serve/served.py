"""What one server process serves: bundle, index and look-up store, opened once; and what it tells of itself."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

import tmkd
from tmkd.bundle import Ranker
from tmkd.data.pairs import Corpus
from tmkd.data.softlabels import TeacherColumn
from tmkd.errors import TmkdError
from tmkd.search.index import TantivyIndex
from tmkd.serve.answer import Answerer, AnswerSettings
from tmkd.serve.limits import Limits
from tmkd.serve.lookup import AnswerStore
from tmkd.serve.lookup_redis import open_answers
from tmkd.serve.rerank import Reranker
from tmkd.serve.scorer import Scorer
from tmkd.serve.side_by_side import SideBySide
from tmkd.store import sealed

_EXAMPLES = 6  # questions that the page proposes
_WARM_UP = 8  # questions, each with `top` passages
_WORDS = 8  # of a passage make a question of the warm-up
_NICENESS = 10  # of the threads that score: the event loop goes before them, or a refusal would wait for a core
_log = logging.getLogger("tmkd.serve")


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of what is served, and how: a look-up store's own settings go before `settings`.

    `examples` are questions that the page may propose; `teachers` have scored the stage-1 corpus of folder `corpus`.
    """

    bundle: Path
    index: Path | None = None
    lookup: str | None = None
    settings: AnswerSettings = field(default_factory=AnswerSettings)
    examples: tuple[str, ...] = ()
    corpus: Path | None = None
    teachers: tuple[TeacherColumn, ...] = ()


class Served:
    """Bundle, index and store of one process.

    Raises: TmkdError when a folder is damaged. A look-up store made of another bundle or index is not used.
    """

    def __init__(self, places: Places, limits: Limits, threads: int | None = None) -> None:
        self.places, self.limits = places, limits
        self.ranker = Ranker(places.bundle, threads=threads)
        self.ranker.queue.niceness = _NICENESS
        self.digests = {"bundle": sealed(places.bundle).digest}
        self.model = places.bundle.resolve().parent.name if places.bundle.name == "bundle" else places.bundle.name
        self.scorer = Scorer(self.ranker, limits)
        self.reranker = Reranker(self.scorer, self.model)
        self.answerer = None if places.index is None else self._answerer(places.index)

    def _answerer(self, folder: Path) -> Answerer:
        self.digests["index"] = sealed(folder).digest
        digests = self.digests["bundle"], self.digests["index"]
        store, teachers = self._store(), self._teachers()
        return Answerer(self.scorer, TantivyIndex(folder), store, self.places.settings, digests, teachers)

    def _store(self) -> AnswerStore | None:
        """The look-up store; without one, or with one of another bundle or index, all questions take the tail route."""
        if self.places.lookup is None:
            return None
        try:
            return open_answers(self.places.lookup, self.digests["bundle"], self.digests["index"])
        except TmkdError as error:
            _log.warning("%s; all questions are ranked on the fly", error)
            return None

    def _teachers(self) -> SideBySide | None:
        """Teachers' scores; None without any, or where they cannot be read."""
        if self.places.corpus is None or not self.places.teachers:
            return None
        try:
            return SideBySide(Corpus.open(self.places.corpus), self.places.teachers)
        except TmkdError as error:
            _log.warning("%s; teachers are not shown", error)
            return None

    def examples(self) -> list[str]:
        """Questions for the page: those that the store has answers to; without a store the first ones."""
        store = None if self.answerer is None else self.answerer.store
        answered = (one for one in self.places.examples if store is None or _answered(store, one))
        return list(islice(answered, _EXAMPLES))

    def warm_up(self) -> str:
        """Score some passages, so that the rate is measured and no memory is new; a line on the deadline."""
        if self.answerer is None:
            text = "which words of this passage answer the question "
            for _ in range(_WARM_UP):
                self.ranker.predict_proba([(text, text * 4)] * 10)
            return f"{self.scorer.backlog.measure():,.0f} tokens/s"
        settings, texts = self.answerer.settings, self.answerer.index.texts
        some = np.linspace(0, len(texts) - 1, _WARM_UP).astype(int).tolist() if len(texts) else []
        search, tokens = [], []
        for number in some:
            question = " ".join(texts.passage(number).split()[:_WORDS])
            started = time.perf_counter()
            _, ids = self.answerer.candidates(question, settings.top)
            search.append(time.perf_counter() - started)
            self.ranker.queue.logits(ids)
            tokens += ids.lengths.tolist()
        rate = self.scorer.backlog.measure()
        if settings.deadline_ms is None or not tokens:
            return f"{rate:,.0f} tokens/s; no deadline"
        left = settings.deadline_ms / 1000 - float(np.median(search))
        fitting = max(int(left * rate / float(np.mean(tokens))), 0)
        line = f"{fitting} passages fit into the deadline of {settings.deadline_ms:g} ms"
        if fitting < settings.top:
            line = f"warning: only {line}, of {settings.top}: the others will follow without a score"
        return line

    def info(self) -> dict[str, Any]:
        """Content of /info: TEI's fields first."""
        ranker, answerer = self.ranker, self.answerer
        labels = ranker.bundle.labels
        settings = None if answerer is None else answerer.settings
        return {
            "model_id": self.model,
            "model_sha": self.digests["bundle"],
            "model_dtype": ranker.precision,
            "model_type": {"reranker": {"id2label": dict(enumerate(labels.names)), "label2id": _numbers(labels.names)}},
            "max_input_length": ranker.bundle.text.max_length,
            "max_client_batch_size": self.limits.documents,
            "max_batch_tokens": ranker.queue.most_waiting,
            "version": tmkd.__version__,
            "model": self.model,
            "digests": {**self.digests, **self._store_digest()},
            "engine": ranker.engine,
            "precision": ranker.precision,
            "width": ranker.width,
            "threads": ranker.queue.threads,
            "tokens_per_second": round(self.scorer.backlog.rate),
            "limits": asdict(self.limits),
            "answers": None if settings is None else asdict(settings),
            "passages": None if answerer is None else len(answerer.index),
            "examples": self.examples(),
            "page": {
                "deadline_ms": None if settings is None else settings.deadline_ms,
                "side_by_side": answerer is not None and answerer.teachers is not None,
            },
        }

    def _store_digest(self) -> dict[str, str]:
        store = None if self.answerer is None else self.answerer.store
        return {} if store is None else {"lookup": store.origin.digest}

    def close(self) -> None:
        """Release the store and the executor."""
        self.scorer.close()
        if self.answerer is not None and self.answerer.store is not None:
            self.answerer.store.close()


def _answered(store: AnswerStore, question: str) -> bool:
    try:
        return bool(store.get(question))
    except TmkdError:
        return False


def _numbers(names: Sequence[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}
