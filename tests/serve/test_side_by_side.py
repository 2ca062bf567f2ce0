"""Teachers' scores beside the student's: pairs found by id, files that are damaged, corpora that are too large."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tmkd.data.pairs import Corpus
from tmkd.data.softlabels import TeacherColumn, shard_path, write_shard
from tmkd.errors import TmkdError
from tmkd.serve import side_by_side
from tmkd.serve.side_by_side import SideBySide

ROWS = [("why", "because", None), ("why", "so that", None), ("when", "now", None), ("where", "here", None)]
LOG_3 = np.log(3.0)  # with 0 as the other logit: probabilities 0.25 and 0.75
LOGITS = np.array([[0, LOG_3], [LOG_3, 0], [0, 0], [-LOG_3, 0]], dtype=np.float32)


@pytest.fixture
def pairs(corpus: Callable[..., Corpus]) -> Corpus:
    """Four pairs in shards of three and one."""
    return corpus(ROWS, 3)


def column(pairs: Corpus, folder: Path, name: str, logits: np.ndarray) -> TeacherColumn:
    """A teacher's soft labels of all pairs."""
    one = TeacherColumn(name, name * 64, folder / name)
    one.folder.mkdir()
    start = 0
    for shard in pairs.shards:
        part = logits[start : start + shard.rows]
        gaps = int(np.isnan(part).all(axis=1).sum())
        write_shard(shard_path(one.folder, one.digest, shard.digest), part, one.digest, shard.digest, missing=gaps)
        start += shard.rows
    return one


def test_each_pair_has_its_teachers_probabilities(pairs: Corpus, tmp_path: Path) -> None:
    columns = [column(pairs, tmp_path, "a", LOGITS), column(pairs, tmp_path, "b", -LOGITS)]
    shown = SideBySide(pairs, columns)
    found = [shown.scores(question, passage) for question, passage, _ in ROWS]
    assert [one["a"] for one in found] == pytest.approx([0.75, 0.25, 0.5, 0.75])
    assert [one["b"] for one in found] == pytest.approx([0.25, 0.75, 0.5, 0.25])


@pytest.mark.parametrize(("question", "passage"), [("why", "now"), ("Why", "because"), ("whyb", "ecause"), ("", "")])
def test_a_pair_that_is_not_in_the_corpus_has_none(pairs: Corpus, tmp_path: Path, question: str, passage: str) -> None:
    assert SideBySide(pairs, [column(pairs, tmp_path, "a", LOGITS)]).scores(question, passage) == {}


def test_a_teacher_that_left_a_pair_out_is_left_out(pairs: Corpus, tmp_path: Path) -> None:
    gap = LOGITS.copy()
    gap[1] = np.nan
    shown = SideBySide(pairs, [column(pairs, tmp_path, "a", gap), column(pairs, tmp_path, "b", LOGITS)])
    assert [*shown.scores("why", "so that")] == ["b"]
    assert [*shown.scores("why", "because")] == ["a", "b"]


def test_a_damaged_file_leaves_its_teacher_out_with_a_warning(
    pairs: Corpus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shown = SideBySide(pairs, [column(pairs, tmp_path, "a", LOGITS), column(pairs, tmp_path, "b", LOGITS)])
    path = shard_path(tmp_path / "a", "a" * 64, pairs.shards[0].digest)
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    assert [*shown.scores("why", "because")] == ["b"]
    assert [*shown.scores("why", "so that")] == ["b"]
    assert caplog.text.count("teacher a is not shown") == 1
    assert [*shown.scores("where", "here")] == ["a", "b"]


def test_a_corpus_that_is_too_large_for_memory_is_refused(pairs: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "MOST_PAIRS", 3)
    with pytest.raises(TmkdError, match="4 pairs; ids of at most 3"):
        SideBySide(pairs, [])


def test_ids_of_an_empty_corpus_are_no_rows(corpus: Callable[..., Corpus]) -> None:
    assert SideBySide(corpus([]), []).scores("why", "because") == {}
