"""What a recipe is built of: names and numbers within bounds, files of rows, pretrained models."""

from __future__ import annotations

from collections.abc import Container
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

# A name becomes a folder's: nothing that a file system or a dotted path could take otherwise.
NAME = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Device = Literal["auto", "cpu", "cuda"]


# What a file's columns are to us: of pairs, of documents, of a query log, of judges' votes.
ColumnName = Literal["question", "passage", "label", "group", "url", "title", "text", "count", "judge", "vote"]

# How scored pairs are written: ours, a pair a row; or as another tool has them, several pairs a row (data/layouts.py).
SourceLayout = Literal["rows", "hofstaetter", "triples", "flagembedding", "tevatron"]


class Spec(BaseModel):
    """A piece of a recipe: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class VotesSpec(Spec):
    """How judges' votes become golden labels (§4.1): positive with more than two thirds of a pair's votes.

    `at_least` takes a number of positive votes instead; pairs with fewer votes than `fewest` are left out.
    """

    at_least: int | None = Field(None, ge=1)
    fewest: int = Field(3, ge=1)

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if self.at_least is not None and self.at_least > self.fewest:
            raise ValueError(
                f"at_least is {self.at_least}, which {self.fewest} votes never reach; set fewest: {self.at_least}"
            )
        return self


def _as_words(value: Any) -> Any:
    """Let one value stand for a list of one, and numbers for the digits a file has."""
    values = value if isinstance(value, list | tuple) else [value]
    return [str(one) if isinstance(one, int) and not isinstance(one, bool) else one for one in values]


Words = Annotated[tuple[str, ...], BeforeValidator(_as_words)]


class TextsSpec(Spec):
    """The files that turn ids into texts: `id<tab>text` a line, without a header."""

    questions: str
    passages: str


class SourceSpec(Spec):
    """One file of rows, and how to read it.

    `columns` maps our column names to the file's; `header` names the columns of a CSV or TSV file that has no header
    line; `threshold` turns a score column given as label into a weak binary label (1 when the score is above it);
    `source` is the word kept with each row (default: the file's name). `where` takes only rows with one of these values
    in each of these columns. `votes` says that a row is one judge's vote.
    `layout` is another tool's way to write scored pairs, where a row may hold several; `texts` resolves its ids.
    """

    file: str
    columns: dict[ColumnName, str] = {}
    header: tuple[str, ...] = ()
    threshold: float | None = None
    source: str | None = None
    votes: VotesSpec | None = None
    # Left out of settings while they are the default: what was made before they were there stays as it is.
    where: dict[str, Words] = Field({}, exclude_if=lambda where: not where)
    layout: SourceLayout = Field("rows", exclude_if=lambda layout: layout == "rows")
    texts: TextsSpec | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is read."""
        return (self.file, *((self.texts.questions, self.texts.passages) if self.texts is not None else ()))

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if (self.layout == "hofstaetter") != (self.texts is not None):
            raise ValueError("layout hofstaetter and texts (its questions and passages) go together; give both or none")
        if self.layout != "rows" and (self.columns or self.where or self.votes is not None):
            raise ValueError(f"layout {self.layout} has its own columns; take columns, where and votes out")
        if self.layout == "hofstaetter" and self.header:
            raise ValueError("layout hofstaetter has its own columns; take header out")
        if self.votes is not None and self.threshold is not None:
            raise ValueError("votes are no scores; take threshold out")
        return self

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        """Let `file.tsv` stand for `{file: file.tsv}`."""
        return {"file": value} if isinstance(value, str) else value


def _as_sources(value: Any) -> Any:
    """Let one source stand for a list of one."""
    return value if value is None or isinstance(value, list | tuple) else [value]


Sources = Annotated[tuple[SourceSpec, ...], BeforeValidator(_as_sources)]


class PretrainedSpec(Spec):
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


class FitSpec(Spec):
    """How one model is trained (§4.4): `learning_rate` peaks after `warmup` (a share of all steps), then falls to 0.

    `batch` is pairs per optimiser step; `token_budget` only cuts a step into micro-batches of at most that many token
    ids, padding included; `dropout` replaces the encoder's own; `checkpoint_steps` is the restart interval.
    """

    learning_rate: float = Field(1e-4, gt=0, lt=1)
    batch: int = Field(32, ge=1)
    epochs: int = Field(3, ge=1)
    warmup: Probability = 0.1
    weight_decay: float = Field(0.01, ge=0)
    clip: float = Field(1.0, gt=0)
    dropout: Probability | None = None
    token_budget: int = Field(2048, ge=1)
    checkpoint_steps: int = Field(100, ge=1)
    tensorboard: bool = False


class StudentSpec(Spec):
    """The student's body: the bottom `layers` of a pretrained encoder; headers read its `pool` vector (§3.2).

    `ffn` leaves only so many neurons in each feed-forward, those that matter most on the pairs of the first stage;
    `vocabulary` only so many word pieces, the most frequent ones of those pairs. The stages then train what is left.
    """

    base: str
    layers: int = Field(3, ge=1)
    ffn: int | None = Field(None, ge=1, exclude_if=lambda ffn: ffn is None)
    vocabulary: int | None = Field(None, ge=1, exclude_if=lambda vocabulary: vocabulary is None)
    pool: Literal["pooler", "first"] = "pooler"
    fresh_pooler: bool = False
    max_length: int = Field(128, ge=8)

    @property
    def narrowed(self) -> bool:
        """Whether something besides layers is left out of the pretrained encoder."""
        return self.ffn is not None or self.vocabulary is not None


class SmallerSpec(Spec):
    """What a row's student has less of than the recipe's; the price in accuracy is the row's to tell."""

    layers: int | None = Field(None, ge=1)
    ffn: int | None = Field(None, ge=1)
    vocabulary: int | None = Field(None, ge=1)


class EvaluateSpec(Spec):
    """How rows are measured: `pairs` timed in batches of `batch`, `repeats` times; median pairs/s is told."""

    batch: int = Field(32, ge=1)
    pairs: int = Field(256, ge=1)
    repeats: int = Field(3, ge=1)


class ExportSpec(Spec):
    """What is exported to be served: the student of a `row`, with the first seed, of the first task it is trained on.

    Its int8 weights are rounded by the task's first training `pairs`. The graphs are compared with the student on the
    task's test sets and on the files of `checks`; an int8 graph that differs too much is left out, unless `force`
    ships it with its report. `compat` also writes a one-logit BERT, for other programs. The rows of `frontier` are
    compared in accuracy, pairs/s and latency, and the most accurate one is marked that ranks ten passages within
    `budget_ms` in 99 of 100 cases.
    """

    row: Name = "tmkd"
    pairs: int = Field(512, ge=1)
    checks: dict[Name, Sources] = {}
    force: bool = False
    compat: bool = False
    frontier: tuple[Name, ...] = ()
    budget_ms: float | None = Field(None, gt=0)

    @property
    def named(self) -> list[tuple[str, str]]:
        """The rows it names, each with the key that names it."""
        return [("export.row", self.row), *(("export.frontier", name) for name in self.frontier)]

    def of_rows(self, rows: Container[str]) -> Self | None:
        """The same for some of the rows: those of the frontier that are there, and nothing without its own row."""
        frontier = tuple(name for name in self.frontier if name in rows)
        return self.model_copy(update={"frontier": frontier}) if self.row in rows else None
