"""Studies of finished runs: fragments joined run by run, sizes and texts where a run folder is at hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import tiny
from row_fragments import row_fragment, written
from tmkd.errors import TmkdError
from tmkd.flow.fragments import results_folder
from tmkd.flow.studies import is_run, studies


def test_each_run_is_a_study_and_machines_of_one_run_are_joined(tmp_path: Path) -> None:
    written(tmp_path / "one", row_fragment(seed=1))
    written(tmp_path / "two", row_fragment(seed=2))
    written(tmp_path / "three", row_fragment("bert-3", run="other"))
    found = studies([tmp_path / "one", tmp_path / "three", tmp_path / "two"])
    assert [(one.name, [(row.first.row, row.first.seed) for row, _ in one.rows]) for one in found] == [
        ("tiny", [("tmkd", 1), ("tmkd", 2)]),
        ("other", [("bert-3", 1)]),
    ]
    assert [(one.data, one.texts) for one in found] == [((), {})] * 2


def test_fragments_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    written(tmp_path / "one", row_fragment(seed=1))
    written(tmp_path / "two", row_fragment(seed=2, tests={"test": "z"}))
    with pytest.raises(TmkdError, match="do not go together: the test set toy/test differs"):
        studies([tmp_path / "one", tmp_path / "two"])


def test_a_folder_without_fragments_is_named(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match="no fragments here"):
        studies([tmp_path])


def test_a_run_adds_sizes_and_texts_of_its_sets(finished_world: tiny.World) -> None:
    run = tiny.opened(finished_world)
    assert is_run(run.folder)
    (found,) = studies([run.folder, results_folder(run.folder)])
    assert found.name == run.recipe.name
    assert {one.name for one in found.data} >= {f"{task}/train" for task in run.recipe.tasks}
    for task, (questions, passages) in found.texts.items():
        table = run.corpus(f"{task}/{next(iter(run.recipe.tasks[task].tests))}").table()
        assert (questions, passages) == (table["question"].to_pylist(), table["passage"].to_pylist())
    assert found.texts.keys() == run.recipe.tasks.keys()


def test_texts_of_other_pairs_than_those_tested_are_left_out(finished: tiny.World) -> None:
    run = tiny.opened(finished)
    task, entry = next(iter(run.recipe.tasks.items()))
    tested = run.corpus_folder(f"{task}/{next(iter(entry.tests))}")
    shutil.rmtree(tested)
    shutil.copytree(run.corpus_folder(f"{task}/train"), tested)
    (other,) = studies([run.folder])
    shutil.rmtree(tested)
    (none,) = studies([run.folder])
    assert (other.texts, none.texts) == ({}, {})
    assert other.data
