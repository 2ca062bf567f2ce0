"""A corpus in numbers: counted by hand, drawn the same way everywhere, in shards of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tmkd.data.labels import LabelSet
from tmkd.data.pairs import EXTRAS, pair_table, write_corpus
from tmkd.errors import TmkdError
from tmkd.evaluate.corpus import PAIRS_SHOWN, CorpusStats, Example, ExamplePassage, Histogram, Rank, Share, corpus_stats

LABELS = LabelSet("toy", ("no", "yes"), "yes")

# group, question, passage, source, url, rank, score
PAIRS = [
    ("a", "why is the sky blue", "Air scatters light.", "one", "https://x.example/1", 1, 9.0),
    ("a", "why is the sky blue", "The sky is above.", "one", "https://x.example/2", 2, 4.0),
    ("b", "sun", "Air scatters light.", "two", "https://x.example/1", 1, 5.0),
    ("c", "what is ice", "Ice\u00a0is  water.", "one", None, None, None),
]


def corpus(folder: Path, rows: Sequence[tuple[Any, ...]] = PAIRS, shard_rows: int = 8192, found: bool = True) -> Any:
    groups, questions, passages, sources, *extras = zip(*rows, strict=True)
    table = pair_table(questions, passages, groups=groups)
    table = table.set_column(table.schema.get_field_index("source"), "source", pa.array(sources))
    for field, values in zip(EXTRAS, extras, strict=True):
        table = table.append_column(field, pa.array(values, field.type)) if found else table
    return write_corpus(folder, LABELS, [table], shard_rows)


def test_a_corpus_is_counted(tmp_path: Path) -> None:
    seen = corpus_stats(corpus(tmp_path), seed=1)
    assert (seen.pairs, seen.pairs_per_question.items, seen.passage_words.items, seen.documents) == (4, 3, 3, 2)
    assert seen.question_words.counts.tolist() == [0, 1, 0, 1, 0, 1]  # 1, 3 and 5 words
    assert seen.passage_words.counts.tolist() == [0, 0, 0, 2, 1]  # 3, 3 and 4 words; a no-break space parts words
    assert seen.words_per_pair == ((5 + 5 + 1 + 3) / 4, (3 + 4 + 3 + 3) / 4)
    assert seen.pairs_per_question.counts.tolist() == [0, 2, 1]
    assert seen.sources == (Share("one", 2, 3), Share("two", 1, 1))


def test_ranks_have_quartiles_of_their_scores(tmp_path: Path) -> None:
    rows: list[tuple[Any, ...]] = [(f"g{n}", f"q{n}", "p", "s", "u", 3, float(n)) for n in range(5)]  # 0 1 2 3 4
    rows.append(("other", "other", "p", "s", "u", 1, None))
    assert corpus_stats(corpus(tmp_path, rows), seed=1).ranks == (Rank(1, 1, None), Rank(3, 5, (1.0, 2.0, 3.0)))


def plain(seen: CorpusStats) -> dict[str, Any]:
    """All of the statistics, as values that can be compared."""
    histograms = ("question_words", "passage_words", "pairs_per_question")
    return {
        name: getattr(seen, name).counts.tolist() if name in histograms else getattr(seen, name)
        for name in CorpusStats.__dataclass_fields__
    }


@pytest.mark.parametrize("shard_rows", [1, 2, 3])
def test_shards_make_no_difference(tmp_path: Path, shard_rows: int) -> None:
    whole = corpus_stats(corpus(tmp_path / "whole"), seed=1)
    assert plain(corpus_stats(corpus(tmp_path / "cut", shard_rows=shard_rows), seed=1)) == plain(whole)


def many(questions: int) -> list[tuple[Any, ...]]:
    return [
        (f"g{n}", f"question {n}", f"passage {n} {k}", "s", f"u{k}", k, 1.0) for n in range(questions) for k in (1, 2)
    ]


def test_whole_questions_are_drawn_and_another_seed_draws_others(tmp_path: Path) -> None:
    made = corpus(tmp_path, many(400), shard_rows=33)  # questions are cut between shards
    drawn = {seed: corpus_stats(made, seed, examples=20).examples for seed in (1, 2)}
    for examples in drawn.values():
        assert len({example.question for example in examples}) == 20
        for example in examples:
            number = example.question.split()[1]
            found = tuple(ExamplePassage(f"passage {number} {k}", k, 1.0, f"u{k}") for k in (1, 2))
            assert example == Example(f"question {number}", "s", 2, found)
    assert drawn[1] == corpus_stats(made, 1, examples=20).examples
    assert len({*drawn[1]} & {*drawn[2]}) < 10
    numbers = [int(example.question.split()[1]) for example in drawn[1]]
    assert max(numbers) > 200  # not the first ones


def test_the_draw_does_not_depend_on_where_questions_stand(tmp_path: Path) -> None:
    ahead, back = corpus(tmp_path / "a", many(60), 7), corpus(tmp_path / "b", many(60)[::-1], 11)
    one, other = (corpus_stats(made, 1, examples=9).examples for made in (ahead, back))
    assert one == tuple(example._replace(found=example.found[::-1]) for example in other)


def test_of_a_question_with_very_many_pairs_the_first_are_kept(tmp_path: Path) -> None:
    rows = [("g", "q", f"passage {n}", "s", None, None, None) for n in range(100)]
    (example,) = corpus_stats(corpus(tmp_path, rows, shard_rows=9), seed=1).examples
    assert (example.pairs, len(example.found)) == (100, PAIRS_SHOWN)
    assert [found.passage for found in example.found] == [f"passage {n}" for n in range(PAIRS_SHOWN)]


def test_a_corpus_that_was_given_has_no_ranks_or_documents(tmp_path: Path) -> None:
    seen = corpus_stats(corpus(tmp_path, found=False), seed=1)
    assert (seen.ranks, seen.documents, seen.pairs) == ((), 0, 4)
    assert {found[1:] for example in seen.examples for found in example.found} == {(None, None, None)}


def test_progress_is_reported(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    corpus_stats(corpus(tmp_path, shard_rows=3), seed=1, report=lambda done, of: told.append((done, of)))
    assert told == [(3, 4), (4, 4)]


def test_a_damaged_shard_is_an_error(tmp_path: Path) -> None:
    made = corpus(tmp_path)
    damaged = replace(made, shards=(replace(made.shards[0], digest="0" * 64),))
    with pytest.raises(TmkdError, match=r"shard-00000.parquet: its bytes differ"):
        corpus_stats(damaged, seed=1)


def test_a_histograms_mean_and_quantiles() -> None:
    counted = Histogram.count(np.array([2, 2, 3, 7]))
    assert (counted.items, counted.mean) == (4, 3.5)
    assert [counted.quantile(share) for share in (0, 0.5, 0.51, 0.75, 0.76, 1)] == [2, 2, 3, 3, 7, 7]
    nothing = Histogram.count(np.array([], dtype=np.int64))
    assert (nothing.items, nothing.mean, nothing.quantile(0.5)) == (0, 0.0, 0)
