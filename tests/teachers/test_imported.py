from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tiny
from tmkd.data.labels import LabelSet
from tmkd.data.logit_fragment import write_logits
from tmkd.data.pairs import Corpus
from tmkd.data.softlabels import SoftLabels, TeacherColumn
from tmkd.errors import TmkdError
from tmkd.recipe import schema
from tmkd.teachers.imported import match_scores, store_scores

LABELS = LabelSet("toy", ("no", "yes"), "yes")
TEACHER = "f" * 64
PAIRS = [(question, passage) for question, passage, _ in tiny.pairs(range(3))]


def write(folder: Path, rows: list[tuple[Any, ...]], *columns: str) -> None:
    tiny.write_tsv(folder / "scores.tsv", ("question", "passage", *columns), rows)


def read(folder: Path, labels: LabelSet = LABELS, file: Any = "scores.tsv", **settings: Any) -> dict[str, int]:
    (folder / "teacher").mkdir(exist_ok=True)
    spec = schema.TeacherSpec(task="toy", file=file, **settings)
    assert spec.file is not None
    return store_scores(spec.file, spec, labels, folder / "teacher", folder)


def matched(folder: Path, pairs: Corpus, missing: str = "error") -> tuple[np.ndarray, int]:
    """The logits (pairs, classes) of the one teacher, and how many pairs it had no score for."""
    (folder / "soft").mkdir(exist_ok=True)
    gaps = match_scores("judge", folder / "teacher", pairs, folder / "soft", TEACHER, missing)
    return SoftLabels.load(pairs, [TeacherColumn("judge", TEACHER, folder / "soft")]).logits[:, 0], gaps


@pytest.mark.parametrize(
    ("kind", "given", "logits"),
    [
        ("score", [(-1.5,), (0.25,)], [[0, -1.5], [0, 0.25]]),
        ("probability", [(0.5,), (0.75,)], [[0, 0], [0, math.log(3)]]),
        ("probability", [(0.25, 0.75), (1.0, 0.0)], np.log([[0.25, 0.75], [0.9999, 0.0001]])),
        ("logits", [(1.5, -2.0), (0.0, 3.0)], [[1.5, -2.0], [0, 3]]),
    ],
)  # fmt: skip
def test_scores_probabilities_and_logits_become_logits(
    tmp_path: Path, corpus: Callable[..., Corpus], kind: str, given: list[tuple[float, ...]], logits: list[list[float]]
) -> None:
    names = ("no", "yes")[: len(given[0])]
    write(tmp_path, [(*pair, *numbers) for pair, numbers in zip(PAIRS, given, strict=False)], *names)
    read(tmp_path, imported=kind, score_columns=names)
    pairs = corpus([(*pair, None) for pair in PAIRS[:2]])
    np.testing.assert_allclose(matched(tmp_path, pairs)[0], logits, rtol=1e-6)


def test_a_score_is_the_positive_class_wherever_it_stands(tmp_path: Path, corpus: Callable[..., Corpus]) -> None:
    write(tmp_path, [(*PAIRS[0], 2.0)], "score")
    read(tmp_path, LabelSet("toy", ("yes", "no"), "yes"), imported="score")
    assert matched(tmp_path, corpus([(*PAIRS[0], None)]))[0].tolist() == [[2.0, 0.0]]


def test_pairs_are_matched_by_their_texts_over_all_shards(tmp_path: Path, corpus: Callable[..., Corpus]) -> None:
    rows = [(*pair, number) for number, pair in enumerate(PAIRS)]
    write(tmp_path, [*reversed(rows), rows[0], ("not", "asked for", 9)], "score")
    assert read(tmp_path, imported="score") == {"scores": 7, "duplicates": 1}
    logits, gaps = matched(tmp_path, corpus([(*pair, None) for pair in PAIRS], shard_rows=4))
    assert logits[:, 1].tolist() == [0, 1, 2, 3, 4, 5]
    assert gaps == 0


def test_parquet_is_read_too(tmp_path: Path, corpus: Callable[..., Corpus]) -> None:
    table = pa.table({"query": [PAIRS[0][0]], "passage": [PAIRS[0][1]], "score": [0.5]})
    pq.write_table(table, tmp_path / "scores.parquet")
    read(tmp_path, file="scores.parquet", imported="score")
    assert matched(tmp_path, corpus([(*PAIRS[0], None)]))[0].tolist() == [[0.0, 0.5]]


def test_a_gap_names_the_first_pair_without_a_score(tmp_path: Path, corpus: Callable[..., Corpus]) -> None:
    write(tmp_path, [(*PAIRS[0], 1.0)], "score")
    read(tmp_path, imported="score")
    with pytest.raises(
        TmkdError, match=rf"teacher judge: no imported score for the pair '{PAIRS[1][0]}' / .*missing: drop"
    ):
        matched(tmp_path, corpus([(*pair, None) for pair in PAIRS]))


def test_gaps_may_be_dropped_and_are_counted(tmp_path: Path, corpus: Callable[..., Corpus]) -> None:
    write(tmp_path, [(*PAIRS[1], 1.0), (*PAIRS[4], 2.0)], "score")
    read(tmp_path, imported="score")
    logits, gaps = matched(tmp_path, corpus([(*pair, None) for pair in PAIRS], shard_rows=4), "drop")
    assert gaps == 4
    assert np.isnan(logits).all(axis=1).tolist() == [True, False, True, True, False, True]


@pytest.mark.parametrize(
    ("rows", "settings", "said"),
    [
        ([(0.5,), ("nan",)], {}, r"scores\.tsv: row 2: nan; probability must be finite"),
        ([("inf",)], {"imported": "score"}, r"scores\.tsv: row 1: inf; score must be finite"),
        ([("",)], {}, r"scores\.tsv: row 1: nan; probability must be finite"),
        ([(0.5,), (1.5,)], {}, r"scores\.tsv: row 2: 1\.5; probability must lie in \[0, 1\]"),
        ([("high",)], {}, r"scores\.tsv: row 1: 'high' in column score is not a number"),
        ([(0.5,)], {"imported": "logits"}, r"scores\.tsv: 1 column\(s\) of kind logits cannot be logits of 2 classes"),
        ([(0.5,)], {"score_columns": ("p",)}, r"scores\.tsv: no column 'p'; it has question, passage, score"),
    ],
)
def test_invalid_score_columns_are_refused(
    tmp_path: Path, rows: list[tuple[Any, ...]], settings: dict[str, Any], said: str
) -> None:
    write(tmp_path, [(*pair, *row) for pair, row in zip(PAIRS, rows, strict=False)], "score")
    with pytest.raises(TmkdError, match=said):
        read(tmp_path, **settings)


def test_one_pair_with_two_scores_is_an_error_or_has_their_mean(tmp_path: Path, corpus: Callable[..., Corpus]) -> None:
    write(tmp_path, [(*PAIRS[0], 0.5), (*PAIRS[1], 4), (*PAIRS[0], 0.6), (*PAIRS[0], 0.7)], "score")
    with pytest.raises(
        TmkdError, match=r"scores\.tsv: rows 1 and 3 score the same pair differently; .* repeated: mean"
    ):
        read(tmp_path, imported="score")
    assert read(tmp_path, imported="score", repeated="mean") == {"scores": 2, "duplicates": 2}
    logits, _ = matched(tmp_path, corpus([(*pair, None) for pair in PAIRS[:2]]))
    np.testing.assert_allclose(logits, [[0.0, 0.6], [0.0, 4.0]], rtol=1e-6)


def test_scores_a_millionth_apart_are_one(tmp_path: Path, corpus: Callable[..., Corpus]) -> None:
    write(tmp_path, [(*PAIRS[0], 0.5), (*PAIRS[0], 0.5000009), (*PAIRS[0], 0.4999991)], "score")
    assert read(tmp_path, imported="score") == {"scores": 1, "duplicates": 2}
    assert matched(tmp_path, corpus([(*PAIRS[0], None)]))[0].tolist() == [[0, 0.5]]
    write(tmp_path, [(*PAIRS[0], 0.5), (*PAIRS[0], 0.500002)], "score")
    with pytest.raises(TmkdError, match="rows 1 and 2 score the same pair differently"):
        read(tmp_path, imported="score")


def test_a_nan_in_a_repeated_row_does_not_hide(tmp_path: Path) -> None:
    write(tmp_path, [(*PAIRS[0], 0.5), (*PAIRS[0], "nan")], "score")
    with pytest.raises(TmkdError, match=r"scores\.tsv: row 2: nan; probability must be finite"):
        read(tmp_path)


def triples(folder: Path, *scores: tuple[float, float]) -> None:
    """PAIRS 0 and 1 as ids, a line for each two scores."""
    (folder / "q.tsv").write_text(f"7\t{PAIRS[0][0]}\n")
    (folder / "p.tsv").write_text(f"20\t{PAIRS[0][1]}\n21\t{PAIRS[1][1]}\n")
    (folder / "scores.tsv").write_text("".join(f"{one}\t{other}\t7\t20\t21\n" for one, other in scores))


HOFSTAETTER = {"file": "scores.tsv", "layout": "hofstaetter", "texts": {"questions": "q.tsv", "passages": "p.tsv"}}


def test_triples_of_ids_are_scores_of_their_texts(tmp_path: Path, corpus: Callable[..., Corpus]) -> None:
    assert PAIRS[0][0] == PAIRS[1][0]
    triples(tmp_path, (8.5, -3), (8.5, -3))
    assert read(tmp_path, file=HOFSTAETTER, imported="score") == {"scores": 2, "duplicates": 2}
    assert matched(tmp_path, corpus([(*pair, None) for pair in PAIRS[:2]]))[0].tolist() == [[0, 8.5], [0, -3]]


def test_invisible_characters_in_the_texts_of_another_layout_are_no_part_of_them(
    tmp_path: Path, corpus: Callable[..., Corpus]
) -> None:
    (tmp_path / "q.tsv").write_text("1\twhy is the\u00ad sky blue\n", encoding="utf-8")
    (tmp_path / "p.tsv").write_text("7\tscat\u00adter\u200bing\n", encoding="utf-8")
    (tmp_path / "scores.tsv").write_text("2.0\t1.0\t1\t7\t7\n")
    read(tmp_path, file=HOFSTAETTER, imported="score", repeated="mean")
    assert matched(tmp_path, corpus([("why is the sky blue", "scattering", None)]))[1] == 0


def test_the_rows_of_another_layout_are_those_of_its_file(tmp_path: Path) -> None:
    triples(tmp_path, (8.5, -3), (8.5, -2))
    with pytest.raises(TmkdError, match=r"scores\.tsv: rows 1 and 2 score the same pair differently"):
        read(tmp_path, file=HOFSTAETTER, imported="score")
    triples(tmp_path, (0.5, 0.25), (0.5, 2))
    with pytest.raises(TmkdError, match=r"scores\.tsv: row 2: 2\.0; probability must lie in \[0, 1\]"):
        read(tmp_path, file=HOFSTAETTER)


def test_pairs_without_text_are_left_out_on_request_and_counted(tmp_path: Path) -> None:
    triples(tmp_path, (8.5, -3))
    with (tmp_path / "scores.tsv").open("a") as file:
        file.write("1\t2\t7\t20\t99\n")
    with pytest.raises(TmkdError, match=r"row 2: neg_pid '99' is not in"):
        read(tmp_path, file=HOFSTAETTER, imported="score")
    told: dict[str, Any] = {"imported": "score", "missing": "drop", "repeated": "mean"}
    assert read(tmp_path, file=HOFSTAETTER, **told) == {"scores": 2, "duplicates": 1, "left_out": 1}
    (tmp_path / "scores.tsv").write_text("1\t2\t7\t98\t99\n")
    with pytest.raises(TmkdError, match=r"scores\.tsv: none of its pairs has both texts and a score"):
        read(tmp_path, file=HOFSTAETTER, **told)


def fragment(folder: Path, of: Corpus, logits: np.ndarray) -> None:
    """Write the logits of a corpus as another machine's teacher gave them."""
    write_logits(folder / "results", "t1", LABELS, {"web": (of.id_array(), logits)}, {})


def test_logits_of_another_machine_are_matched_by_pair(tmp_path: Path, corpus: Callable[..., Corpus]) -> None:
    theirs = corpus([(*pair, None) for pair in PAIRS], name="theirs")
    logits = np.random.default_rng(0).normal(size=(len(PAIRS), 2)).astype(np.float32)
    fragment(tmp_path, theirs, logits)
    assert read(tmp_path, file="results/teachers/t1.npz") == {"scores": len(PAIRS)}
    ours = corpus([(*pair, None) for pair in PAIRS[::-1]], shard_rows=4)
    values, gaps = matched(tmp_path, ours)
    assert gaps == 0
    np.testing.assert_array_equal(values, logits[::-1].astype(np.float16))


def test_a_pair_that_the_other_machine_has_not_is_an_error_or_dropped(
    tmp_path: Path, corpus: Callable[..., Corpus]
) -> None:
    fragment(tmp_path, corpus([(*PAIRS[0], None)], name="theirs"), np.array([[1.0, 2.0]], np.float32))
    read(tmp_path, file="results/teachers/t1.npz")
    ours = corpus([(*pair, None) for pair in PAIRS[:2]])
    with pytest.raises(TmkdError, match=r"teacher judge: no imported score for the pair"):
        matched(tmp_path, ours)
    values, gaps = matched(tmp_path, ours, missing="drop")
    assert gaps == 1
    np.testing.assert_array_equal(values, [[1, 2], [np.nan, np.nan]])
