"""Rows and stages: options beside the paper's objective, and students of another base."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tmkd.recipe.fit import FitSpec
from tmkd.recipe.parts import StudentSpec
from tmkd.recipe.rows import RowSpec, RowStudentSpec, StageSpec, is_papers


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unlabelled": "soft_only", "alpha": 1.0}, r"alpha is 1\.0; unlabelled: soft_only needs both losses"),
        ({"unlabelled": "soft_only", "alpha": 0.0, "teachers": ()}, r"alpha is 0\.0; unlabelled: soft_only needs both"),
        ({"gaps": "mask", "average": True}, "average: true leaves one teacher, which needs every pair"),
        ({"gaps": "mask", "teachers": "best"}, "teachers: best leaves one teacher, which needs every pair"),
        ({"keep_start": True, "alpha": 1.0}, "alpha is 1, so no dev set chooses the epoch"),
        ({"weak": "soft_only", "alpha": 1.0}, r"alpha is 1\.0; weak: soft_only needs both losses"),
        ({"vote": True, "average": True}, "average: true leaves one teacher, which has nobody to vote with"),
        ({"vote": True, "teachers": "each"}, "teachers: each leaves one teacher, which has nobody to vote with"),
        ({"vote": True, "teachers": "best"}, "teachers: best leaves one teacher, which has nobody to vote with"),
        ({"choose": {"pairs": 9}, "alpha": 0.0, "teachers": ()}, "alpha is 0, so no teacher's score chooses pairs"),
        ({"choose": {"pairs": 0}}, r"choose\.pairs\s+Input should be greater than or equal to 1"),
        ({"fit": {"average_last": 1.5}}, r"fit\.average_last\s+Input should be less than or equal to 1"),
    ],
)
def test_an_option_that_alpha_or_the_teachers_leave_no_room_for(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        StageSpec(**options)


def test_the_first_stage_has_no_start_to_keep() -> None:
    with pytest.raises(ValidationError, match="keep_start keeps the student of the stage before"):
        RowSpec(stages=(StageSpec(keep_start=True), StageSpec()))
    assert RowSpec(stages=(StageSpec(), StageSpec(keep_start=True))).stages[1].keep_start


def test_the_papers_stage_has_no_option_of_its_own() -> None:
    assert StageSpec(unlabelled="drop", gaps="error").own_options == []
    options: dict[str, Any] = {
        "unlabelled": "soft_only",
        "gaps": "mask",
        "weak": "soft_only",
        "vote": True,
        "choose": {"pairs": 9},
        "keep_start": True,
        "steps_of": "tmkd",
        "fit": {"average_last": 0.2},
    }
    assert StageSpec(**options).own_options == [
        "unlabelled: soft_only",
        "gaps: mask",
        "weak: soft_only",
        "vote: true",
        "choose",
        "keep_start: true",
        "steps_of: tmkd",
        "fit.average_last: 0.2",
    ]
    assert [StageSpec(**{name: value}).own_options != [] for name, value in options.items()] == [True] * len(options)


def test_an_option_on_one_task_is_an_option() -> None:
    stage = StageSpec.model_validate({"fit_on": {"rte": {"average_last": 0.2}, "qnli": {"epochs": 2}}})
    assert stage.own_options == ["fit_on.rte.average_last: 0.2"]


def test_options_that_are_off_are_no_settings() -> None:
    off = {"weak": "golden", "vote": False, "choose": None, "fit": {"average_last": 0}}
    assert StageSpec.model_validate(off).model_dump() == StageSpec().model_dump()
    assert not {"weak", "vote", "choose", "average_last"} & {*StageSpec().model_dump(), *FitSpec().model_dump()}


@pytest.mark.parametrize("name", ["tmkd", "TMKD", "tkd_avg", "1-o-1", "bert-3", "TMKD-large", "alpha-03"])
def test_a_name_of_the_paper(name: str) -> None:
    assert is_papers(name)


@pytest.mark.parametrize("name", ["tmkd-mask", "tmkd-2", "mine", "bert-30"])
def test_a_name_of_ones_own(name: str) -> None:
    assert not is_papers(name)


def test_a_row_of_a_smaller_student_has_the_rest_of_the_recipes() -> None:
    student = StudentSpec(base="b", layers=3, ffn=8, max_length=64)
    assert RowStudentSpec(layers=2).over(student) == student.model_copy(update={"layers": 2})
    assert RowStudentSpec().over(student) == student


def test_another_base_is_whole_unless_the_row_cuts_it() -> None:
    student = StudentSpec(base="b", layers=3, ffn=8, vocabulary=99, pool="first", fresh_pooler=True)
    other = RowStudentSpec(base="words", layers=2, pool="pooler", fresh_pooler=False).over(student)
    assert other == StudentSpec(base="words", layers=2, pool="pooler", fresh_pooler=False)
    assert RowStudentSpec(base="words", vocabulary=50).over(student).vocabulary == 50
