"""Teacher-score files of Hofstätter et al. (TSV: pos_score neg_score qid pos_pid neg_pid) → scored pairs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from tmkd.data.messages import short
from tmkd.data.utf8 import without_mark
from tmkd.errors import TmkdError
from tmkd.recipe.parts import TextsSpec

MARGINS = "has only margins (positive score minus negative score); raw scores of both are needed"
_CHUNK = 1 << 16  # pairs per chunk of the table
_MAX_LINE_BYTES = 32_000_000
_COLUMNS = ("pos_score", "neg_score", "qid", "pos_pid", "neg_pid")


def read_hofstaetter(path: Path, base: Path, texts: TextsSpec, scores: bool, gaps: bool) -> tuple[pa.Table, int]:
    """Read two pairs per line into the table of `tmkd.data.layouts.read_layout`; without `scores` each pair once.

    Raises: TmkdError naming file and row.
    """
    # These files have 40 million lines. A line takes about 200 bytes while it is read and 40 afterwards (measured):
    # texts are stored once, in dictionaries.
    kinds = [pa.float64() if scores else pa.string()] * 2 + [pa.string()] * 3
    table = _tsv(path, dict(zip(_COLUMNS, kinds, strict=True)))
    questions, passages = (_TextsById(base / Path(name).expanduser()) for name in (texts.questions, texts.passages))
    columns = {"qid": questions, "pos_pid": passages, "neg_pid": passages}
    places = {name: known.places(table[name]) for name, known in columns.items()}
    unknown = [(int((found < 0).argmax()), name) for name, found in places.items() if (found < 0).any()]
    if unknown and not gaps:
        at, name = min(unknown)
        raise TmkdError(
            f"{path}: row {at + 1}: {name} '{table[name][at]}' is not in {columns[name].path}, or has no text there; "
            "add it, or for a teacher set missing: drop"
        )
    question = np.repeat(places["qid"], 2)
    passage = np.column_stack([places["pos_pid"], places["neg_pid"]]).ravel()
    row = np.repeat(np.arange(1, table.num_rows + 1, dtype=np.int32), 2)
    kept = (question >= 0) & (passage >= 0)
    if scores:
        score = np.column_stack([table[name].to_numpy() for name in _COLUMNS[:2]]).ravel()
        finite = np.isfinite(score)
        if not finite.all() and not gaps:
            place = int((~finite).argmax())
            raise TmkdError(f"{path}: row {row[place]}: {score[place]} is no score; correct it or set missing: drop")
        kept &= finite
    else:
        score = np.full(len(row), np.nan)
        kept = np.sort(np.unique(question * np.int64(len(passages)) + passage, return_index=True)[1])
    left_out = int((~kept).sum()) if scores else 0
    pairs = {
        "question": questions.column(question[kept]),
        "passage": passages.column(passage[kept]),
        "score": pa.array(score[kept]),
        "row": pa.array(row[kept]),
    }
    made = pa.table(pairs)
    return pa.Table.from_batches(made.to_batches(_CHUNK), made.schema), left_out


class _TextsById:
    """Texts of a file of `id<tab>text` lines, by id."""

    def __init__(self, path: Path) -> None:
        self.path = path
        table = _tsv(path, {"id": pa.string(), "text": pa.string()})
        table = table.set_column(1, "text", pc.utf8_trim_whitespace(table["text"]))
        table = table.filter(pc.not_equal(table["text"], ""))
        counts = table["id"].value_counts()
        twice = pc.index(pc.greater(counts.field("counts"), 1), True).as_py()
        if twice >= 0:
            raise TmkdError(f"{path}: the id '{counts[twice]['values']}' occurs twice; keep one")
        self.ids, self.texts = table["id"], table["text"]

    def __len__(self) -> int:
        return len(self.ids)

    def places(self, ids: pa.ChunkedArray) -> np.ndarray:
        """Row of each id, int32, -1 for an unknown one."""
        found = pc.fill_null(pc.index_in(ids, value_set=self.ids), -1)
        return np.asarray(found.to_numpy(), dtype=np.int32)

    def column(self, places: np.ndarray) -> pa.DictionaryArray:
        """Dictionary-encode the texts of these rows; unused texts are dropped."""
        used = np.zeros(len(self), dtype=bool)
        used[places] = True
        numbers = np.cumsum(used, dtype=np.int32) - 1
        texts = self.texts.cast(pa.large_string()).take(pa.array(np.flatnonzero(used))).combine_chunks()
        return pa.DictionaryArray.from_arrays(pa.array(numbers[places]), texts)


def _tsv(path: Path, columns: dict[str, pa.DataType]) -> pa.Table:
    """Read a tab-separated file without header and quoting. Raises: TmkdError naming file and row."""
    if not path.is_file():
        raise TmkdError(f"{path}: no such file")
    with path.open("rb") as file:
        first = without_mark(file.readline(_MAX_LINE_BYTES), str(path))  # Arrow skips the mark as well
    if not first:
        raise TmkdError(f"{path}: empty, it has no rows")
    if len(columns) == len(_COLUMNS) and first.count(b"\t") == 3:  # GPL's: qid, pos, neg, margin
        raise TmkdError(f"{path}: {MARGINS}")
    try:
        # Arrow's errors name the row only with one thread.
        table = pcsv.read_csv(
            path,
            read_options=pcsv.ReadOptions(column_names=list(columns), use_threads=False, block_size=_MAX_LINE_BYTES),
            parse_options=pcsv.ParseOptions(delimiter="\t", quote_char=False),
            convert_options=pcsv.ConvertOptions(column_types=columns, null_values=[]),
        )
    except pa.ArrowInvalid as error:
        raise TmkdError(f"{path}: {_row_error(str(error), columns)}") from None
    if not table.num_rows:
        raise TmkdError(f"{path}: empty, it has no rows")
    return table


def _row_error(problem: str, columns: Iterable[str]) -> str:
    """Rephrase Arrow's error about a row."""
    row = re.search(r"Row #(\d+)", problem)
    fields = re.search(r"Expected (\d+) columns, got (\d+)", problem)
    value = re.search(r"invalid value '(.*)'", problem)
    if row and fields:
        return f"row {row[1]} has {fields[2]} fields, not {fields[1]} ({', '.join(columns)})"
    if row and value:
        return f"row {row[1]}: '{short(value[1])}' is not a number"
    if row and "UTF8" in problem:
        return f"row {row[1]} is not UTF-8; save the file as UTF-8"
    if "straddling" in problem:
        return f"a line has more than {_MAX_LINE_BYTES:,} bytes"
    return short(problem, 100)
