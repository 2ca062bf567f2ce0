"""Source files of a recipe → pairs, with column names found or given; errors name file and row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from tmkd.data.columns import CellError, numbers, strings
from tmkd.data.hub import source_path
from tmkd.data.labels import LabelSet
from tmkd.data.layouts import read_layout
from tmkd.data.messages import short, unlabelled_remedy
from tmkd.data.pairs import GRADE, pair_table, question_group
from tmkd.data.tables import read_rows, rows_where
from tmkd.data.words import visible
from tmkd.errors import TmkdError
from tmkd.recipe.parts import SourceSpec

_SAMPLE_SEED = 1
Asked = Literal["optional", "required", "none"]

# Common names of a document's id; a page's address comes first, then the narrower of two ids.
ID_NAMES = ("url", "pid", "passage_id", "docid", "doc_id", "docno", "document_id", "corpus-id", "_id", "id")
# Common names of each column; the first one that a file has is used.
_NAMES = {
    "question": ("question", "query", "premise", "sentence1"),
    "passage": ("passage", "hypothesis", "sentence2", "sentence"),
    "label": ("label",),
    "group": ("group", "qid", "query_id", "query-id"),
    "count": ("count", "frequency", "freq"),
    "url": ID_NAMES,
    "judge": ("judge", "worker", "worker_id", "annotator"),
    "vote": ("vote", "label"),
}


def read_source(
    source: SourceSpec,
    base: Path,
    labels: LabelSet,
    *,
    need: tuple[str, ...] = ("question", "passage"),
    label: Asked = "optional",
) -> pa.Table:
    """Read a file of pairs, or of questions or passages alone (`need`), in the file's order.

    Pairs are a table of pairs.SCHEMA, with pairs.GRADE where labels are read and the recipe names a column of grades.
    Single texts have columns `need` and source; passages also url (or null),
    questions also group and count (float64, frequency; 1 without such a column), and may be empty. Labels are
    read by `LabelSet.read`. With a threshold the label column is a score, and the positive of the two classes is a
    score above it. Texts are stripped, without invisible characters. Raises: TmkdError naming file and row.
    """
    file = _File(source, base, need)
    texts = {name: file.texts(name, need) for name in need}
    word = source.source or Path(source.file).name
    if len(need) == 2:
        found = file.labels(labels, label)
        table = pair_table(texts["question"], texts["passage"], found, word, file.optional("group"))
        graded = "grade" in source.columns and label != "none"
        return table.append_column(GRADE, pa.array(file.grades(), GRADE.type)) if graded else table
    (name,) = need
    columns: dict[str, Sequence[str | None]] = {name: texts[name], "source": [word] * len(texts[name])}
    if name == "question":
        # Of pairs it would be a number of the row, so that each would be a question of its own.
        groups = zip(file.optional("group", ("_id",)), texts[name], strict=True)
        columns["group"] = [group or question_group(question) for group, question in groups]
    else:
        columns["url"] = file.optional("url")
    table = pa.table({key: pa.array(values, pa.string()) for key, values in columns.items()})
    return table.append_column("count", pa.array(file.counts())) if name == "question" else table


def read_weak_scores(source: SourceSpec, base: Path) -> np.ndarray:
    """Read the scores that a threshold turns into weak labels, float64 (rows,); NaN for missing ones.

    Raises: TmkdError naming file and row.
    """
    file = _File(source, base, ("question", "passage"))
    column = file.label_column("label", required=True)
    assert column is not None
    return file.numbers(column)


def read_columns(source: SourceSpec, base: Path, numbers: Sequence[str]) -> pa.Table:
    """Read pairs with numeric columns: question, passage (string), and float64 for each of `numbers`.

    A missing number is NaN. Raises: TmkdError naming file and row.
    """
    need = ("question", "passage")
    file = _File(source, base, need)
    texts = {name: pa.array(file.texts(name, need), pa.string()) for name in need}
    return pa.table({**texts, **{name: file.numbers(name) for name in numbers}})


def read_votes(source: SourceSpec, base: Path, labels: LabelSet) -> pa.Table:
    """Read a file with a vote a row: pairs.SCHEMA with the vote as label, and judge (string).

    Raises: TmkdError naming file and row.
    """
    need = ("question", "passage")
    file = _File(source, base, need)
    judges, questions, passages = (file.texts(name, need) for name in ("judge", *need))
    word = source.source or Path(source.file).name
    table = pair_table(questions, passages, file.labels(labels, "required", "vote"), word, file.optional("group"))
    return table.append_column("judge", pa.array(judges, pa.string()))


class _File:
    """A source file: its rows, and our columns found in them."""

    def __init__(self, source: SourceSpec, base: Path, need: tuple[str, ...]) -> None:
        self.source = source
        self.path = source_path(source, base)
        if source.layout == "rows":
            self.rows = read_rows(self.path, need[0] if len(need) == 1 else None, source.header)
        else:
            self.rows, _ = read_layout(source, base, scores=source.threshold is not None)
        self.places = rows_where(self.path, self.rows, source.where)
        if source.sample is not None:  # the first of one order: a smaller sample is a part of a larger one
            drawn = np.random.default_rng(_SAMPLE_SEED).permutation(len(self.places))[: source.sample]
            self.places = self.places[np.sort(drawn)]
        self.rows = self.rows.take(pa.array(self.places)) if source.where or source.sample else self.rows

    def error(self, row: int, problem: str) -> TmkdError:
        """Build an error about a row, numbered from 0 here and from 1 in the message."""
        return TmkdError(f"{self.path}: row {self.places[row] + 1}: {problem}")

    def column(self, name: str, others: tuple[str, ...] = ()) -> str | None:
        """Name of one of our columns in the file, or None; a name given by the recipe must exist."""
        given = self.source.columns.get(name)  # type: ignore[call-overload]
        if given is not None and given not in self.rows.column_names:
            raise self.missing(f"column '{given}'", f"; name one of these in the recipe: columns: {{{name}: …}}")
        known = (given,) if given is not None else (*_NAMES[name], *others)
        return next((found for found in known if found in self.rows.column_names), None)

    def missing(self, what: str, remedy: str = "") -> TmkdError:
        return TmkdError(f"{self.path}: no {what}; it has {', '.join(self.rows.column_names)}{remedy}")

    def texts(self, name: str, need: tuple[str, ...]) -> list[str]:
        """Read a column of texts, stripped, without invisible characters and non-empty."""
        others = ("text",) if len(need) == 1 else ()
        column = self.column(name, others)
        if column is None:
            known = ", ".join((*_NAMES[name], *others))
            raise self.missing(f"{name} column ({known})", f"; name it in the recipe: columns: {{{name}: …}}")
        texts = [visible(text or "").strip() for text in self.strings(column).to_pylist()]
        if "" in texts and need != ("question",):
            raise self.error(texts.index(""), f"empty {name} (column {column})")
        return texts

    def strings(self, column: str) -> pa.ChunkedArray:
        """Read a column of any type as valid UTF-8 strings."""
        try:
            return strings(self.rows[column], column)
        except CellError as error:
            raise self.error(error.row, str(error)) from None

    def optional(self, name: str, others: tuple[str, ...] = ()) -> list[str | None]:
        """Read an optional column; None for missing values."""
        column = self.column(name, others)
        return [None] * self.rows.num_rows if column is None else list(self.strings(column).to_pylist())

    def counts(self) -> np.ndarray:
        """Frequency of each question, float64 (rows,); 1 without such a column."""
        column = self.column("count")
        return np.ones(self.rows.num_rows) if column is None else self._amounts(column, "frequency")

    def grades(self) -> np.ndarray:
        """Relevance grade of each pair, float64 (rows,)."""
        return self._amounts(self.source.columns["grade"], "grade")

    def _amounts(self, column: str, what: str) -> np.ndarray:
        """Read a column of finite numbers of at least 0, float64 (rows,)."""
        amounts = self.numbers(column)
        wrong = np.flatnonzero(~(amounts >= 0) | np.isinf(amounts))
        if len(wrong):
            raise self.error(int(wrong[0]), f"column {column} has {amounts[wrong[0]]}, not a {what}")
        return amounts

    def numbers(self, column: str) -> np.ndarray:
        """Read a column of numbers, float64 (rows,); NaN for missing values."""
        if column not in self.rows.column_names:
            raise self.missing(f"column '{column}'")
        try:
            return numbers(self.rows[column], column)
        except CellError as error:
            raise self.error(error.row, str(error)) from None

    def labels(self, labels: LabelSet, asked: Asked, name: str = "label") -> list[int | None] | None:
        """Read class indices from the label (or vote) column; None for unlabelled rows."""
        if asked == "none":
            return None
        column = self.label_column(name, required=asked == "required")
        if column is None:
            return None
        weak = self.source.threshold is not None
        found = self._thresholded(column, labels) if weak else self._class_indices(column, labels, name)
        if asked == "required" and None in found:
            words = zip(self.strings(column).to_pylist(), found, strict=True)
            remedy = unlabelled_remedy(column, [word for word, index in words if index is not None])
            where = f"no {name} (column {column}); this file needs one in every row"
            raise self.error(found.index(None), f"{where}; {remedy}")
        return found

    def _values(self, column: str) -> str:
        """The most frequent values of a column, for a message."""
        counted = Counter(word for word in self.strings(column).to_pylist() if word is not None)
        return ", ".join(short(word, 20) for word, _ in counted.most_common(4)) + (", …" if len(counted) > 4 else "")

    def label_column(self, name: str, *, required: bool) -> str | None:
        """Name of the label (or vote) column; with a threshold, that of the scores."""
        column = self.column(name, ("score",) if self.source.threshold is not None else ())
        if column is None and required:
            remedy = f"; name it in the recipe: columns: {{{name}: …}}"
            public = "" if name != "label" else "; GLUE's test sets have none that is public: there, give the dev set"
            raise self.missing(f"{name} column", remedy + public)
        return column

    def _class_indices(self, column: str, labels: LabelSet, name: str) -> list[int | None]:
        known: dict[str | None, int | None] = {}
        found: list[int | None] = []
        for row, word in enumerate(self.strings(column).to_pylist()):
            if word not in known:
                try:
                    known[word] = labels.read(word)
                except ValueError:
                    choice = f"{', '.join(labels.names)} or 0 to {len(labels.names) - 1}"
                    raise self.error(
                        row,
                        f"{name} '{short(word)}' is none of task {labels.task}'s: {choice}; empty for no label. Column "
                        f"{column} has {self._values(column)}: give the task these labels, or name another column",
                    ) from None
            found.append(known[word])
        whole = {(word or "").strip().lstrip("+").partition(".")[0] for word in known}
        if len(labels.names) == 2 and whole == {"-1", "1"} and set(known.values()) == {None, 1}:
            raise self.error(
                found.index(None),
                f"{name}s are -1 and 1, and -1 means no label: write 0 for {labels.names[0]}, or empty for no label",
            )
        return found

    def _thresholded(self, column: str, labels: LabelSet) -> list[int | None]:
        if len(labels.names) != 2:
            raise TmkdError(f"{self.path}: a threshold needs two classes; task {labels.task} has {len(labels.names)}")
        scores = self.numbers(column)
        assert isinstance(self.source.threshold, float)  # a prior is resolved before
        above = np.where(scores > self.source.threshold, labels.positive_index, 1 - labels.positive_index).tolist()
        return [None if np.isnan(score) else index for score, index in zip(scores, above, strict=True)]
