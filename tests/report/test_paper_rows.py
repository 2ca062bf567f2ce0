"""Data sets, rows beyond the paper, confusion, differing pairs and origins of our numbers."""

from __future__ import annotations

from dataclasses import replace

from paper_studies import PAIRS, row, study
from row_fragments import ORIGIN
from tmkd.report.paper_cells import Cell
from tmkd.report.paper_rows import (
    Opinion,
    beyond_tables,
    confusion_tables,
    data_table,
    differing_pairs,
    origins,
)
from tmkd.report.report_json import DataSet

TEXTS = ([f"question {number}" for number in range(PAIRS)], [f"passage {number}" for number in range(PAIRS)])
ROWS = (
    row("bm25", 4, kind="yardstick"),
    row("t1", 10, kind="teacher"),
    row("t2", 9, kind="teacher", seed=2),
    row("bert-3", 5),
    row("tmkd", 8, seed=1),
    row("tmkd", 7, seed=2),
    row("mine", 6),
)
DATA = (
    DataSet("webqa/train", 1300, 1200, 300, 450, 5.123, 43.0),
    DataSet("web", 5000, 0, 0, 500, 6.0, 42.5),
)


def test_our_sets_stand_below_the_papers() -> None:
    names = [name for name, _ in data_table([study(*ROWS, data=DATA)]).rows]
    assert names[:7] == [
        "DeepQA",
        "webqa of small",
        "CommQA-Unlabeled (base)",
        "CommQA-Unlabeled (large)",
        "CommQA-Unlabeled (extreme)",
        "web of small",
        "CommQA-Labeled",
    ]
    rows = dict(data_table([study(*ROWS, data=DATA)]).rows)
    assert rows["DeepQA"] == [Cell("1M / 10K"), Cell("5.86"), Cell("43.74")]
    assert rows["webqa of small"] == [Cell("", "1,200 / 10"), Cell("", "5.12"), Cell("", "43.00")]
    assert rows["web of small"] == [Cell("", "5,000"), Cell("", "6.00"), Cell("", "42.50")]


def test_fragments_have_test_pairs_alone() -> None:
    rows = dict(data_table([study(*ROWS)]).rows)
    assert rows["webqa of small"] == [Cell("", "not in fragments / 10"), *[Cell("", "not in fragments")] * 2]


def test_rows_beyond_the_paper_have_a_table_of_their_own() -> None:
    (table,) = beyond_tables([study(*ROWS)])
    assert [(name, cells[0].ours, cells[1].ours) for name, cells in table.rows] == [
        ("bm25", "40.0", "-35.0"),
        ("mine", "60.0", "-20.0"),
    ]
    assert table.columns[1] == ("difference", "to tmkd, points")
    assert beyond_tables([study(row("tmkd", 8))]) == []


def test_confusion_is_of_the_best_student_and_teacher_over_seeds() -> None:
    (table,) = confusion_tables([study(*ROWS)])
    # Labels alternate, no first; tmkd is right on the first 8 or 7: of the last pairs it confuses 8 and 9, or 7 to 9.
    assert table.rows == [
        ("tmkd: no", [Cell("", "4"), Cell("", "1"), Cell("", "80.0")]),
        ("tmkd: yes", [Cell("", "1.5"), Cell("", "3.5"), Cell("", "70.0")]),
        ("t1: no", [Cell("", "5"), Cell("", "0"), Cell("", "100.0")]),
        ("t1: yes", [Cell("", "0"), Cell("", "5"), Cell("", "100.0")]),
    ]


def test_the_pairs_that_differ_most_come_first_with_every_opinion() -> None:
    (found,) = differing_pairs([study(*ROWS, texts={"webqa": TEXTS})])
    assert (found.title, found.student, found.texts, len(found.pairs)) == ("webqa of small, test", "tmkd", True, PAIRS)
    first = found.pairs[0]  # tmkd's first seed is wrong on pairs 8 and 9, t2 on 9 too
    assert (first.question, first.passage, first.label) == ("question 8", "passage 8", "no")
    rounded = [Opinion(one.row, one.label, round(one.probability, 2)) for one in first.opinions]
    assert rounded == [Opinion("tmkd", "yes", 0.82), Opinion("t1", "no", 0.82), Opinion("t2", "no", 0.82)]


def test_without_texts_there_are_no_pairs() -> None:
    (found,) = differing_pairs([study(*ROWS)])
    assert (found.texts, found.pairs) == (False, [])
    assert differing_pairs([study(row("tmkd", 8))]) == []  # without a teacher


def test_an_origin_names_run_machine_day_commit_and_seeds() -> None:
    fragment, tested = row("mine", 6)
    later = replace(fragment, origin=replace(ORIGIN, date="2026-11-05"))
    assert origins([study(row("tmkd", 8), row("tmkd", 7, seed=2), (later, tested))], ["a machine"]) == [
        "small: one machine, 2026-11-01, commit c0ffee, torch 2: tmkd (seed 1, 2)",
        "small: one machine, 2026-11-05, commit c0ffee, torch 2: mine (seed 1)",
        "Measurement 1 of speeds: a machine",
    ]
