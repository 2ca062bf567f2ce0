from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tmkd.recipe.parts import PriorSpec, SourceSpec
from tmkd.recipe.rows import StageSpec
from tmkd.recipe.schema import CollectSpec, Recipe, TaskSpec, TeacherSpec
from tmkd.recipe.serving import ExportSpec


def recipe(**changes: Any) -> Recipe:
    """The least a recipe needs, and two teachers, a corpus and two rows."""
    return Recipe.model_validate(
        {
            "name": "r",
            "tasks": {"toy": {"train": "train.tsv", "tests": {"test": "test.tsv"}}},
            "collect": {"web": {"task": "toy", "pairs": "pairs.tsv"}},
            "teachers": {"t1": {"task": "toy", "base": "b"}, "t2": {"task": "toy", "base": "b", "extra": True}},
            "student": {"base": "b"},
            "rows": {"mkd": {"stages": [{}]}, "tkd": {"stages": [{"teachers": "best"}], "extra": True}},
            **changes,
        }
    )


def test_a_layout_has_one_score_a_pair() -> None:
    lists = {"task": "toy", "file": {"file": "a.jsonl", "layout": "flagembedding"}}
    assert "repeated" not in TeacherSpec.model_validate(lists).model_dump(mode="json")
    for more in ({"imported": "logits"}, {"score_columns": ("a", "b")}):
        with pytest.raises(ValidationError, match="layout flagembedding has one score a pair; set imported to score"):
            TeacherSpec.model_validate({**lists, **more})


def test_the_smallest_recipe_has_defaults() -> None:
    least = Recipe.model_validate(
        {"name": "r", "tasks": {"t": {"train": "a", "tests": {"test": "b"}}}, "student": {"base": "m"}}
    )
    assert least.tasks["t"].labels == ("no", "yes")
    assert least.tasks["t"].positive == "yes"
    assert (least.student.layers, least.student.pool, least.device) == (3, "pooler", "auto")
    assert least.rows == {}


def test_a_file_name_stands_for_a_list_of_one_source() -> None:
    by_name = TaskSpec(train="a.tsv", tests={"test": ["b.tsv", {"file": "c.tsv", "source": "web"}]})  # type: ignore[arg-type, dict-item, list-item]
    assert by_name.train == (SourceSpec(file="a.tsv"),)
    assert by_name.tests["test"] == (SourceSpec(file="b.tsv"), SourceSpec(file="c.tsv", source="web"))
    assert by_name.dev == ()


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        recipe().name = "other"  # type: ignore[misc]


def test_extras_take_part_only_when_all_is_asked_for() -> None:
    less = recipe().without_extras()
    assert list(less.teachers) == ["t1"]
    assert list(less.rows) == ["mkd"]
    assert list(recipe().teachers) == ["t1", "t2"]
    assert less.order == recipe().order == {"student": ("mkd", "tkd"), "teacher": ("t1", "t2")}
    exported = recipe(export={"row": "mkd", "frontier": ["tkd", "mkd"]})
    assert exported.without_extras().export == ExportSpec(row="mkd", frontier=("mkd",))
    assert recipe(export={"row": "tkd"}).without_extras().export is None


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_alpha_weighs_the_two_losses_of_eq_5(alpha: float) -> None:
    assert StageSpec(alpha=alpha, teachers="all" if alpha else ()).alpha == alpha


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan"), float("inf")])
def test_alpha_outside_zero_and_one(alpha: float) -> None:
    with pytest.raises(ValidationError, match=rf"alpha is {alpha}; Eq\. 5 needs 0 <= alpha <= 1"):
        StageSpec(alpha=alpha)


def test_alpha_above_zero_needs_teachers() -> None:
    with pytest.raises(ValidationError, match=r"alpha is 0.9 but the stage has no teachers; name some or set alpha: 0"):
        StageSpec(teachers=())


def test_teachers_need_alpha_above_zero() -> None:
    with pytest.raises(ValidationError, match="alpha is 0, so teachers have no weight in the loss"):
        StageSpec(alpha=0, teachers=("t1",))


@pytest.mark.parametrize("kinds", [{}, {"base": "b", "model": "m"}, {"model": "m", "file": {"file": "s.tsv"}}])
def test_a_teacher_is_of_one_kind(kinds: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="give exactly one of base"):
        TeacherSpec(task="toy", **kinds)


@pytest.mark.parametrize("given", [{}, {"questions": "q.txt"}, {"documents": "d.jsonl"}, {"passages": "p.tsv"}])
def test_a_corpus_needs_pairs_or_what_they_are_made_of(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="give questions with documents or passages, or pairs"):
        CollectSpec(task="toy", **given)


@pytest.mark.parametrize(("given", "guard"), [("near", "near"), ("off", "off"), (False, "off")])
def test_a_bare_off_of_yaml_is_the_guard_off(given: object, guard: str) -> None:
    assert CollectSpec.model_validate({"task": "toy", "pairs": "p.tsv", "guard": given}).guard == guard
    with pytest.raises(ValidationError):
        CollectSpec.model_validate({"task": "toy", "pairs": "p.tsv", "guard": True})


@pytest.mark.parametrize("given", [{"labels": ("a", "b")}, {"labels": ("yes", "yes")}, {"positive": "maybe"}])
def test_the_positive_class_is_one_of_the_labels(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="must be one of the labels"):
        TaskSpec(train=(SourceSpec(file="a"),), tests={"test": (SourceSpec(file="b"),)}, **given)


def test_a_task_of_one_class_is_none() -> None:
    with pytest.raises(ValidationError, match="at least 2 items"):
        TaskSpec(train=(SourceSpec(file="a"),), tests={"test": (SourceSpec(file="b"),)}, labels=("yes",))


@pytest.mark.parametrize("tests", [{}, {"dev": "b.tsv"}, {"train": "b.tsv"}])
def test_a_test_set_is_there_and_is_neither_train_nor_dev(tests: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=r"name at least one test file|is the name of another split"):
        recipe(tasks={"toy": {"train": "a", "tests": tests}})


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".a", "-a", "a b", "a.b", "é", "a\n", "x" * 65])
def test_a_name_that_cannot_be_a_folder(name: str) -> None:
    with pytest.raises(ValidationError):
        recipe(name=name)


@pytest.mark.parametrize("name", ["a", "1-o-1", "bert-3", "TMKD_base", "x" * 64])
def test_names_of_letters_digits_and_hyphens(name: str) -> None:
    assert recipe(name=name).name == name


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_no_generator_takes(seed: int) -> None:
    with pytest.raises(ValidationError):
        recipe(seeds=[seed])


def test_a_threshold_may_be_found_on_dev_if_there_is_one() -> None:
    weak = {"file": "weak.tsv", "threshold": {"prior": "dev"}}
    task = {"train": ["train.tsv", weak], "tests": {"test": "test.tsv"}}
    assert TaskSpec.model_validate({**task, "dev": "dev.tsv"}).train[1].threshold == PriorSpec()
    with pytest.raises(ValidationError, match=r"train: a threshold \{prior: dev\} needs a dev file; give one, or a"):
        TaskSpec.model_validate(task)
