"""Files of a recipe, read before work starts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import tiny
from tmkd.errors import TmkdError
from tmkd.flow.check_files import Pairs, read_files
from tmkd.flow.run_folder import RunFolder
from tmkd.recipe.reader import read_recipe


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The tiny world's files and recipe."""
    tiny.write_data(tmp_path / "data")
    tiny.write_recipe(tmp_path / "r.yaml")
    return tmp_path


def read(folder: Path, *changes: str) -> Pairs:
    return read_files(RunFolder(read_recipe(folder / "r.yaml", changes), folder, folder / "runs" / "tiny"))


def test_each_corpus_has_its_number_of_pairs_at_most(folder: Path) -> None:
    splits = {"toy/train": 36, "toy/dev": 12, "toy/test": 12}
    assert read(folder).sizes == {**splits, "web": 30 * 4}
    assert read(folder, "collect.web.pairs=scores.tsv").sizes["web"] == 900 + 120
    assert read(folder, "collect.web.keep=2", "collect.web.sample=10").sizes["web"] == 20
    assert read(folder, "collect.web.limit=50").sizes["web"] == 50


def test_tables_are_the_pairs_that_no_search_finds(folder: Path) -> None:
    with (folder / "data" / "given.tsv").open("w") as file:
        file.write(f"question\tpassage\nwhy\tbecause\n{tiny.question(24)}\tbecause\n")  # a question of test
    given = "collect.web.pairs=given.tsv"
    tables = read(folder, given).tables
    assert {name: table.num_rows for name, table in tables.items()} == {
        "toy/train": 36, "toy/dev": 12, "toy/test": 12, "web": 1
    }  # fmt: skip
    assert read(folder, given, "collect.web.guard=off").tables["web"].num_rows == 2
    assert "web" not in read(folder, given, "teachers={}", "rows={}").tables


def test_an_unknown_language_is_an_error(folder: Path) -> None:
    with pytest.raises(TmkdError, match="language 'xx' is not known; give a code such as en"):
        read(folder, "collect.web.language=xx")
    assert read(folder, "collect.web.language=en").sizes["web"] == 120


@pytest.mark.parametrize("module", ["tantivy", "datasketch"])
def test_a_package_that_collecting_needs_is_named_with_its_extra(
    folder: Path, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(TmkdError, match=rf"collect\.web needs {module}: pip install 'tmkd\[collect\]'"):
        read(folder)
    assert read(folder, "collect={web: {task: toy, pairs: scores.tsv}}").sizes["web"] == 900
