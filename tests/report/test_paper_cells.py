"""Cells of the paper's tables: the paper's value, ours with its interval and seeds, "not run" where there is none."""

from __future__ import annotations

from dataclasses import replace

from paper_studies import row, study
from tmkd.report.paper_cells import (
    NOT_RUN,
    Cell,
    accuracy_table,
    columns_of,
    difference_table,
    paper_difference,
    seeds_in_words,
)
from tmkd.report.paper_tables import ALPHAS, DEEPQA, FIGURE_3, KD, TABLE_4, TABLE_5, TABLE_8, TKD, TMKD_BASE

ONE = study(row("1-o-1", 5), row("tkd", 8, seed=1), row("tkd", 7, seed=2), row("tkd", 6, task="wikiqa"))


def test_each_data_set_has_a_column_and_other_tasks_follow() -> None:
    headings = [one.heading for one in columns_of(TABLE_5, [ONE])]
    assert headings == [
        ("DeepQA", "webqa of small"),
        ("MNLI", NOT_RUN),
        ("SNLI", NOT_RUN),
        ("QNLI", NOT_RUN),
        ("RTE", NOT_RUN),
        ("not in the paper", "wikiqa of small"),
    ]


def test_two_runs_of_one_task_have_a_column_each() -> None:
    assert [one.heading[0] for one in columns_of(TABLE_5, [ONE, ONE])][:3] == ["DeepQA", "DeepQA", "MNLI"]


def test_a_task_without_a_student_of_the_table_has_no_column() -> None:
    assert [one.heading for one in columns_of(TABLE_8, [ONE])] == [("CommQA-Labeled", NOT_RUN)]


def test_an_accuracy_has_its_seeds_and_a_missing_one_is_not_run() -> None:
    table = accuracy_table(TABLE_5, columns_of(TABLE_5, [ONE]))
    assert table.rows == [
        (
            "BERT-3 (1-o-1)",
            [
                Cell("77.35", "50.0", ("1 seed",)),
                *(Cell(paper, NOT_RUN) for paper in ("71.07", "78.62", "77.65", "55.23")),
                Cell("", NOT_RUN),
            ],
        ),
        (
            "TKD",
            [
                Cell("80.12", "75.0 ± 7.1", ("2 seeds",)),
                *(Cell(paper, NOT_RUN) for paper in ("72.34", "78.23", "85.89", "67.35")),
                Cell("", "60.0", ("1 seed",)),
            ],
        ),
    ]
    assert table.remarks[1:] == [
        "small: BERT-3 (1-o-1) is 1-o-1, TKD is tkd.",
        "Its test sets: webqa (test), wikiqa (test).",
    ]


def test_a_row_on_home_ground_is_marked_and_the_model_named() -> None:
    fragment, tested = row("1-o-1", 5)
    seen = replace(fragment, results=tuple(replace(one, seen=("bert",)) for one in fragment.results))
    table = accuracy_table(TABLE_5, columns_of(TABLE_5, [study((seen, tested), row("tkd", 8))]))
    assert [cells[0] for _, cells in table.rows] == [
        Cell("77.35", "50.0", ("1 seed", "source seen")),
        Cell("80.12", "80.0", ("1 seed",)),
    ]
    assert table.remarks[-1] == "source seen: webqa: bert was trained on the source of test; it takes part in 1-o-1."


def test_of_sets_that_are_averaged_the_one_that_was_seen_is_named() -> None:
    fragment, tested = row("tkd", 6, 7, task="mnli", splits=("matched", "mismatched"))
    marked = (fragment.results[0], replace(fragment.results[1], seen=("bert",)))
    one = study((replace(fragment, results=marked), tested), row("1-o-1", 5))
    table = accuracy_table(TABLE_5, columns_of(TABLE_5, [one]))
    assert dict(table.rows)["TKD"][1].notes == ("1 seed", "source seen")
    assert table.remarks[-1] == "source seen: mnli: bert was trained on the source of mismatched; it takes part in tkd."


def test_below_accuracies_stand_the_sets_and_the_best_teacher_of_each_task() -> None:
    splits = ("matched", "mismatched")
    teacher = row("t2", 9, 9, kind="teacher", task="mnli", splits=splits)
    mnli = study(teacher, row("tkd", 6, 7, task="mnli", splits=splits))
    assert accuracy_table(TABLE_5, columns_of(TABLE_5, [mnli])).remarks[1:] == [
        "small: TKD is tkd.",
        "Its test sets: mnli (matched and mismatched; best teacher by dev: t2).",
    ]


def test_a_difference_has_its_interval_and_the_seeds_of_both_rows() -> None:
    ((name, cells),) = difference_table(TABLE_5, columns_of(TABLE_5, [ONE])).rows
    assert name == "TKD − BERT-3 (1-o-1)"
    assert (cells[0].paper, cells[0].ours) == ("+2.77", "+30.0")
    interval, seeds = cells[0].notes
    assert (interval[0], interval[-1], seeds) == ("[", "]", "1 seed")
    assert cells[1:] == [*(Cell(paper, NOT_RUN) for paper in ("+1.27", "-0.39", "+8.24", "+12.12")), Cell("", NOT_RUN)]


def test_differences_of_the_paper_are_of_its_own_numbers() -> None:
    assert paper_difference(TABLE_4, TMKD_BASE, KD, DEEPQA) == 2.58  # 79.93 − 77.35
    assert paper_difference(TABLE_5, TKD, KD, None) is None
    assert paper_difference(FIGURE_3, ALPHAS[0.9], ALPHAS[0.1], DEEPQA) is None


def test_seeds_are_counted_in_words() -> None:
    assert [seeds_in_words(count) for count in (1, 2)] == ["1 seed", "2 seeds"]
