"""A finished run measured on a new file: the rows of its report, nothing of the run touched."""

from __future__ import annotations

from pathlib import Path

import pytest

import tiny
from tiny import Call, World, new_file
from tmkd.errors import TmkdError, UsageError
from tmkd.flow.evaluate_file import evaluate_file
from tmkd.recipe.parts import SourceSpec
from tmkd.report.report_json import read_report


def test_the_runs_own_test_set_gives_the_runs_own_report(finished_world: World) -> None:
    run = tiny.opened(finished_world)
    found = evaluate_file(run, finished_world.recipe, SourceSpec(file=str(finished_world.data / "test.tsv")), None)
    before = read_report(finished_world.run / "report.json")
    assert [one.row for one in found.results] == [one.row for one in before.results]
    for one, other in zip(found.results, before.results, strict=True):
        assert (one.accuracy, one.dev) == (other.accuracy, other.dev)
        assert one.auc == pytest.approx(other.auc)
        assert (one.parameters, one.pairs_per_second) == (other.parameters, other.pairs_per_second)
    values, earlier = (
        {(one.measure, one.row, one.other): one.value for one in report.comparisons} for report in (found, before)
    )
    assert values == pytest.approx(earlier)
    assert [one.row for one in found.shares] == [one.row for one in before.shares]


def test_a_new_file_is_measured_and_its_overlaps_are_counted(finished_world: World, tmp_path: Path) -> None:
    run = tiny.opened(finished_world)
    found = evaluate_file(run, finished_world.recipe, SourceSpec(file=str(new_file(tmp_path / "new.tsv"))), "toy")
    assert {one.split for one in found.results} == {"new"}
    assert (found.data[0].name, found.data[0].pairs, found.data[0].classes) == ("new", 8, {"no": 4, "yes": 4})
    train, web = found.overlaps
    assert (train.corpus, train.of, train.pairs, train.questions) == ("toy/train", 8, 2, 2)  # topic 0
    assert (web.corpus, web.near) == ("web", None)
    assert web.questions == 4  # topics 40 and 41
    assert str(train) in found.notes


def test_nothing_is_said_of_what_models_have_seen_of_a_new_file(finished: World, tmkd: Call, tmp_path: Path) -> None:
    tiny.change(finished.recipe, "pretrained.bert.seen", ["toy/test"])
    assert tmkd("run", finished.recipe, "--runs", finished.runs).code == 0
    file = SourceSpec(file=str(new_file(tmp_path / "new.tsv")))
    found = evaluate_file(tiny.opened(finished), finished.recipe, file, None)
    assert {one.seen for one in found.results} == {()}


def test_a_half_finished_run_is_refused_with_the_step_that_is_missing(finished: World) -> None:
    tiny.change(finished.recipe, "rows.tmkd.stages", [{"use": "pretrain"}, {"use": "finetune", "alpha": 0.4}])
    with pytest.raises(TmkdError, match=r"^distill/toy/tmkd/1/stage 2 is missing; finish the run first: tmkd run "):
        evaluate_file(tiny.opened(finished), finished.recipe, SourceSpec(file="-"), None)


def test_a_stale_run_is_refused_with_the_reason(finished: World) -> None:
    (finished.data / "dev.tsv").write_text((finished.data / "train.tsv").read_text())
    with pytest.raises(TmkdError, match=r"^collect/toy is stale \(input changed: file dev.tsv\); finish the run"):
        evaluate_file(tiny.opened(finished), finished.recipe, SourceSpec(file="-"), None)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("question\tpassage\tlabel\n", "empty, it has no rows"),
        ("question\tpassage\tlabel\nq\tp\tmaybe\n", "row 1: label 'maybe' is none of task toy's: no, yes"),
        ("question\tpassage\tlabel\nq\tp\t1\nq\tr\t\n", "row 2: no label"),
        ("question\tpassage\nq\tp\n", "no label column"),
        ("question\tpassage\tlabel\nq\tp\t1\nq\tp\t0\n", "give one pair two labels"),
    ],
)
def test_a_faulty_file_is_refused(finished_world: World, tmp_path: Path, text: str, wrong: str) -> None:
    (tmp_path / "new.tsv").write_text(text)
    with pytest.raises(TmkdError, match=wrong):
        evaluate_file(
            tiny.opened(finished_world), finished_world.recipe, SourceSpec(file=str(tmp_path / "new.tsv")), None
        )


def test_a_file_of_contradictions_leaves_nothing(
    finished_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new.tsv").write_text("question\tpassage\tlabel\nq\tp\t1\nq\tp\t0\n")
    run = tiny.opened(finished_world, "tasks.toy.conflicts=drop")  # as if the run had been made so
    monkeypatch.setattr("tmkd.flow.evaluate_file._require_finished", lambda run, recipe: None)
    with pytest.raises(TmkdError, match="no pair is left: each of them has two labels"):
        evaluate_file(run, finished_world.recipe, SourceSpec(file=str(tmp_path / "new.tsv")), None)


def test_a_task_that_is_not_there_is_refused(finished_world: World) -> None:
    with pytest.raises(UsageError, match="--task: no task 'rte'; there is toy"):
        evaluate_file(tiny.opened(finished_world), finished_world.recipe, SourceSpec(file="-"), "rte")
