"""Teachers' scores of served pairs, from the soft labels of the stage-1 corpus."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from tmkd.data.pairs import Corpus, pair_id
from tmkd.data.softlabels import TeacherColumn, read_shard, shard_path
from tmkd.errors import TmkdError
from tmkd.metrics.quality import softmax

MOST_PAIRS = 500_000  # of a corpus whose ids are kept in memory, 20 bytes each
_SHARDS = 64  # of soft labels that are kept in memory, some thousand pairs each
_log = logging.getLogger("tmkd.serve")


class SideBySide:
    """Teachers' probabilities of the positive class by question and passage, exactly as they stand in the corpus.

    Raises: TmkdError when the corpus has more than `MOST_PAIRS` pairs, or a shard of it is damaged.
    """

    def __init__(self, corpus: Corpus, columns: Sequence[TeacherColumn]) -> None:
        if len(corpus) > MOST_PAIRS:
            raise TmkdError(f"{corpus.folder}: {len(corpus):,} pairs; ids of at most {MOST_PAIRS:,} are kept in memory")
        self.corpus, self.columns = corpus, tuple(columns)
        ids = corpus.id_array()
        order = np.lexsort((ids[:, 1], ids[:, 0]))
        self._ids, self._rows = ids[order], order.astype(np.uint32)
        self._starts = np.cumsum([0, *(shard.rows for shard in corpus.shards)])
        self._logits = lru_cache(_SHARDS)(self._read)

    def scores(self, question: str, passage: str) -> dict[str, float]:
        """Probability by each teacher that has scored this pair; a teacher whose file is damaged is left out."""
        row = self._row(pair_id(question, passage))
        if row is None:
            return {}
        place = int(np.searchsorted(self._starts, row, side="right")) - 1
        found = {}
        for column in self.columns:
            logits = self._logits(column, place)
            if logits is not None and np.isfinite(own := logits[row - self._starts[place]]).all():
                found[column.name] = float(softmax(own[None])[0, self.corpus.labels.positive_index])
        return found

    def _row(self, key: str) -> int | None:
        """Row of the corpus that has a pair's id; None without one."""
        high, low = int(key[:16], 16), int(key[16:], 16)
        place = int(np.searchsorted(self._ids[:, 0], np.uint64(high)))
        while place < len(self._ids) and self._ids[place, 0] == high:
            if self._ids[place, 1] == low:
                return int(self._rows[place])
            place += 1
        return None

    def _read(self, column: TeacherColumn, place: int) -> np.ndarray | None:
        """Logits of a shard, float32 (pairs, classes); None, and a warning, where its file is damaged."""
        shard = self.corpus.shards[place]
        path = shard_path(column.folder, column.digest, shard.digest)
        try:
            return read_shard(path, column.digest, shard.digest, shard.rows, len(self.corpus.labels.names))
        except TmkdError as error:
            _log.warning("teacher %s is not shown: %s", column.name, error)
            return None
