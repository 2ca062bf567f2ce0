from __future__ import annotations

from dataclasses import replace

from tmkd.evaluate.results import Result
from tmkd.evaluate.warnings import warning_lines

TEACHER = Result("T1", "teacher", "webqa", "test", 0.80, 0.85, None, None, None, 333_580_000, 1_340_000_000, 16, 1, 60)
STUDENT = replace(TEACHER, row="TMKD", kind="student")


def test_a_warning_names_the_seed_where_its_row_has_several() -> None:
    warned = replace(STUDENT, warnings=("test: AUC 0.5",))
    assert warning_lines([replace(TEACHER, warnings=("flat",)), warned, replace(STUDENT, seed=2)]) == [
        "warning: webqa × T1: flat",
        "warning: webqa × TMKD (seed 1): test: AUC 0.5",
    ]
    assert warning_lines([STUDENT, replace(warned, seed=2)]) == ["warning: webqa × TMKD (seed 2): test: AUC 0.5"]


def test_other_rows_and_splits_are_no_seeds() -> None:
    warned = replace(STUDENT, warnings=("test: AUC 0.5",))
    assert warning_lines([replace(STUDENT, split="more"), warned, replace(STUDENT, row="TKD", seed=2)]) == [
        "warning: webqa × TMKD: test: AUC 0.5"
    ]


def test_a_warning_names_the_teachers_seed_where_a_row_has_several() -> None:
    warned = replace(STUDENT, warnings=("flat",))
    assert warning_lines([replace(STUDENT, teachers_seed=1), replace(warned, teachers_seed=2)]) == [
        "warning: webqa × TMKD (seed 1, teachers' seed 2): flat",
    ]


def test_a_warning_that_returns_in_other_figures_is_one_line_with_its_places() -> None:
    first = replace(
        STUDENT, warnings=("its loss hardly fell: 0.30 to 0.29", "test: AUC 0.51", "test: 62.1 % are 'yes'")
    )
    more = replace(STUDENT, split="more", warnings=("more: AUC 0.497",))
    last = replace(STUDENT, split="last", warnings=("last: AUC 0.5",))
    second = replace(first, seed=2, warnings=("its loss hardly fell: 0.31 to 0.31", "test: AUC 0.5"))
    third = replace(more, seed=3)
    assert warning_lines([first, more, last, second, third]) == [
        "warning: webqa × TMKD (seed 1): its loss hardly fell: 0.30 to 0.29 [alike: seed 2]",
        "warning: webqa × TMKD (seed 1): test: AUC 0.51 [alike: more, last; seed 2: test; seed 3: more]",
        "warning: webqa × TMKD (seed 1): test: 62.1 % are 'yes'",
    ]


def test_warnings_that_differ_in_a_word_or_a_row_are_lines_of_their_own() -> None:
    yes, no = (replace(STUDENT, split=split, warnings=(f"{split}: 7 % are '{split}'",)) for split in ("yes", "no"))
    assert warning_lines([yes, no, replace(yes, row="MKD"), replace(yes, task="rte")]) == [
        "warning: webqa × TMKD: yes: 7 % are 'yes'",
        "warning: webqa × TMKD: no: 7 % are 'no'",
        "warning: webqa × MKD: yes: 7 % are 'yes'",
        "warning: rte × TMKD: yes: 7 % are 'yes'",
    ]


def test_classes_named_by_numbers_are_told_apart() -> None:
    signs = {
        "test": "it predicts '0' for 61 %",
        "more": "it predicts '1' for 62.5 %",
        "last": "it predicts '0' for 70 %",
    }
    warned = [replace(STUDENT, split=split, warnings=(f"{split}: {sign}",)) for split, sign in signs.items()]
    assert warning_lines(warned) == [
        "warning: webqa × TMKD: test: it predicts '0' for 61 % [alike: last]",
        "warning: webqa × TMKD: more: it predicts '1' for 62.5 %",
    ]


def test_a_teacher_below_every_student_on_dev_is_named() -> None:
    teachers = [replace(TEACHER, row=row, dev=dev) for row, dev in (("T1", 0.79), ("T2", 0.70), ("T3", 0.755))]
    seeds = [replace(STUDENT, row="BERT-3", dev=dev, seed=seed) for seed, dev in ((1, 0.74), (2, 0.76))]
    tmkd = replace(STUDENT, dev=0.78)
    assert warning_lines([*teachers, *seeds, tmkd]) == [
        "warning: webqa × T2: this teacher has 70.0 % on dev and the lowest student, BERT-3, 75.0 %; "
        "where it teaches among others, Eq. 6 takes its header like theirs: try a row without it"
    ]
    assert warning_lines(teachers) == []
    assert warning_lines([*teachers, replace(tmkd, task="rte")]) == []


def test_the_best_teacher_may_be_below_every_student() -> None:
    assert warning_lines([replace(TEACHER, dev=0.70), replace(STUDENT, dev=0.75)]) == []
