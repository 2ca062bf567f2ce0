"""What a recipe is built of: names and numbers within bounds, files of rows, pretrained models."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

# A name becomes a folder's: nothing that a file system or a dotted path could take otherwise.
NAME = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Device = Literal["auto", "cpu", "cuda"]


class Part(BaseModel):
    """A piece of a recipe: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(Part):
    """One file of rows, and how to read it.

    `columns` maps our column names to the file's; `threshold` turns a score column given as label into a weak binary
    label (1 when the score is above it); `source` is the word kept with each row (default: the file's name).
    """

    file: str
    columns: dict[Literal["question", "passage", "label", "group"], str] = {}
    threshold: float | None = None
    source: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        """Let `file.tsv` stand for `{file: file.tsv}`."""
        return {"file": value} if isinstance(value, str) else value


def _as_sources(value: Any) -> Any:
    """Let one source stand for a list of one."""
    return value if value is None or isinstance(value, list | tuple) else [value]


Sources = Annotated[tuple[Source, ...], BeforeValidator(_as_sources)]


class Pretrained(Part):
    """Where a pretrained model comes from: a folder, a hub id, or an installed package's data folder."""

    folder: str | None = None
    hub: str | None = None
    revision: str | None = None
    package: str | None = None
    sha256: Digest | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if sum(origin is not None for origin in (self.folder, self.hub, self.package)) != 1:
            raise ValueError("give exactly one of folder, hub, package")
        return self
