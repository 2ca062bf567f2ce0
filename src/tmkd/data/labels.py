"""Classes of a task: their names in the order of the logits, and the positive one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from tmkd.errors import TmkdError


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The classes of a task in the order of their logits, and the one whose probability ranks passages.

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
        """The positive class's place among the logits."""
        return self.names.index(self.positive)

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `corpus.json` and a student's configuration keep them."""
        return {"task": self.task, "names": list(self.names), "positive": self.positive}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(str(value["task"]), tuple(str(name) for name in value["names"]), str(value["positive"]))
