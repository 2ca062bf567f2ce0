"""Where things lie, and what a recipe's words stand for: asked of a run folder in which hardly anything is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tiny
from tmkd import ranks
from tmkd.errors import TmkdError
from tmkd.flow.best_teacher import NotYet, best
from tmkd.flow.run_folder import RunFolder
from tmkd.recipe.engine import EngineSpec
from tmkd.recipe.parts import SourceSpec
from tmkd.recipe.reader import read_recipe
from tmkd.recipe.seeds import SeedsSpec
from tmkd.store import digest_file, write_manifest


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    tiny.write_data(tmp_path / "data")
    return RunFolder(read_recipe(tiny.write_recipe(tmp_path / "tiny.yaml")), tmp_path, tmp_path / "runs" / "tiny")


def scored(run: RunFolder, teacher: str, **facts: Any) -> None:
    folder = run.soft_folder("toy/dev", teacher)
    folder.mkdir(parents=True)
    write_manifest(folder, "score", {}, {}, facts, 0.0)


def test_a_tasks_corpora_are_one_artifact_and_a_stage_1_corpus_is_its_own(run: RunFolder) -> None:
    pairs = run.folder / "pairs"
    assert (run.corpus_artifact("toy/dev"), run.corpus_folder("toy/dev")) == (pairs / "toy", pairs / "toy" / "dev")
    assert run.corpus_artifact("web") == run.corpus_folder("web") == pairs / "web"
    assert run.corpora() == ["toy/dev", "toy/train", "web"]


def test_workers_of_a_cluster_are_given_absolute_paths(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    base = run.recipe_base
    monkeypatch.chdir(base)
    on_ray = run.recipe.model_copy(update={"engine": EngineSpec(kind="ray")})
    assert RunFolder(run.recipe, base, Path("runs/tiny")).folder == Path("runs/tiny")
    assert RunFolder(on_ray, base, Path("runs/tiny")).folder == base / "runs" / "tiny"


def test_files_are_digested_by_the_name_the_recipe_gives(run: RunFolder) -> None:
    found = run.digests((SourceSpec(file="train.tsv"), SourceSpec(file="dev.tsv")))
    assert found == {f"file {name}": digest_file(run.base / name) for name in ("train.tsv", "dev.tsv")}
    with pytest.raises(TmkdError, match=r"no\.tsv: no such file .*file names are relative to"):
        run.digests((SourceSpec(file="no.tsv"),))


def test_another_rank_reads_no_file_for_its_digest(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "rank", lambda: 1)
    assert run.digests((SourceSpec(file="train.tsv"),)) == {"file train.tsv": ""}


def test_the_files_of_texts_are_digested_too(run: RunFolder) -> None:
    parts = {"layout": "hofstaetter", "texts": {"questions": "dev.tsv", "passages": "test.tsv"}}
    found = run.digests((SourceSpec.model_validate({"file": "train.tsv", **parts}),))
    assert list(found) == ["file train.tsv", "file dev.tsv", "file test.tsv"]


def test_the_best_teacher_is_known_when_all_that_score_dev_have(run: RunFolder) -> None:
    scored(run, "t1", accuracy=0.7)
    with pytest.raises(NotYet, match="score/toy/dev/t2"):
        best(run.recipe, run.soft_folder, ("t1", "t2", "judge"))
    scored(run, "t2", accuracy=0.8)
    assert (
        best(run.recipe, run.soft_folder, ("t1", "t2", "judge")) == "t2"
    )  # imported scores of a stage-1 corpus say nothing about dev
    assert best(run.recipe, run.soft_folder, ("t1",)) == "t1"


def test_every_row_is_placed_for_each_task_and_seed(run: RunFolder) -> None:
    tiny.write_encoder(run.recipe_base / "bert")  # whose pooler tells whether the student gets a fresh one
    run = RunFolder(run.recipe.model_copy(update={"seeds": SeedsSpec(students=(1, 2))}), run.recipe_base, run.folder)
    assert list(run.placed_rows())[:3] == [("bert-3", "toy", 1), ("bert-3", "toy", 2), ("1-o-1", "toy", 1)]
    (one,), (two,) = (run.row_students("bert-3", "toy", seed) for seed in (1, 2))
    assert one[0].parent == two[0].parent == run.folder / "students"
    assert one[0] != two[0]


def test_a_run_has_a_replicate_per_teachers_seed(run: RunFolder) -> None:
    tiny.write_encoder(run.recipe_base / "bert")
    run = RunFolder(run.recipe.model_copy(update={"seeds": SeedsSpec(teachers=(2, 1))}), run.recipe_base, run.folder)
    first, second = run.replicates
    assert first is run
    assert [part.teachers_seed for part in (first, second)] == [2, 1]
    assert [list(part.teachers) for part in (first, second)] == [["t1@2", "t2@2", "judge"], ["t1", "t2", "judge"]]
    assert first.teacher_folder("t1@2") == run.folder / "teachers" / "toy" / "t1@2"
    both = [[part.row_students(row, "toy", 1)[0][0] for row in ("bert-3", "mkd")] for part in (first, second)]
    assert both[0][0] == both[1][0]  # no teacher takes part in it
    assert both[0][1] != both[1][1]


def test_a_teacher_that_is_not_done_has_no_column(run: RunFolder) -> None:
    with pytest.raises(TmkdError, match=r"t1: not finished \(no manifest\.json\)"):
        run.column("web", "t1")
