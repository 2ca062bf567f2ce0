"""Label set of a task: class names in the order of the logits, and the positive class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from tmkd.errors import TmkdError


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

    def to_json(self) -> dict[str, object]:
        """JSON value, as stored in `corpus.json` and in a student's configuration."""
        return {"task": self.task, "names": list(self.names), "positive": self.positive}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Inverse of `to_json`."""
        return cls(str(value["task"]), tuple(str(name) for name in value["names"]), str(value["positive"]))
