"""`tmkd check`: read every file a recipe names, verify what is done, and estimate the work left before it starts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tmkd.errors import TmkdError
from tmkd.flow.plan import steps
from tmkd.flow.run_folder import RunFolder
from tmkd.flow.step import Step
from tmkd.machine import cores
from tmkd.progress import clock
from tmkd.recipe.parts import FitSpec
from tmkd.store import verify

# Pairs/s of a 12-layer, 768-wide encoder on one modern core at 64 token ids; smaller models are scaled from it.
_TRAINED_PER_CORE = 1.1
_SCORED_PER_CORE = 5.0
_BYTES_PER_PAIR = 400
_READ_PER_SECOND = 2e6  # bytes of questions and documents taken in
_BASE_WORK = 12 * 768 * 768


@dataclass(frozen=True)
class Estimate:
    """What a step that is not done will take: pairs it works on, seconds, bytes on disk (all rough)."""

    step: str
    pairs: int
    seconds: float
    bytes: int


def check_run(run: RunFolder, console: Console, as_json: bool) -> None:
    """Print an estimate of each step that is not done; every named file is read, every finished artifact verified.

    Raises: TmkdError for the first thing that is wrong.
    """
    sizes = _sizes(run)
    _check_student(run)
    left: list[Estimate] = []
    for step in steps(run):
        if step.state().kind == "done":
            verify(step.folder)
        else:
            left.append(_estimate(run, step, sizes))
    if as_json:
        print(json.dumps([vars(estimate) for estimate in left], indent=1))
        return
    table = Table("step", "pairs", "about", "disk")
    for one in left:
        table.add_row(one.step, f"{one.pairs:,}" if one.pairs else "", clock(one.seconds), f"{one.bytes / 1e6:.1f} MB")
    if left:
        console.print(table)
    total, disk = sum(one.seconds for one in left), sum(one.bytes for one in left)
    state = f"{len(left)} steps left, very roughly {clock(total)} and {disk / 1e6:.0f} MB" if left else "all is done"
    console.print(f"the recipe and its files are in order; {state}", highlight=False)


def _check_student(run: RunFolder) -> None:
    """Every student's layers, neurons and length against its encoder's. Raises: TmkdError when it has fewer."""
    for student in (run.recipe.student, *map(run.recipe.student_of, run.recipe.rows)):
        config = json.loads((run.pretrained(student.base).path / "config.json").read_text())
        for key, wanted, told in (
            ("num_hidden_layers", student.layers, "layers"),
            ("intermediate_size", student.ffn, "ffn"),
            ("max_position_embeddings", student.max_length, "max_length"),
        ):
            has = config.get(key)
            if None not in (has, wanted) and wanted > has:
                raise TmkdError(f"student.{told} is {wanted}, but {student.base} has {has}; set it to {has} or fewer")


def _sizes(run: RunFolder) -> dict[str, int]:
    """Pairs per corpus, read from the files themselves; stage-1 corpora at most questions × top, or their limit."""
    from tmkd.collect.documents import check_documents
    from tmkd.collect.judgments import read_labelled
    from tmkd.data.sources import read_source
    from tmkd.search.trec_run import read_run
    from tmkd.teachers.imported import read_scores

    sizes: dict[str, int] = {}
    for name, task in run.recipe.tasks.items():
        labels = run.labels(name)
        for split, sources in (("train", task.train), ("dev", task.dev), *task.tests.items()):
            sizes[f"{name}/{split}"] = sum(read_labelled(source, run.base, labels)[0].num_rows for source in sources)
        sizes[f"{name}/dev"] = sizes[f"{name}/dev"] or sizes[f"{name}/train"] // 10
    for name, gather in run.recipe.collect.items():
        labels = run.labels(gather.task)
        given = sum(read_source(source, run.base, labels, label="none").num_rows for source in gather.pairs)
        asked = sum(read_source(source, run.base, labels, need=("question",)).num_rows for source in gather.questions)
        for source in gather.passages:
            read_source(source, run.base, labels, need=("passage",))
        for source in gather.documents:
            check_documents(source, run.base)
        if gather.run is not None:
            read_run(gather.run, run.base, gather.top)
        found = given + min(asked, gather.sample or asked) * min(gather.top, gather.keep or gather.top)
        sizes[name] = min(found, gather.limit) if gather.limit is not None else found
    for teacher in run.recipe.teachers.values():
        if teacher.file is not None:
            read_scores(teacher, run.labels(teacher.task), run.base)
    return sizes


def _estimate(run: RunFolder, step: Step, sizes: dict[str, int]) -> Estimate:
    kind, _, rest = step.name.partition("/")
    title = step.title
    if kind == "collect":
        pairs = sum(size for name, size in sizes.items() if name.partition("/")[0] == rest)
        return Estimate(title, pairs, 1 + pairs / 5000, pairs * _BYTES_PER_PAIR)
    if kind in ("index", "questions"):
        gather = run.recipe.collect[rest]
        sources = (*gather.documents, *gather.passages) if kind == "index" else gather.questions
        size = sum(
            path.stat().st_size for source in sources for path in _files(run.base / Path(source.file).expanduser())
        )
        return Estimate(title, 0, 1 + size / _READ_PER_SECOND, size)
    if kind == "teach":
        teacher = run.recipe.teachers[rest]
        if teacher.base is None:
            return Estimate(title, 0, 1, 0)
        pairs = sizes[f"{teacher.task}/train"]
        return Estimate(
            title, pairs, _training(run, teacher.base, None, pairs, teacher.fit), _weights(run, teacher.base)
        )
    if kind == "score":
        corpus, _, name = rest.rpartition("/")
        teacher = run.recipe.teachers[name]
        model = teacher.base or teacher.model
        seconds = sizes[corpus] / _SCORED_PER_CORE / cores() * _work(run, model, None) if model else 1
        return Estimate(title, sizes[corpus], seconds, sizes[corpus] * 8)
    base = run.recipe.student.base
    if kind == "distill" and step.settings:
        pairs = sizes[step.settings["corpus"]]
        fit = FitSpec.model_validate(step.settings["stage"]["fit"])
        layers = step.settings["student"]["layers"]
        return Estimate(title, pairs, _training(run, base, layers, pairs, fit), _weights(run, base))
    if kind == "start":
        return Estimate(title, 0, 1 + sizes[step.settings["corpus"]] / 5000, _weights(run, base))
    pairs = sum(size for name, size in sizes.items() if name.partition("/")[2] not in ("", "train", "dev"))
    return Estimate(title, pairs, pairs / _SCORED_PER_CORE / cores() * _work(run, base, None), pairs * 16)


def _files(path: Path) -> Iterator[Path]:
    return (one for one in path.rglob("*") if one.is_file()) if path.is_dir() else iter((path,))


def _training(run: RunFolder, base: str, layers: int | None, pairs: int, fit: FitSpec) -> float:
    return pairs * fit.epochs / _TRAINED_PER_CORE / cores() * _work(run, base, layers)


def _work(run: RunFolder, base: str, layers: int | None) -> float:
    """A model's arithmetic per token as a share of BERT-base's."""
    config = json.loads((run.pretrained(base).path / "config.json").read_text())
    depth = layers or config.get("num_hidden_layers") or config.get("n_layer") or 12
    width = config.get("hidden_size") or config.get("n_embd") or 768
    return float(depth * width * width / _BASE_WORK)


def _weights(run: RunFolder, base: str) -> int:
    """Bytes of a model's weights on disk."""
    return sum(path.stat().st_size for path in run.pretrained(base).path.glob("*.safetensors"))
