"""The id column that a run names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tmkd.collect.id_columns import with_run_ids
from tmkd.errors import TmkdError
from tmkd.recipe.parts import SourceSpec

ROWS = [{"docid": f"D{n}", "url": f"https://x/{n}", "title": "t", "body": "b"} for n in range(4)]


def written(folder: Path, kind: str, rows: list[dict[str, Any]]) -> SourceSpec:
    path = folder / f"a.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        comma = "," if kind == "csv" else "\t"
        path.write_text("".join(comma.join(map(str, row)) + "\n" for row in (rows[0], *(row.values() for row in rows))))
    return SourceSpec(file=path.name)


@pytest.mark.parametrize("kind", ["jsonl", "csv", "tsv", "parquet"])
@pytest.mark.parametrize(("run", "column"), [({"D3"}, "docid"), ({"https://x/3"}, "url")])
def test_the_run_chooses_the_column(tmp_path: Path, kind: str, run: set[str], column: str) -> None:
    source = with_run_ids(written(tmp_path, kind, ROWS), tmp_path, run)
    assert source.columns == {"url": column}


@pytest.mark.parametrize("run", [set(), {"elsewhere"}])
def test_a_run_of_other_documents_chooses_nothing(tmp_path: Path, run: set[str]) -> None:
    assert with_run_ids(written(tmp_path, "jsonl", ROWS), tmp_path, run).columns == {}


def test_a_mapped_column_and_an_only_one_stay(tmp_path: Path) -> None:
    mapped = written(tmp_path, "jsonl", ROWS).model_copy(update={"columns": {"url": "url"}})
    assert with_run_ids(mapped, tmp_path, {"D1"}) == mapped
    alone = written(tmp_path, "tsv", [{"id": "D1", "text": "b"}])
    assert with_run_ids(alone, tmp_path, {"D1"}) == alone
    assert with_run_ids(SourceSpec(file="none.jsonl"), tmp_path, {"D1"}).columns == {}
    assert with_run_ids(SourceSpec(file="pages.warc"), tmp_path, {"D1"}).columns == {}


def test_numbers_are_ids_and_a_column_of_the_same_ids_is_no_second_one(tmp_path: Path) -> None:
    rows = [{"pid": n, "docid": n // 2, "id": n, "text": "b"} for n in range(10, 20)]
    assert with_run_ids(written(tmp_path, "parquet", rows), tmp_path, {"19"}).columns == {"url": "pid"}


def test_two_columns_with_ids_of_the_run_are_refused(tmp_path: Path) -> None:
    rows = [{"pid": n, "docid": n // 2, "text": "b"} for n in range(10)]
    with pytest.raises(TmkdError, match=r"a\.jsonl: columns pid and docid both hold ids of the run; name"):
        with_run_ids(written(tmp_path, "jsonl", rows), tmp_path, {"3", "4"})
