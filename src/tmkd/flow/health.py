"""Sanity report of a run: rows removed from its sets; each teacher's accuracy, spread and agreement (§3.1.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tmkd.data.softlabels import SoftLabels, dominance_warning, health
from tmkd.distill.rows import declared
from tmkd.flow.run_folder import RunFolder
from tmkd.metrics.learned import loss_sign
from tmkd.pooler import Use
from tmkd.recipe.fit import Keep
from tmkd.recipe.parts import FreshPooler
from tmkd.recipe.seeds import seeded
from tmkd.store import read_manifest, sealed


def notes(run: RunFolder) -> Iterator[str]:
    """Lines beside the results: removals by the leakage guard, poolers drawn anew, the teachers' health."""
    yield from found(run)
    yield from drawn_poolers(run)
    yield from health_lines(run)
    yield from stage_lines(run)


def drawn_poolers(run: RunFolder) -> Iterator[str]:
    """One line per base whose pooler was never trained and is drawn anew for that reason."""
    asked: list[tuple[str, FreshPooler, str, Use]] = [
        (name, one.spec.fresh_pooler, one.spec.base, "classifier")
        for name, one in run.teachers.items()
        if one.spec.base is not None
    ]
    students = [one for one in map(run.recipe.student_of, run.rows) if one.pool == "pooler"]
    asked += [
        ("the students", fresh, base, "encoder")
        for fresh, base in dict.fromkeys((one.fresh_pooler, one.base) for one in students)
    ]
    starting: dict[str, list[str]] = {}
    for name, fresh, base, use in asked:
        if fresh == "auto" and run.fresh_pooler(fresh, base, use):
            starting.setdefault(base, []).append(name)
    for base, names in starting.items():
        yield f"{base}: its pooler was never trained; a fresh one is drawn for {', '.join(names)} (fresh_pooler: auto)"


def with_loss_sign(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts of a training, with a warning where its loss hardly fell."""
    sign = loss_sign(facts.get("losses", ()))
    return facts | ({} if sign is None else {"warnings": [sign]})


def found(run: RunFolder) -> Iterator[str]:
    """One line per task and stage-1 corpus: counts of its collection, removals and the judges' agreement."""
    for name in (*run.recipe.tasks, *run.recipe.collect):
        searched = name in run.recipe.collect and run.recipe.collect[name].questions
        before = (run.index_folder(name), run.questions_folder(name)) if searched else ()
        counts = [words for folder in (*before, run.corpus_artifact(name)) for words in _counts(sealed(folder).facts)]
        if counts:
            yield f"{name}: {', '.join(counts)}"


def _counts(facts: Mapping[str, Any], of: str = "") -> Iterator[str]:
    """Facts other than 0, in words: `guard removed 3`."""
    for key, value in facts.items():
        words = f"{of}{key.replace('_', ' ')}"
        if isinstance(value, Mapping):
            yield from _counts(value, f"{words} ")
        elif value:
            yield words if value is True else f"{words} {value}"


def health_lines(run: RunFolder) -> Iterator[str]:
    """One line per teacher and corpus it scores: dev accuracy, logits, constants, agreement; then warnings."""
    yield from dict.fromkeys(line for part in run.replicates for line in _health_lines(part))


def _health_lines(run: RunFolder) -> Iterator[str]:
    """The same of one teachers' seed."""
    for corpus in [*(f"{task}/dev" for task in run.recipe.tasks), *run.recipe.collect]:
        names = [name for name in declared(run.recipe, corpus) if read_manifest(run.soft_folder(corpus, name))]
        if not names:
            continue
        pairs = run.corpus(corpus)
        soft = SoftLabels.load(pairs, [run.column(corpus, name) for name in names])
        # Imported scores may hold none of this corpus: there is nothing to report then.
        soft = soft.only([name for name in names if soft.only([name]).complete.any()])
        if not soft.teachers:
            continue
        labels = pairs.label_array()
        healths = health(labels if (labels >= 0).all() else None, soft)
        for one in healths:
            correct = "" if one.accuracy is None else f"accuracy {100 * one.accuracy:.1f}, "
            agreement = ", ".join(f"{other} {100 * share:.1f}" for other, share in one.agreement.items())
            yield (
                f"{corpus} × {one.teacher}: {correct}logits {one.mean:.2f} ± {one.spread:.2f}, "
                f"constant {100 * one.constant:.1f} %" + (f", agrees with {agreement} %" if agreement else "")
            )
        for name in names:
            for line in sealed(run.soft_folder(corpus, name)).facts.get("warnings", ()):
                yield f"warning: {corpus} × {name}: {line}"
        warning = dominance_warning(healths)
        if warning:
            yield f"warning: {corpus}: {warning}"


def stage_lines(run: RunFolder) -> Iterator[str]:
    """One line per stage that left pairs out or trained its headers on different ones: the pairs of each header.

    And one per stage with `keep_start`: the epoch that won on dev.
    """
    for part, row, task, seed in ((one, *placed) for one in run.replicates for placed in one.placed_rows()):
        for _, chain in part.row_students(row, task, seed):
            for depth, planned in enumerate(chain, 1):
                facts = sealed(part.student_folder(chain[:depth], seed)).facts
                where = f"{task} × {seeded(row, part.teachers_seed)} (seed {seed}), stage {depth}"
                pairs = facts.get("header_pairs", {})
                if pairs and (facts["left_out"] or len({*pairs.values()}) > 1):
                    each = ", ".join(f"{name.partition('/')[2]} {count}" for name, count in pairs.items())
                    yield f"{where}: pairs per header: {each}; {facts['left_out']} pairs left out"
                if planned.stage.keep_start:
                    yield f"{where}: {_won(facts, planned.stage.fit.keep)}"


def _won(facts: Mapping[str, Any], by: Keep) -> str:
    """The epoch that a stage with `keep_start` kept, in words."""
    if "dev_start" not in facts:
        return "the stage before has another task, so its student was no candidate"
    scores = facts["dev_start"], max(facts["dev"])
    start, trained = (f"{100 * one:.2f}" if by == "accuracy" else f"cross-entropy {-one:.4f}" for one in scores)
    return f"epoch {facts['best_epoch']} won: dev {start} before the stage, {trained} after its best epoch"
