"""Steps of the students: pruned starts, and a step per training stage (§3.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tmkd.distill.rows import PlannedStage, chain_key, members, refuse_gaps, stage_settings
from tmkd.flow.best_teacher import NotYet, best_possible
from tmkd.flow.health import with_loss_sign
from tmkd.flow.run_folder import RunFolder
from tmkd.flow.step import Step, never_made
from tmkd.recipe.parts import StudentSpec
from tmkd.recipe.seeds import seeded
from tmkd.store import count_of, digest_json, read_manifest
from tmkd.train.estimate import Estimate, Sizes, training_seconds, weight_bytes

_TOKENISED_PER_SECOND = 10_000
_TOKEN_BYTES = 350  # of a pair of 64 token ids
_READ_PER_SECOND = 5000  # pairs that a pruned start counts the neurons and word pieces of


def distill_steps(run: RunFolder, row: str, task: str, seed: int) -> Iterator[Step]:
    """Steps of a row's students with one seed; rows that have their first stages in common have these steps, too.

    Raises: TmkdError for a row that needs scores which a teacher turned out not to have.
    """
    name = f"distill/{task}/{seeded(row, run.teachers_seed)}/{seed}"
    try:
        students = run.row_students(row, task, seed)
    except NotYet as unready:
        estimate = partial(_row_estimate, run, row, task)
        folder = run.folder / "students"
        yield Step(name, "distill", folder, {}, {}, never_made, waits=str(unready), estimate=estimate)
        return
    for place, (_, chain) in enumerate(students):
        for planned_stage in chain:
            _refuse_gaps(run, row, planned_stage)
        member = f"/{place + 1}" if len(students) > 1 else ""
        for depth in range(1, len(chain) + 1):
            stage = f"/stage {depth}" if len(chain) > 1 else ""
            first = chain[0]
            if first.student.narrowed:
                start = _prune(run, f"distill/{task}/{row}/start", first)
                yield from _with_tokens(run, start, first.corpus, _whole(first))
            trained = _stage(run, name + member + stage, chain[:depth], task, seed)
            yield from _with_tokens(run, trained, chain[depth - 1].corpus, first)


def _refuse_gaps(run: RunFolder, row: str, planned: PlannedStage) -> None:
    """Check the scores of a stage's teachers that are there."""
    pairs, missing = 0, {}
    for name in planned.teachers:
        folder = run.soft_folder(planned.corpus, name)
        manifest = read_manifest(folder)
        if manifest is not None:
            pairs = max(pairs, count_of(folder, manifest, "pairs"))
            missing[name] = count_of(folder, manifest, "missing")
    refuse_gaps(row, planned, missing, pairs)


def _start(run: RunFolder, first: PlannedStage) -> Path:
    """Folder of the encoder, with its tokenizer, that a chain with this first stage begins with."""
    return run.start_folder(first) if first.student.narrowed else run.pretrained(first.student.base).path


def _tokens_folder(run: RunFolder, corpus: str, first: PlannedStage) -> Path:
    """Folder of a corpus's token ids, by the tokenizer of the encoder that a chain begins with."""
    student = first.student
    tokenizer = run.start_folder(first).name if student.vocabulary is not None else student.base
    return run.folder / "tokens" / digest_json([corpus, tokenizer, student.max_length])[:16]


def _whole(first: PlannedStage) -> PlannedStage:
    """The same stage of a student whose encoder keeps all neurons and word pieces."""
    return replace(first, student=first.student.model_copy(update={"ffn": None, "vocabulary": None}))


def _prune(run: RunFolder, name: str, first: PlannedStage) -> Step:
    student, tokens = first.student, _tokens_folder(run, first.corpus, _whole(first))

    def make(folder: Path) -> dict[str, Any]:
        from tmkd.data.token_store import open_tokens
        from tmkd.network.prune import write_pruned

        used = open_tokens(tokens, run.corpus(first.corpus)).tokens
        return write_pruned(run.pretrained(student.base).path, student, used, folder)

    needs = {f"collect/{first.corpus}": run.corpus_artifact(first.corpus)}
    settings = {"corpus": first.corpus, "student": student.model_dump(mode="json")}
    outside = {f"pretrained {student.base}": run.pretrained(student.base).digest}
    folder = run.start_folder(first)
    return Step(
        f"start/{folder.name}",
        "distill",
        folder,
        needs,
        settings,
        make,
        outside,
        shown=name,
        reads=(tokens,),
        estimate=lambda sizes: Estimate(
            0, 1 + sizes[first.corpus] / _READ_PER_SECOND, weight_bytes(run.pretrained(student.base).path)
        ),
    )


def _with_tokens(run: RunFolder, reader: Step, corpus: str, first: PlannedStage) -> Iterator[Step]:
    """A step that reads a corpus's token ids, after the step that makes them.

    What it makes depends on them no more than on the corpus and the tokenizer, so it only reads them: a student that
    was made without them, or whose tokens are removed, asks for none.
    """
    folder, base = _tokens_folder(run, corpus, first), first.student.base

    def make(folder: Path) -> dict[str, Any]:
        from tmkd.data.text import PairTokenizer
        from tmkd.data.token_store import write_tokens
        from tmkd.progress import progress

        source = run.start_folder(first) if first.student.vocabulary is not None else run.pretrained(base).path
        tokenizer = PairTokenizer.load(source, first.student.max_length)
        with progress(f"tokens {corpus}", "pairs") as report:
            return dict(write_tokens(run.corpus(corpus), tokenizer, folder, report))

    needs = {f"collect/{corpus}": run.corpus_artifact(corpus)}
    if first.student.vocabulary is not None:
        needs["the narrowed start"] = run.start_folder(first)
    if reader.state().kind != "done" or read_manifest(folder) is not None:
        yield Step(
            f"tokens/{folder.name}",
            "distill",
            folder,
            needs,
            {"corpus": corpus, "max_length": first.student.max_length},
            make,
            {f"pretrained {base}": run.pretrained(base).digest},
            shown=f"tokens/{corpus}",
            estimate=lambda sizes: Estimate(
                sizes[corpus], 1 + sizes[corpus] / _TOKENISED_PER_SECOND, _TOKEN_BYTES * sizes[corpus]
            ),
        )
    yield reader


def _stage(run: RunFolder, name: str, chain: tuple[PlannedStage, ...], task: str, seed: int) -> Step:
    planned, student = chain[-1], chain[0].student
    before = run.student_folder(chain[:-1], seed) if len(chain) > 1 else None
    tokens = _tokens_folder(run, planned.corpus, chain[0])

    def make(folder: Path) -> dict[str, Any]:
        from tmkd.data.golden import weak_names
        from tmkd.distill.stage import StageData, StudentStart, run_stage

        columns = tuple(run.column(planned.corpus, teacher) for teacher in planned.teachers)
        dev = run.corpus(f"{task}/dev") if "/" in planned.corpus else None
        start = StudentStart(student, _start(run, chain[0]), before)
        weak = weak_names(run.recipe.tasks[task].train) if "/" in planned.corpus else ()
        data = StageData(run.corpus(planned.corpus), tokens, columns, dev, weak)
        steps = planned.steps(lambda corpus: len(run.corpus(corpus))) if planned.counted else None
        return with_loss_sign(run_stage(planned.stage, start, data, seed, run.hardware(), folder, name, steps))

    needs = {f"collect/{one.corpus}": run.corpus_artifact(one.corpus) for one in (planned, *planned.counted)}
    for teacher in planned.teachers:
        needs[f"score/{planned.corpus}/{teacher}"] = run.soft_folder(planned.corpus, teacher)
    if student.narrowed:
        needs["the narrowed start"] = run.start_folder(chain[0])
    if before is not None:
        needs["the stage before"] = before
    settings: dict[str, Any] = {
        "corpus": planned.corpus,
        "teachers": list(planned.teachers),
        "stage": stage_settings(planned.stage),
        "student": student.model_dump(mode="json"),
        "seed": seed,
        **run.demanded_precision(),
        **({"steps of": planned.counts} if planned.counted else {}),
    }
    # A row's name may change without its student: the step is named after the digest of its chain.
    known = "distill/" + chain_key(chain, seed)
    outside = {f"pretrained {student.base}": run.pretrained(student.base).digest}
    return Step(
        known,
        "distill",
        run.student_folder(chain, seed),
        needs,
        settings,
        make,
        outside,
        shown=name,
        reads=(tokens,),
        trains=True,
        estimate=lambda sizes: _stage_estimate(run, planned, student, sizes),
    )


def _stage_estimate(run: RunFolder, planned: PlannedStage, student: StudentSpec, sizes: Sizes) -> Estimate:
    base, batch, pairs = run.pretrained(student.base).path, planned.stage.fit.batch, sizes[planned.corpus]
    seconds = training_seconds(base, student.layers, planned.steps(sizes.__getitem__) * batch)
    return Estimate(pairs, seconds, weight_bytes(base))


def _row_estimate(run: RunFolder, row: str, task: str, sizes: Sizes) -> Estimate:
    """Estimate of a row whose teachers are not known yet: all its stages."""
    chains = members(run.recipe, row, run.recipe.rows[row], task, partial(best_possible, run.recipe))
    each = [_stage_estimate(run, planned, planned.student, sizes) for chain in chains for planned in chain]
    return Estimate(*(sum(getattr(one, name) for one in each) for name in ("pairs", "seconds", "bytes")))
