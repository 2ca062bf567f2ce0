"""A row's fragment: read back as written, its probabilities in float32; refused when its parts do not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from row_fragments import GRADED, PROBABILITIES, TEST, row_fragment, written
from tmkd.data.fragment import read_fragment, write_fragment
from tmkd.errors import TmkdError
from tmkd.report.row_fragment import read_row, row_path, write_row


def test_a_row_is_read_back(tmp_path: Path) -> None:
    row = row_fragment()
    path = write_row(tmp_path, row, {"test": (GRADED, PROBABILITIES)})
    assert path == tmp_path / "rows" / "toy.student.tmkd.1.npz"
    found, tested = read_row(path)
    assert found == row
    test, probabilities = tested["test"]
    assert (test.task, test.split, test.names, test.positive) == ("toy", "test", ("no", "yes"), 1)
    assert test.labels.tolist() == GRADED.labels.tolist()
    assert test.groups == ("1", "1", "0", "0")  # numbers stand for the questions' ids, in their order
    assert test.grades is not None
    assert test.grades.tolist() == [2, 0, 1, 0]
    np.testing.assert_array_equal(probabilities, PROBABILITIES.astype(np.float32))
    assert read_row(write_row(tmp_path, row, {"test": (TEST, PROBABILITIES)}))[1]["test"][0].grades is None


def test_the_test_sets_keep_their_order(tmp_path: Path) -> None:
    first = row_fragment().first
    names = ("test", "again", "more")
    results = tuple(replace(first, split=name) for name in names)
    row = row_fragment(results=results, tests=dict.fromkeys(names, "d"))
    _, tested = read_row(write_row(tmp_path, row, {name: (replace(TEST, split=name), PROBABILITIES) for name in names}))
    assert tuple(tested) == names


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"row": "cosine (all-MiniLM)", "kind": "yardstick"}, "toy.yardstick.cosine-all-MiniLM.1.npz"),
        ({"row": "tmkd, bundle", "kind": "bundle"}, "toy.bundle.tmkd-bundle.1.npz"),
        ({"seed": 7, "teachers_seed": 2}, "toy.student.tmkd.7.teachers-2.npz"),
    ],
)
def test_each_row_and_seed_has_a_file_of_its_own(tmp_path: Path, changes: dict[str, Any], name: str) -> None:
    assert row_path(tmp_path, replace(row_fragment().first, **changes)) == tmp_path / "rows" / name


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"test.labels": np.zeros(3, np.int16)}, "test has probabilities of shape"),
        ({"test.probabilities": np.zeros((4, 3), np.float16)}, "test has probabilities of shape"),
        ({"test.groups": np.zeros(5, np.uint32)}, "test has probabilities of shape"),
        ({"test.grades": np.zeros(5, np.float32)}, "test has probabilities of shape"),
        ({"test.labels": np.full(4, 2, np.int16)}, "labels that are no class"),
        ({"test.probabilities": np.full((4, 2), np.nan, np.float16)}, "probabilities that are not finite"),
        ({"test.labels": None}, "test.labels"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, arrays: dict[str, Any], told: str) -> None:
    path = written(tmp_path)
    facts, own = read_fragment(path)
    kept = {name: array for name, array in {**own, **arrays}.items() if array is not None}
    write_fragment(path, facts, kept)
    with pytest.raises(TmkdError, match=rf"tmkd\.1\.npz: not a row's fragment: .*{told}"):
        read_row(path)


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"kind": "teacher"}, "not the fragment of a row"),
        ({"results": []}, "results are not of one row and one seed"),
        ({"tests": {"other": "d"}}, "its test sets or classes are not those of its results"),
        ({"positive": 2}, "its test sets or classes are not those of its results"),
        ({"origin": 3}, "not a row's fragment: origin"),
        ({"speed": {"machine": "m"}}, "not a row's fragment: speed"),
    ],
)
def test_facts_that_do_not_fit_are_refused(tmp_path: Path, facts: dict[str, Any], told: str) -> None:
    path = written(tmp_path)
    own, arrays = read_fragment(path)
    write_fragment(path, {**own, **facts}, arrays)
    with pytest.raises(TmkdError, match=told):
        read_row(path)
