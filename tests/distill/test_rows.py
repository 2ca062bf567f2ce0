from __future__ import annotations

import re
from typing import Any

import pytest

import tiny
from tmkd.distill.rows import PlannedStage, best_by_dev, chain_key, declared, members, refuse_gaps, stage_settings
from tmkd.errors import TmkdError, UsageError
from tmkd.recipe.schema import Recipe

TEACHER = {"task": "toy", "base": "bert"}


def recipe(**changes: Any) -> Recipe:
    """The tiny recipe, its shared stages written out, with some top-level keys replaced."""
    values = {**tiny.recipe(), **changes}
    values.pop("stages")
    values.setdefault("rows", {})
    values["rows"] = {name: row for name, row in values["rows"].items() if "use" not in str(row)}
    return Recipe.model_validate(values)


def row(*stages: dict[str, Any], task: str = "toy", each: bool = False, **changes: Any) -> list[list[tuple[str, Any]]]:
    """(corpus, teachers) of each stage of each member of a row with these stages."""
    read = recipe(rows={"it": {"stages": list(stages), "each_teacher": each}}, **changes)
    chains = members(read, "it", read.rows["it"], task, best=lambda names: names[-1])
    return [[(planned.corpus, planned.teachers) for planned in chain] for chain in chains]


def test_all_means_the_teachers_declared_for_the_corpus() -> None:
    assert row({}) == [[("toy/train", ("t1", "t2"))]]
    assert row({"corpus": "web", "alpha": 1.0}, {}) == [[("web", ("t1", "t2", "judge")), ("toy/train", ("t1", "t2"))]]


def test_without_alpha_no_teacher_has_a_loss() -> None:
    assert row({"teachers": [], "alpha": 0}) == [[("toy/train", ())]]


def test_best_is_asked_among_the_declared() -> None:
    assert row({"corpus": "web", "alpha": 1.0, "teachers": "best"}) == [[("web", ("judge",))]]


def test_a_row_with_each_teacher_has_a_student_per_teacher() -> None:
    stages = ({"corpus": "web", "alpha": 1.0, "teachers": "each"}, {"teachers": "each"})
    assert row(*stages, each=True) == [[("web", (name,)), ("toy/train", (name,))] for name in ("t1", "t2")]


def test_named_teachers_keep_their_order() -> None:
    assert row({"teachers": ["t2", "t1"]}) == [[("toy/train", ("t2", "t1"))]]


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ({"teachers": ["t9"]}, r"rows\.it: unknown teacher 't9'; there is t1, t2, judge"),
        ({"teachers": ["judge"]}, r"rows\.it: teacher 'judge' does not score toy/train; add it to its scores"),
        ({"corpus": "wob", "alpha": 1.0}, r"rows\.it: no corpus 'wob'; there is task, web"),
        ({"teachers": "each"}, r"rows\.it: teachers: each needs each_teacher: true"),
        ({"corpus": "web", "alpha": 0.5}, r"rows\.it: alpha is 0\.5 on web, whose pairs have no golden labels"),
    ],
)
def test_a_stage_without_a_meaning_is_an_error(stage: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        row(stage)


@pytest.mark.parametrize("teachers", ["all", "best"])
def test_alpha_without_any_teacher_is_an_error(teachers: str) -> None:
    with pytest.raises(UsageError, match=r"rows\.it: alpha is 0\.9 but no teacher is declared for toy/train"):
        row({"teachers": teachers}, teachers={})


def test_each_teacher_without_any_teacher_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"rows\.it: no teacher is declared for task toy"):
        row({"teachers": "each"}, each=True, teachers={})


@pytest.mark.parametrize(
    ("scores", "corpus", "found"),
    [
        (None, "toy/train", ("t1", "t2")),
        (None, "web", ("t1", "t2")),
        (["web"], "web", ("t1", "t2", "judge")),
        (["web"], "toy/dev", ("t1", "t2")),
        (["toy"], "toy/dev", ("t1", "t2", "judge")),
        (["toy"], "web", ("t1", "t2")),
    ],
)
def test_imported_scores_are_only_where_they_say(scores: list[str] | None, corpus: str, found: tuple[str, ...]) -> None:
    judge = {"task": "toy", "file": "scores.tsv", "scores": scores}
    assert declared(recipe(rows={}, teachers={"t1": TEACHER, "t2": TEACHER, "judge": judge}), corpus) == found


def test_a_teacher_may_leave_out_a_corpus_but_never_its_task() -> None:
    read = recipe(rows={}, teachers={"t1": {**TEACHER, "scores": []}})
    assert declared(read, "web") == ()
    assert declared(read, "toy/train") == ("t1",)


def key(stage: dict[str, Any], seed: int = 1, **changes: Any) -> str:
    read = recipe(rows={"it": {"stages": [stage]}}, **changes)
    chain = members(read, "it", read.rows["it"], "toy", best=lambda names: names[0])[0]
    return chain_key(chain, seed)


def test_students_are_shared_by_their_settings_not_by_their_wording() -> None:
    assert key({"teachers": "best"}) == key({"teachers": ["t1"]})
    assert key({}) == key({"fit": {"checkpoint_steps": 3, "tensorboard": True}})
    different: list[dict[str, Any]] = [
        {},
        {"alpha": 0.5},
        {"average": True},
        {"teachers": ["t2"]},
        {"fit": {"epochs": 9}},
    ]
    assert len({key(stage) for stage in different} | {key({}, seed=2)}) == len(different) + 1
    assert key({}) != key({}, student={"base": "bert", "layers": 2})


def test_a_row_of_a_smaller_student_has_a_student_of_its_own() -> None:
    read = recipe(rows={"it": {"stages": [{}]}, "thin": {"stages": [{}], "student": {"layers": 1, "ffn": 8}}})
    it, thin = (members(read, name, read.rows[name], "toy", best=lambda names: names[0])[0] for name in read.rows)
    assert thin[0].student == read.student.model_copy(update={"layers": 1, "ffn": 8})
    assert it[0].student == read.student
    assert chain_key(it, 1) != chain_key(thin, 1)
    assert not it[0].student.narrowed
    assert thin[0].student.narrowed


def test_stage_settings_hold_what_decides_the_result() -> None:
    read = recipe(rows={"it": {"stages": [{}]}})
    settings = stage_settings(read.rows["it"].stages[0])
    assert set(settings) == {"average", "alpha", "fit"}
    assert "checkpoint_steps" not in str(settings)


def test_options_that_change_no_student_are_no_settings() -> None:
    assert key({"gaps": "error"}) == key({"gaps": "drop"}) == key({"unlabelled": "error", "keep_start": False})
    own: list[dict[str, Any]] = [{}, {"gaps": "mask"}, {"unlabelled": "soft_only"}, {"unlabelled": "drop"}]
    assert len({key(stage) for stage in own}) == len(own)


@pytest.mark.parametrize(
    ("name", "stage", "reason"),
    [
        ("tmkd", {}, "a row with a name of the paper"),
        ("mine", {"gaps": "error"}, "gaps: error"),
        ("mine", {"average": True}, "average: true"),
        ("mine", {"teachers": "best"}, "teachers: best"),
    ],
)
def test_a_stage_that_needs_every_score_refuses_gaps_by_teacher(name: str, stage: dict[str, Any], reason: str) -> None:
    read = recipe(rows={name: {"stages": [stage]}})
    planned = members(read, name, read.rows[name], "toy", best=lambda names: names[0])[0][0]
    refuse_gaps(name, planned, {"t1": 0, "t2": 0}, 36)
    told = rf"rows\.{name}: toy/train: teacher t2 has no score for 3 of 36 pairs, and {reason} needs them all"
    with pytest.raises(TmkdError, match=told):
        refuse_gaps(name, planned, {"t1": 0, "t2": 3}, 36)


@pytest.mark.parametrize("gaps", ["drop", "mask"])
def test_a_stage_that_drops_or_masks_gaps_takes_them(gaps: str) -> None:
    read = recipe(rows={"mine": {"stages": [{"gaps": gaps}]}})
    planned = members(read, "mine", read.rows["mine"], "toy", best=lambda names: names[0])[0][0]
    refuse_gaps("mine", planned, {"t1": 36, "t2": 3}, 36)


def test_a_row_of_another_base_starts_from_it() -> None:
    read = recipe(rows={"it": {"stages": [{}]}, "bi-lstm": {"stages": [{}], "student": {"base": "words", "layers": 2}}})
    it, other = (members(read, name, read.rows[name], "toy", best=lambda names: names[0])[0] for name in read.rows)
    assert (it[0].student.base, other[0].student.base, other[0].student.layers) == ("bert", "words", 2)
    assert chain_key(it, 1) != chain_key(other, 1)


def test_best_is_the_first_of_the_best_by_dev() -> None:
    assert best_by_dev(("a", "b", "c"), {"a": 0.5, "b": 0.7, "c": 0.7}) == "b"
    assert best_by_dev(("judge", "b"), {"b": 0.1}) == "b"
    with pytest.raises(TmkdError, match="best of judge: none of them has scored a dev set"):
        best_by_dev(("judge",), {})


def test_a_students_folder_is_named_by_sixteen_digits() -> None:
    assert re.fullmatch("[0-9a-f]{16}", key({}))


def test_a_student_of_another_corpus_is_another_one() -> None:
    stage = {"teachers": ["t1"], "alpha": 1.0}
    assert key(stage) != key({**stage, "corpus": "web"})


LONG = {"corpus": "task", "teachers": [], "alpha": 0.0, "steps_of": "two"}
FIRST = {"corpus": "web", "alpha": 1.0, "fit": {"epochs": 1, "batch": 8}}
TWO: dict[str, Any] = {"stages": [FIRST, {"fit": {"epochs": 2}}]}


def long(two: dict[str, Any] = TWO, **stage: Any) -> tuple[PlannedStage, ...]:
    read = recipe(rows={"two": two, "long": {"stages": [LONG | stage]}})
    return members(read, "long", read.rows["long"], "toy", best=lambda names: names[0])[0]


def test_a_stage_has_the_steps_of_all_stages_of_another_row() -> None:
    (planned,) = long(fit={"epochs": 99})
    assert planned.counts == [("web", 8, 1), ("toy/train", 32, 2)]
    assert planned.steps({"web": 100, "toy/train": 33}.__getitem__) == 13 + 2 * 2


def test_a_stage_of_its_own_has_the_steps_of_its_epochs() -> None:
    (planned,) = long(steps_of=None, fit={"epochs": 3, "batch": 4})
    assert planned.counts == []
    assert planned.steps({"toy/train": 33}.__getitem__) == 27


def test_a_student_is_another_one_with_the_steps_of_a_row_but_not_with_its_name() -> None:
    key = chain_key(long(), 1)
    assert key != chain_key(long(steps_of=None), 1)
    assert key != chain_key(long({"stages": [FIRST]}), 1)
    renamed = recipe(rows={"three": TWO, "long": {"stages": [LONG | {"steps_of": "three"}]}})
    assert key == chain_key(members(renamed, "long", renamed.rows["long"], "toy", best=lambda names: names[0])[0], 1)
    other = {"stages": [{**FIRST, "teachers": ["judge"]}, TWO["stages"][1]]}
    assert key == chain_key(long(other), 1)  # no teacher of the other row counts


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ({"vote": True}, r"rows\.it: vote: true needs 3 teachers or more; the stage has t1, t2"),
        ({"choose": {"pairs": 9}, "teachers": ["t1"]}, r"choose\.by: both needs 2 teachers or more; the stage has t1"),
        (
            {"choose": {"pairs": 9, "by": "disagreement"}, "teachers": "best"},
            r"choose\.by: disagreement needs 2",
        ),
    ],
)
def test_options_that_compare_teachers_need_several(stage: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        row(stage)
    assert row({"choose": {"pairs": 9, "by": "score"}, "teachers": ["t1"]}) == [[("toy/train", ("t1",))]]


def test_a_stage_on_chosen_pairs_has_their_steps() -> None:
    chosen = {"stages": [{**FIRST, "choose": {"pairs": 40}}, TWO["stages"][1]]}
    (planned,) = long(chosen)
    assert planned.counts == [("web", 8, 1, 40), ("toy/train", 32, 2)]
    assert planned.steps({"web": 100, "toy/train": 33}.__getitem__) == 5 + 2 * 2
    assert planned.steps({"web": 16, "toy/train": 33}.__getitem__) == 2 + 2 * 2
    assert chain_key((planned,), 1) != chain_key(long(), 1)


def test_a_teacher_that_is_named_alone_teaches_where_it_is_named() -> None:
    values = tiny.recipe()["teachers"]
    teachers = {**values, "t2": {**values["t2"], "named": True}}
    web = {"corpus": "web", "alpha": 1.0}
    assert row(web, teachers=teachers) == [[("web", ("t1", "judge"))]]
    assert row({"teachers": "best"}, teachers=teachers) == [[("toy/train", ("t1",))]]
    assert row({"teachers": "each"}, each=True, teachers=teachers) == [[("toy/train", ("t1",))]]
    assert row({"teachers": ["t2"]}, teachers=teachers) == [[("toy/train", ("t2",))]]
    assert declared(recipe(teachers=teachers), "web") == ("t1", "t2", "judge")


def test_a_stage_is_trained_otherwise_on_a_task_that_it_names() -> None:
    plain: dict[str, Any] = {"fit": {"epochs": 4, "batch": 64}}
    stage = {**plain, "fit_on": {"toy": {"batch": 8}}}
    assert key(stage) == key({"fit": {"epochs": 4, "batch": 8}})
    assert key({**plain, "fit_on": {"toy": {}}}) == key(plain)
    assert key(stage) != key(plain)
