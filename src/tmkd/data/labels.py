"""Label set of a task: class names in the order of the logits, and the positive class."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Self

from tmkd.errors import TmkdError

# Marks for a value that is not there: of pandas, polars, numpy, R, SQL dumps, Python, JSON and SNLI; in any case.
_MISSING = frozenset(
    ("", "-", "nan", "-nan", "nat", "null", "none", "na", "n/a", "<na>", "#na", "#n/a", "#n/a n/a", "\\n")
)
_WHOLE = re.compile(r"[+-]?\d{1,9}(\.0*)?")  # pandas writes integer columns with missing values as floats


def is_missing(word: str) -> bool:
    """True for a text that stands for no value: empty, NaN, null, None, NA, - and the like."""
    return word.strip().casefold() in _MISSING


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Classes of a task in the order of their logits; passages are ranked by the probability of `positive`.

    Raises: TmkdError when `positive` is not one of the names, or a name occurs twice.
    """

    task: str
    names: tuple[str, ...]
    positive: str

    def __post_init__(self) -> None:
        if self.positive not in self.names or len(set(self.names)) != len(self.names):
            raise TmkdError(
                f"task {self.task}: positive '{self.positive}' must be one of {', '.join(self.names)}, each named once"
            )

    @property
    def positive_index(self) -> int:
        """Index of the positive class among the logits."""
        return self.names.index(self.positive)

    def read(self, word: str | None) -> int | None:
        """Class index of a label in a file: a class name, or its index (2 or 2.0); None for "no label".

        No label is -1 (as in Hugging Face's data sets), None, or a mark for a missing value. A class name wins over
        both. Raises: ValueError for any other word.
        """
        if word is None:
            return None
        word = word.strip()
        if word in self.names:
            return self.names.index(word)
        if is_missing(word):
            return None
        index = int(float(word)) if _WHOLE.fullmatch(word) else len(self.names)
        if not -1 <= index < len(self.names):
            raise ValueError(word)
        return None if index == -1 else index

    def to_json(self) -> dict[str, object]:
        """JSON value, as stored in `corpus.json` and in a student's configuration."""
        return {"task": self.task, "names": list(self.names), "positive": self.positive}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Inverse of `to_json`."""
        return cls(str(value["task"]), tuple(str(name) for name in value["names"]), str(value["positive"]))
