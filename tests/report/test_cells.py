"""Cells of the differences and shares, and the caption that says what the measures are of."""

from __future__ import annotations

from dataclasses import replace

from tmkd.evaluate.comparisons import Comparison
from tmkd.evaluate.results import Result, lines
from tmkd.evaluate.shares import Share
from tmkd.report.cells import caption, difference_table, ndcg_text, share_table

ONE = Comparison("demo", "test", "accuracy", "tmkd", "bert-3", 0.0752, 0.051, 0.0987, 0.0002, 3, 3, 0.0012)
RESULT = Result("tmkd", "student", "demo", "test", 0.8, 0.9, None, None, None, 1, 1, None, 1, None)


def test_accuracies_differ_in_points_and_other_measures_in_shares() -> None:
    auc = replace(ONE, measure="auc", value=-0.01, low=-0.02, high=0.004, adjusted=None)
    assert difference_table([ONE, auc]).rows == [
        ("tmkd − bert-3", "accuracy, points", "test", "+7.5", "[+5.1, +9.9]", "0.0002", "0.0012"),
        ("tmkd − bert-3", "AUC", "test", "-0.010", "[-0.020, +0.004]", "0.0002", "-"),
    ]


def test_binary_and_graded_ndcg_have_names_of_their_own() -> None:
    names = [row[1] for row in difference_table([replace(ONE, measure=m) for m in ("ndcg_10", "ndcg_10_graded")]).rows]
    assert names == ["nDCG@10, binary", "nDCG@10, graded"]


def test_an_undefined_share_is_said_to_be_and_one_without_a_baseline_has_none() -> None:
    undefined = Share("demo", "test", "tmkd", "t1", "bert-3", 0.98, None, None)
    assert share_table([undefined]).rows == [("tmkd", "t1", "98.0", "undefined", "undefined")]
    assert "is not positive" in share_table([undefined]).remarks[-1]
    table = share_table([replace(undefined, baseline=None, above_chance=0.5)])
    assert table.rows == [("tmkd", "t1", "98.0", "50.0", "-")]
    assert len(table.remarks) == 1


def test_empty_tables_have_no_remarks() -> None:
    assert not [*difference_table([]).rows, *difference_table([]).remarks, *share_table([]).rows]
    assert share_table([]).remarks == []


def test_a_caption_says_what_ndcg_counts_and_that_only_judged_passages_are_ranked() -> None:
    ranked = replace(RESULT, mrr=0.5, ndcg_10=0.6, questions=54, left_out=1)
    assert "judged" not in caption(lines([RESULT]))
    binary = caption(lines([ranked]))
    assert "(54 questions ranked, 1 left out), nDCG@10 binary (gain: the label);" in binary
    assert "judged passages only, not comparable with official runs" in binary
    graded = caption(lines([replace(ranked, ndcg_10_graded=0.4)]))
    assert "beside it graded (gain: the grade, linear as in trec_eval)" in graded
    assert "2 seeds" in caption(lines([RESULT, replace(RESULT, seed=2)]))


def test_ndcg_is_binary_or_binary_and_graded() -> None:
    ranked = replace(RESULT, mrr=0.5, ndcg_10=0.6)
    texts = [ndcg_text(lines([one])[0]) for one in (RESULT, ranked, replace(ranked, ndcg_10_graded=0.4))]
    assert texts == ["-", "0.600", "0.600 / 0.400"]
