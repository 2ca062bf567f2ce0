"""Training pairs of a stage, chosen and written shard by shard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tiny
from tmkd.data.labels import LabelSet
from tmkd.data.pairs import Corpus, pair_table, write_corpus
from tmkd.data.softlabels import SoftLabels, TeacherColumn, shard_path, write_shard
from tmkd.data.text import PairTokenizer
from tmkd.data.token_store import TokenStore, open_tokens, write_tokens
from tmkd.distill.targets import StageTargets, open_targets, write_targets
from tmkd.errors import TmkdError
from tmkd.recipe.rows import StageSpec

LABELS = LabelSet("toy", ("no", "yes"), "yes")
ROWS = tiny.pairs(range(5))
NAN = np.nan


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Ten pairs in four shards; the first and the last have no label."""
    labels = [None if place in (0, 9) else place % 2 for place in range(10)]
    table = pair_table([row[0] for row in ROWS], [row[1] for row in ROWS], labels, "rows.tsv")
    return write_corpus(tmp_path / "corpus", LABELS, [table], shard_rows=3)


@pytest.fixture
def store(corpus: Corpus, tmp_path: Path) -> TokenStore:
    (tmp_path / "tokens").mkdir()
    tiny.write_tokenizer(tmp_path / "tokens")
    write_tokens(corpus, PairTokenizer.load(tmp_path / "tokens", 16), tmp_path / "tokens", lambda done, total: None)
    return open_tokens(tmp_path / "tokens", corpus)


def stored(folder: Path, corpus: Corpus, name: str, gaps: tuple[int, ...] = ()) -> TeacherColumn:
    """Logits of a teacher: (0, the pair's number) in every shard, NaN where it has a gap."""
    folder /= name
    folder.mkdir()
    logits = np.column_stack([np.zeros(10), np.arange(10)]).astype(np.float32)
    logits[list(gaps)] = NAN
    start = 0
    for shard in corpus.shards:
        part = logits[start : start + shard.rows]
        missing = int(np.isnan(part[:, 0]).sum())
        write_shard(shard_path(folder, name * 32, shard.digest), part, name * 32, shard.digest, missing=missing)
        start += shard.rows
    return TeacherColumn(name, name * 32, folder)


def made(
    corpus: Corpus,
    store: TokenStore,
    folder: Path,
    *columns: TeacherColumn,
    sources: tuple[str, ...] = (),
    **stage: Any,
) -> StageTargets:
    settings, folder = StageSpec(**stage), folder / "targets"
    header_pairs = write_targets(settings, corpus, columns, store, folder, "s", sources)
    return open_targets(settings, corpus, columns, store, 0, folder, header_pairs)


def test_stage_1_has_every_pair_with_all_logits_in_order(corpus: Corpus, store: TokenStore, tmp_path: Path) -> None:
    columns = stored(tmp_path, corpus, "t1"), stored(tmp_path, corpus, "t2")
    found = made(corpus, store, tmp_path, *columns, alpha=1.0)
    assert found.examples.soft is not None
    np.testing.assert_array_equal(found.examples.soft, SoftLabels.load(corpus, columns).logits)
    assert np.array_equal(found.examples.tokens.take(range(10)).flat_ids, store.tokens.take(range(10)).flat_ids)
    assert found.header_pairs == {"toy/t1": 10, "toy/t2": 10}
    assert [header.digest for header in found.headers] == ["t1" * 32, "t2" * 32]
    assert found.left_out == 0


@pytest.mark.parametrize(
    ("stage", "rows", "counts"),
    [
        ({"alpha": 1.0}, [0, 3, 4, 6, 7, 8, 9], [7, 7]),
        ({"alpha": 1.0, "gaps": "mask"}, [0, 1, 3, 4, 5, 6, 7, 8, 9], [7, 9]),
        ({"alpha": 0.5, "unlabelled": "drop"}, [3, 4, 6, 7, 8], [5, 5, 5]),
        ({"alpha": 0.5, "unlabelled": "drop", "gaps": "mask"}, [1, 3, 4, 5, 6, 7, 8], [7, 5, 7]),
        ({"alpha": 0.5, "unlabelled": "soft_only"}, [0, 3, 4, 6, 7, 8, 9], [5, 7, 7]),
        ({"alpha": 0.5, "unlabelled": "soft_only", "gaps": "mask"}, [0, 1, 3, 4, 5, 6, 7, 8, 9], [7, 7, 9]),
    ],
)
def test_pairs_are_kept_by_the_targets_that_the_stage_asks_for(
    corpus: Corpus, store: TokenStore, tmp_path: Path, stage: dict[str, Any], rows: list[int], counts: list[int]
) -> None:
    columns = stored(tmp_path, corpus, "t1", gaps=(1, 2, 5)), stored(tmp_path, corpus, "t2", gaps=(2,))
    found = made(corpus, store, tmp_path, *columns, **stage)
    soft = SoftLabels.load(corpus, columns).logits
    assert found.examples.soft is not None
    np.testing.assert_array_equal(found.examples.soft, soft[rows])
    assert np.array_equal(found.examples.labels, corpus.label_array()[rows])
    everything = range(len(rows))
    assert np.array_equal(found.examples.tokens.take(everything).flat_ids, store.tokens.take(rows).flat_ids)
    assert list(found.header_pairs.values()) == counts
    assert found.left_out == 10 - len(rows)


def test_the_mean_of_the_teachers_is_one(corpus: Corpus, store: TokenStore, tmp_path: Path) -> None:
    columns = stored(tmp_path, corpus, "t1"), stored(tmp_path, corpus, "t2", gaps=(4,))
    found = made(corpus, store, tmp_path, *columns, alpha=1.0, average=True)
    mean = SoftLabels.load(corpus, columns).mean()
    assert found.examples.soft is not None
    np.testing.assert_array_equal(found.examples.soft, mean.logits[mean.complete])
    assert [(header.name, header.digest) for header in found.headers] == [("toy/mean", mean.digests[0])]


def test_without_teachers_there_are_labels_alone(corpus: Corpus, store: TokenStore, tmp_path: Path) -> None:
    found = made(corpus, store, tmp_path, alpha=0.0, teachers=(), unlabelled="drop")
    assert found.examples.soft is None
    assert found.examples.labels.tolist() == [1, 0, 1, 0, 1, 0, 1, 0]
    assert found.header_pairs == {"toy/gold": 8}


def test_a_pair_without_golden_label_is_named(corpus: Corpus, store: TokenStore, tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match=r"rows\.tsv: pair 1 of 10 .* has no golden label, which alpha < 1 needs"):
        made(corpus, store, tmp_path, stored(tmp_path, corpus, "t1"), alpha=0.5)


def test_targets_of_an_earlier_attempt_are_written_over(corpus: Corpus, store: TokenStore, tmp_path: Path) -> None:
    column = stored(tmp_path, corpus, "t1", gaps=(2,))
    for _ in range(2):
        found = made(corpus, store, tmp_path, column, alpha=1.0)
        assert len(found.examples) == len(found.examples.tokens.take(range(9)).lengths) == 9


@pytest.fixture
def half_weak(tmp_path: Path) -> Corpus:
    """Ten pairs in four shards: from the third on weak labels, but for the last three, which have none."""
    texts = [row[:2] for row in ROWS]
    tables, start = [], 0
    parts: dict[str, list[int | None]] = {"hand": [0, 1], "weak": [1, 0, 1, 0, 1], "bare": [None, None, None]}
    for source, labels in parts.items():
        own = texts[start : start + len(labels)]
        tables.append(pair_table([one for one, _ in own], [other for _, other in own], labels, source))
        start += len(labels)
    return write_corpus(tmp_path / "half", LABELS, tables, shard_rows=3)


@pytest.mark.parametrize(
    ("unlabelled", "labels", "golden"),
    [("soft_only", [0, 1] + [-1] * 8, 2), ("drop", [0, 1] + [-1] * 5, 2)],
)
def test_weak_labels_are_no_golden_ones_where_the_stage_says_so(
    half_weak: Corpus, tmp_path: Path, unlabelled: str, labels: list[int], golden: int
) -> None:
    (tmp_path / "tokens").mkdir()
    tiny.write_tokenizer(tmp_path / "tokens")
    tokenizer = PairTokenizer.load(tmp_path / "tokens", 16)
    write_tokens(half_weak, tokenizer, tmp_path / "tokens", lambda done, total: None)
    store = open_tokens(tmp_path / "tokens", half_weak)
    column = stored(tmp_path, half_weak, "t1")
    stage: dict[str, Any] = {"alpha": 0.5, "unlabelled": unlabelled, "sources": ("weak",)}
    found = made(half_weak, store, tmp_path, column, weak="soft_only", **stage)
    assert found.examples.labels.tolist() == labels
    assert found.header_pairs == {"toy/gold": golden, "toy/t1": len(labels)}
    as_golden = made(half_weak, store, tmp_path, column, **stage)
    assert as_golden.header_pairs == {"toy/gold": 7, "toy/t1": len(labels)}
    with pytest.raises(TmkdError, match=r"pair 8 of 10 .* has no golden label"):
        made(half_weak, store, tmp_path, column, **{**stage, "unlabelled": "error"}, weak="soft_only")


def test_pairs_are_chosen_from_those_that_could_be_trained_on(
    corpus: Corpus, store: TokenStore, tmp_path: Path
) -> None:
    # log-odds of t1 are 0 to 9: probabilities .5, .73, .88, .95 and six above .98
    column = stored(tmp_path, corpus, "t1", gaps=(5, 6))
    found = made(corpus, store, tmp_path, column, alpha=1.0, choose={"pairs": 5, "by": "score"})
    assert found.examples.soft is not None
    log_odds = found.examples.soft[:, 0, 1].tolist()
    assert log_odds[:3] == [0, 1, 2]  # alone in their tenths
    assert len(log_odds) == 5
    assert set(log_odds[3:]) < {3, 4, 7, 8, 9}
    assert found.left_out == 5


def test_the_mean_teacher_learns_from_pairs_that_the_teachers_themselves_chose(
    corpus: Corpus, store: TokenStore, tmp_path: Path
) -> None:
    columns = stored(tmp_path, corpus, "t1"), stored(tmp_path, corpus, "t2", gaps=(1,))
    stage: dict[str, Any] = {"alpha": 1.0, "choose": {"pairs": 9, "by": "both"}}
    found = made(corpus, store, tmp_path, *columns, average=True, **stage)
    assert found.header_pairs == {"toy/mean": 9}
    masked = made(corpus, store, tmp_path, *columns, gaps="mask", **stage)
    assert len(masked.examples) == 9
