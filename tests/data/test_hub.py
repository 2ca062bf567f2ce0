"""Data sets of the hub, kept as files: by a stand-in for `datasets`, and by the package itself from a local folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from tmkd.data import hub
from tmkd.data.hub import source_path
from tmkd.data.labels import LabelSet
from tmkd.data.sources import read_source
from tmkd.errors import TmkdError
from tmkd.recipe.parts import SourceSpec

RTE = {"name": "nyu-mll/glue", "config": "rte"}
COLUMNS = {"question": "sentence1", "passage": "sentence2"}
ROWS = [("It rains.", "It is wet.", 0), ("It rains.", "It is dry.", 1), ("It snows.", "It is hot.", -1)]


@dataclass(frozen=True)
class ClassLabel:
    """Stand-in for the feature of a column of classes."""

    names: list[str]


@dataclass
class Hub:
    """Stand-in for the package: a data set of two batches; notes how it was asked for."""

    asked: list[tuple[Any, ...]] = field(default_factory=list)
    error: Exception | None = None
    rows: list[tuple[str, str, int]] = field(default_factory=lambda: ROWS)

    @property
    def features(self) -> dict[str, object]:
        return {"sentence1": "a text", "label": ClassLabel(["entailment", "not_entailment"])}

    def load_dataset(self, name: str, config: str | None, **how: Any) -> Hub:
        self.asked.append((name, config, how))
        if self.error is not None:
            raise self.error
        return self

    def with_format(self, kind: str) -> Hub:
        assert kind == "arrow"
        return self

    def iter(self, batch_size: int) -> Iterator[pa.Table]:
        for start in range(0, len(self.rows), 2):
            first, second, labels = zip(*self.rows[start : start + 2], strict=True)
            yield pa.table({"sentence1": first, "sentence2": second, "label": labels})


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The stand-in in the package's place."""
    module, found = ModuleType("datasets"), Hub()
    vars(module).update(load_dataset=found.load_dataset, ClassLabel=ClassLabel)
    monkeypatch.setitem(sys.modules, "datasets", module)
    return found


def source(**parts: Any) -> SourceSpec:
    return SourceSpec.model_validate({"hub": RTE, "columns": COLUMNS, **parts})


def test_a_split_is_read_once_and_kept_beside_the_users_files(tmp_path: Path, package: Hub) -> None:
    labels = LabelSet("rte", ("not_entailment", "entailment"), "entailment")
    for _ in range(2):
        table = read_source(source(), tmp_path, labels)
        assert table["label"].to_pylist() == [1, 0, None]  # by name: the hub has them in another order
        assert table["passage"].to_pylist() == [second for _, second, _ in ROWS]
    assert package.asked == [("nyu-mll/glue", "rte", {"split": "train", "revision": None, "streaming": True})]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "hub/nyu-mll/glue/rte/train.parquet"]


def test_the_source_says_what_is_read_and_where_it_is_kept(tmp_path: Path, package: Hub) -> None:
    wanted = {"name": "squad", "split": "validation", "revision": "v2"}
    assert source_path(source(hub=wanted, file="mine/squad.parquet"), tmp_path) == tmp_path / "mine" / "squad.parquet"
    assert package.asked == [("squad", None, {"split": "validation", "revision": "v2", "streaming": True})]


def test_each_revision_is_kept_in_a_file_of_its_own(tmp_path: Path, package: Hub) -> None:
    kept = [source_path(source(hub=RTE | revision), tmp_path) for revision in ({}, {"revision": "v2"})]
    assert kept == [tmp_path / f"hub/nyu-mll/{name}/rte/train.parquet" for name in ("glue", "glue@v2")]
    assert [how["revision"] for _, _, how in package.asked] == [None, "v2"]


def test_what_is_there_is_not_asked_for(tmp_path: Path, package: Hub) -> None:
    kept = tmp_path / "rte.parquet"
    kept.write_bytes(b"mine")
    assert source_path(source(file="rte.parquet"), tmp_path) == kept
    assert source_path(SourceSpec(file="other.tsv"), tmp_path) == tmp_path / "other.tsv"
    assert package.asked == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "../secret"},
        {"name": "a/b/c"},
        {"name": "a/.."},
        {**RTE, "split": "../x"},
        {**RTE, "config": "a/b"},
        {},
    ],
)
def test_a_name_that_would_leave_the_folder_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=r"hub\."):
        SourceSpec.model_validate({"hub": wrong})


@pytest.mark.parametrize("error", [ValueError("Bad split: tran\nmore"), ConnectionError("no network"), KeyError("x")])
def test_a_hub_that_fails_is_an_error_of_one_line_and_leaves_nothing(
    tmp_path: Path, package: Hub, error: Exception
) -> None:
    package.error = error
    with pytest.raises(TmkdError, match=r"hub data set nyu-mll/glue, config rte, split train: .*give a file") as told:
        source_path(source(), tmp_path)
    assert "\n" not in str(told.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_split_that_is_too_large_or_empty_is_refused(
    tmp_path: Path, package: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "MOST_BYTES", 100)
    with pytest.raises(TmkdError, match="has more than 0 GB; download its files"):
        source_path(source(), tmp_path)
    package.rows = []
    with pytest.raises(TmkdError, match="split train: empty"):
        source_path(source(), tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_without_the_package_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(TmkdError, match=r"data sets of the hub need datasets: pip install 'tmkd\[hub\]'"):
        source_path(source(), tmp_path)


def test_the_package_itself_reads_a_local_folder(
    optional: Callable[[str, str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = optional("datasets", "hub")
    folder = tmp_path / "set"
    folder.mkdir()
    labels = datasets.ClassLabel(names=["entailment", "not_entailment"])
    text = datasets.Value("string")
    features = datasets.Features({"sentence1": text, "sentence2": text, "label": labels})
    columns = dict(zip(("sentence1", "sentence2", "label"), map(list, zip(*ROWS, strict=True)), strict=True))
    datasets.Dataset.from_dict(columns, features=features).to_parquet(folder / "train.parquet")
    load = datasets.load_dataset
    monkeypatch.setattr(datasets, "load_dataset", lambda _, __, **how: load(str(folder), **how))
    kept = source_path(source(), tmp_path / "data")
    assert pq.read_table(kept)["label"].to_pylist() == ["entailment", "not_entailment", None]
    with pytest.raises(TmkdError, match="split test: Bad split"):
        source_path(source(hub={**RTE, "split": "test"}), tmp_path / "data")


def test_classes_of_a_file_that_is_no_parquet_are_read_too(
    optional: Callable[[str, str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = optional("datasets", "hub")
    folder = tmp_path / "set"
    folder.mkdir()
    lines = [{"sentence1": first, "sentence2": second, "label": label} for first, second, label in ROWS]
    (folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    load = datasets.load_dataset
    monkeypatch.setattr(datasets, "load_dataset", lambda _, __, **how: load(str(folder), **how))
    assert pq.read_table(source_path(source(), tmp_path / "data"))["label"].to_pylist() == [0, 1, -1]
