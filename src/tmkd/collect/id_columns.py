"""The id column of a table that a TREC run names: MS MARCO's documents have docid and url, its v2 passages also pid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from pathlib import Path

from tmkd.collect.document_tables import cell_text, known_columns, table_rows
from tmkd.errors import TmkdError
from tmkd.recipe.parts import SourceSpec

_TABLES = (".jsonl", ".csv", ".tsv", ".parquet")
_ROWS = 10_000  # rows that are looked at, and more until one is in the run


def with_run_ids(source: SourceSpec, base: Path, run_ids: Set[str]) -> SourceSpec:
    """Map `url` to the id column whose values the run names; unchanged for other files and where none does.

    Only a table with several id columns is read, and none that the recipe maps.
    Raises: TmkdError when two columns with different values hold ids of the run.
    """
    path = base / Path(source.file).expanduser()
    kind = Path(path.name.lower().removesuffix(".gz")).suffix
    if not run_ids or not path.is_file() or "url" in source.columns or kind not in _TABLES:
        return source
    hits: Counter[str] = Counter()
    several = False
    for number, row in table_rows(path, source, Counter()):
        columns = known_columns(tuple(row), source, "url")
        several = several or len(columns) > 1
        if number > _ROWS and (hits or not several):
            break
        earlier: set[str] = set()
        for column in columns:
            value = (cell_text(row[column]) or "").strip()
            hits[column] += value in run_ids and value not in earlier
            earlier.add(value)
    named = [column for column, number in hits.items() if number]
    if len(named) > 1:
        raise TmkdError(
            f"{path}: columns {' and '.join(named)} both hold ids of the run; name the right one: columns: {{url: …}}"
        )
    return source.model_copy(update={"columns": {**source.columns, "url": named[0]}}) if named and several else source
