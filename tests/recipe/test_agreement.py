"""Checks across the parts of a recipe: names refer to something, and classes agree."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

import tiny
from tmkd.recipe.schema import Recipe


def recipe(**changes: Any) -> Recipe:
    """A recipe of two teachers, a corpus and a row, with some parts replaced."""
    teachers = {name: {"task": "toy", "base": "b"} for name in ("t1", "t2")}
    return Recipe.model_validate(
        {
            "name": "r",
            "tasks": {"toy": {"train": "train.tsv", "tests": {"test": "test.tsv"}}},
            "collect": {"web": {"task": "toy", "pairs": "pairs.tsv"}},
            "teachers": teachers,
            "student": {"base": "b"},
            "rows": {"mkd": {"stages": [{}]}, "m-o-m": {"each_teacher": True, "stages": [{"teachers": "each"}]}},
            **changes,
        }
    )


VOTES = {"file": "votes.tsv", "votes": {}}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"collect": {"web": {"task": "toy", "pairs": ["pairs.tsv", VOTES]}}}, "collect.web.pairs"),
        ({"teachers": {"t1": {"task": "toy", "file": VOTES}}}, "teachers.t1.file"),
    ],
)
def test_votes_are_for_a_tasks_files_only(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ValidationError, match=rf"{key}: votes give labels, which only a task's train, dev and tests"):
        recipe(**changes)
    sets = {"train": VOTES, "dev": VOTES, "tests": {"test": ["a.tsv", VOTES]}}
    assert recipe(tasks={"toy": sets}).tasks["toy"].dev[0].votes is not None


@pytest.mark.parametrize(
    "more", [{"imported": "logits"}, {"score_columns": ["a"]}, {"repeated": "mean"}, {"file": {"where": {"a": "b"}}}]
)
def test_a_fragment_says_itself_what_it_holds(more: dict[str, Any]) -> None:
    file = {"file": "t1.npz", **more.get("file", {})}
    with pytest.raises(ValidationError, match=r"teachers\.t1\.file: t1\.npz holds a teacher's logits by pair; name it"):
        recipe(teachers={"t1": {"task": "toy", **more, "file": file}, "t2": {"task": "toy", "base": "b"}})
    assert recipe(teachers={"t1": {"task": "toy", "file": "t1.npz", "missing": "drop"}}).teachers["t1"].file is not None


@pytest.mark.parametrize("part", ["documents", "run"])
def test_a_layout_is_for_pairs(part: str) -> None:
    lists = {"file": "a.jsonl", "layout": "flagembedding"}
    web = {"task": "toy", "documents": "d.jsonl", "questions": "q.txt", "pairs": lists, part: lists}
    with pytest.raises(ValidationError, match=rf"collect\.web\.{part}: layout flagembedding is for pairs"):
        recipe(collect={"web": web})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"collect": {"web": {"task": "tyo", "pairs": "p"}}}, r"collect\.web\.task: no task 'tyo'; there is toy"),
        ({"teachers": {"t1": {"task": "tyo", "base": "b"}}}, r"teachers\.t1\.task: no task 'tyo'; there is toy"),
        (
            {"teachers": {"t1": {"task": "toy", "base": "b", "scores": ["wbe"]}}},
            r"teachers\.t1\.scores: no corpus 'wbe'; there is web, toy",
        ),
        ({"rows": {"mkd": {"stages": [{}], "tasks": ["tyo"]}}}, r"rows\.mkd\.tasks: no task 'tyo'; there is toy"),
        (
            {"rows": {"mkd": {"stages": [{"fit_on": {"tyo": {"epochs": 2}}}]}}},
            r"rows\.mkd\.stages\.0\.fit_on: no task 'tyo'; there is toy",
        ),
        ({"collect": {"toy": {"task": "toy", "pairs": "p"}}}, r"collect\.toy: the name is taken by a task"),
        ({"collect": {"task": {"task": "toy", "pairs": "p"}}}, r"collect\.task: the name is taken by a task"),
        (
            {"teachers": {"gold": {"task": "toy", "base": "b"}}},
            r"teachers\.gold: gold is the name of the golden labels",
        ),
        (
            {"seeds": {"teachers": [1, 2]}, "teachers": {"m": {"task": "toy", "model": "m"}}},
            r"seeds\.teachers: no teacher has a base to be fine-tuned",
        ),
        ({"rows": {"t1": {"stages": [{}]}}}, r"rows\.t1: another row of the report has this name"),
        ({"rows": {"ensemble": {"stages": [{}]}}}, r"rows\.ensemble: another row of the report has this name"),
        ({"export": {"row": "m-o-m"}}, r"export\.row: no row of one student is called 'm-o-m'; there is mkd"),
        (
            {"export": {"row": "mkd", "frontier": ["mkd", "tkd"]}},
            r"export\.frontier: no row of one student is called 'tkd'; there is mkd",
        ),
    ],
)
def test_names_that_lead_nowhere_or_clash_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        recipe(**changes)


@pytest.mark.parametrize("option", [{"unlabelled": "soft_only"}, {"gaps": "mask"}, {"keep_start": True}])
def test_a_row_with_a_name_of_the_paper_is_the_papers(option: dict[str, Any]) -> None:
    stages = [{}, option]
    ((key, value),) = option.items()
    shown = f"{key}: {str(value).lower()}"
    with pytest.raises(ValidationError, match=rf"rows\.mkd\.stages\.1: {shown} is not the paper's"):
        recipe(rows={"mkd": {"stages": stages}})
    assert recipe(rows={"mkd-own": {"stages": stages}}).rows["mkd-own"].stages[1].own_options == [shown]


def test_a_teacher_may_not_score_a_corpus_of_other_classes() -> None:
    values = tiny.recipe()
    values.pop("stages")
    values["rows"] = {}
    values["tasks"]["other"] = {**values["tasks"]["toy"], "labels": ["yes", "no"]}
    values["teachers"]["t9"] = {"task": "other", "base": "bert", "scores": ["web"]}
    with pytest.raises(ValueError, match=r"teachers\.t9\.scores: 'web' has the classes no, yes \(positive yes\)"):
        Recipe.model_validate(values)


SEARCHED = {"web": {"task": "toy", "documents": "d.jsonl", "questions": "q.txt"}}
EXPORT = {"row": "mkd"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"serve": {"collect": "web"}}, r"serve: the exported student is served; add, say: export: \{row: tmkd\}"),
        ({"serve": {"collect": "wbe"}, "export": EXPORT}, r"serve\.collect: no corpus 'wbe'; there is web"),
        (
            {"serve": {"collect": "web"}, "export": EXPORT},
            r"serve\.collect: 'web' has pairs alone, so there is no index",
        ),
        (
            {"serve": {"collect": "web", "questions": VOTES}, "export": EXPORT, "collect": SEARCHED},
            r"serve\.questions: votes give labels",
        ),
    ],
)
def test_serving_needs_a_bundle_and_an_index(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        recipe(**changes)
    assert recipe(serve={"collect": "web"}, export=EXPORT, collect=SEARCHED).serve is not None


def test_what_is_not_exported_is_not_served() -> None:
    rows = {"mkd": {"stages": [{}], "extra": True}, "other": {"stages": [{}]}}
    served = recipe(serve={"collect": "web"}, export=EXPORT, collect=SEARCHED, rows=rows)
    assert served.without_extras().serve is None


@pytest.mark.parametrize("key", ["tasks.toy.dev", "tasks.toy.tests.test", "collect.web.pairs", "teachers.judge.file"])
def test_a_threshold_found_on_dev_is_for_train(key: str) -> None:
    values = tiny.recipe()
    values.pop("stages")
    values["rows"] = {}
    values["collect"]["web"]["pairs"] = "pairs.tsv"
    *parents, last = key.split(".")
    place = values
    for part in parents:
        place = place[part]
    place[last] = {"file": "weak.tsv", "threshold": {"prior": "dev"}}
    with pytest.raises(ValueError, match=key.replace(".", r"\.") + r": a threshold \{prior: dev\} gives weak labels"):
        Recipe.model_validate(values)


STAGE = {"teachers": [], "alpha": 0.0}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            {"a": {"stages": [{**STAGE, "steps_of": "tmdk"}]}},
            r"rows\.a\.stages\.0\.steps_of: no row 'tmdk'; there is a",
        ),
        ({"a": {"stages": [{**STAGE, "steps_of": "a"}]}}, r"rows\.a\.stages\.0\.steps_of: 'a' takes the steps of an"),
        (
            {"a": {"stages": [STAGE], "extra": True}, "b": {"stages": [{**STAGE, "steps_of": "a"}]}},
            r"rows\.b\.stages\.0\.steps_of: 'a' is extra, so this row has to be extra too",
        ),
        (
            {"a": {"stages": [STAGE], "tasks": ["toy"]}, "b": {"stages": [{**STAGE, "steps_of": "a"}]}},
            r"rows\.b\.stages\.0\.steps_of: 'a' is not trained on every task of this row",
        ),
    ],
)
def test_steps_of_a_row_that_cannot_be_counted_are_refused(rows: dict[str, Any], message: str) -> None:
    tasks = tiny.recipe()["tasks"]
    with pytest.raises(ValidationError, match=message):
        recipe(rows=rows, tasks={**tasks, "other": tasks["toy"]})


def test_a_tokenizer_is_not_lent_twice() -> None:
    onnx = {"package": "p", "tokenizer": "minilm"}
    assert recipe(pretrained={"minilm": {"hub": "a/b"}, "o": onnx}).pretrained["o"].tokenizer == "minilm"
    with pytest.raises(ValidationError, match=r"pretrained\.p\.tokenizer: 'o' has none of its own; name another"):
        recipe(pretrained={"minilm": {"hub": "a/b"}, "o": onnx, "p": {**onnx, "tokenizer": "o"}})


@pytest.mark.parametrize("seen", ["fact", "toy/dev", "toy/", "/test"])
def test_a_model_has_seen_sets_of_the_recipe(seen: str) -> None:
    model = {"hub": "a/b", "seen": ["toy", "toy/test"]}
    assert recipe(pretrained={"m": model}).pretrained["m"].seen == ("toy", "toy/test")
    with pytest.raises(
        ValidationError, match=rf"pretrained\.m\.seen: no task or test set '{seen}'; there is toy, toy/test"
    ):
        recipe(pretrained={"m": {**model, "seen": ["toy", seen]}})


@pytest.mark.parametrize("stage", [{"vote": True}, {"vote": True, "corpus": "web", "alpha": 1.0}])
def test_a_vote_is_between_two_classes(stage: dict[str, Any]) -> None:
    toy = {"train": "train.tsv", "tests": {"test": "test.tsv"}}
    three = {**toy, "labels": ["a", "b", "c"], "positive": "a"}
    rows = {"mine": {"stages": [stage], "tasks": ["toy"]}}
    with pytest.raises(ValidationError, match=r"rows\.mine\.stages\.0\.vote: task toy has 3 classes, and a vote needs"):
        recipe(tasks={"toy": three}, rows=rows)
    assert recipe(tasks={"toy": toy, "other": three}, rows=rows).rows["mine"].stages[0].vote
    with pytest.raises(ValidationError, match=r"rows\.tmkd\.stages\.0: vote: true is not the paper's"):
        recipe(rows={"tmkd": {"stages": [stage]}})
