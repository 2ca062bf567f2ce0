"""Training pairs of a stage with their targets: chosen shard by shard, written as scratch and mapped from disk."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tmkd.data.golden import is_weak
from tmkd.data.pairs import Corpus, require_golden
from tmkd.data.softlabels import SoftLabels, TeacherColumn
from tmkd.data.token_store import AppendedFiles, MappedTokens, TokenStore, map_array
from tmkd.distill.choice import Mask, Probabilities, choose
from tmkd.errors import TmkdError
from tmkd.metrics.quality import softmax
from tmkd.network.headers import Header
from tmkd.recipe.rows import StageSpec
from tmkd.train.batches import Examples

_FIELDS = {"starts": np.int64, "lengths": np.int32, "labels": np.int8, "soft": np.float32}
_TAKE_OUT = "take its teacher out, or for gold set alpha: 1"


@dataclass(frozen=True, eq=False)
class StageTargets:
    """Examples of a stage, its headers, the number of pairs that train each, and of those left out."""

    examples: Examples
    headers: tuple[Header, ...]
    header_pairs: dict[str, int]
    left_out: int


def write_targets(
    stage: StageSpec,
    corpus: Corpus,
    columns: tuple[TeacherColumn, ...],
    store: TokenStore,
    folder: Path,
    title: str,
    weak: Collection[str] = (),
) -> dict[str, int]:
    """Choose the pairs that a stage trains on, and write the place of their tokens and their targets to `folder`.

    Returns the number of pairs that train each header. Of the corpus never more than a shard is in memory. `weak` are
    the names of the sources whose labels are weak.
    Raises: TmkdError for a pair without the golden label that α < 1 asks for, or a header that no pair trains.
    """
    golden = stage.alpha < 1
    if golden and stage.unlabelled == "error" and (store.labels < 0).any():
        require_golden(corpus.table())
    described = _soft(SoftLabels.unread(0, corpus, columns), stage)
    headers = _headers(stage, corpus, described)
    counts, pairs, start = np.zeros(len(headers), dtype=np.int64), 0, 0
    chosen = None if stage.choose is None else choose(stage.choose, _candidates(stage, corpus, columns, store))
    folder.mkdir(exist_ok=True)
    with AppendedFiles(folder, _FIELDS, {}, f"targets of {len(corpus)} pairs") as files:
        for index, shard in enumerate(corpus.shards):
            rows = slice(start, start + shard.rows)
            start += shard.rows
            soft = _soft(SoftLabels.of_shard(corpus, index, columns), stage)
            labels = store.labels[rows]
            kept = _kept(labels >= 0, soft.scored, stage)
            if chosen is not None:
                kept &= chosen[rows]
            if stage.weak == "soft_only":
                labels = np.where(is_weak(corpus.shard(index), weak), np.int8(-1), labels)
            targets = np.hstack([(labels >= 0)[:, None][:, :golden], soft.scored])
            counts += targets[kept].sum(axis=0)
            pairs += int(kept.sum())
            files.append(
                starts=store.tokens.starts[rows][kept],
                lengths=store.tokens.lengths[rows][kept],
                labels=labels[kept],
                soft=soft.logits[kept],
            )
    header_pairs = dict(zip((header.name for header in headers), counts.tolist(), strict=True))
    _check(stage, header_pairs, pairs, described.teachers, title)
    return header_pairs


def open_targets(
    stage: StageSpec,
    corpus: Corpus,
    columns: tuple[TeacherColumn, ...],
    store: TokenStore,
    pad_id: int,
    folder: Path,
    header_pairs: dict[str, int],
) -> StageTargets:
    """Map the targets that `write_targets` has written, and counted in `header_pairs`.

    A golden header exists when α < 1, then one per teacher.
    """
    described = _soft(SoftLabels.unread(0, corpus, columns), stage)
    examples = _mapped(store, pad_id, folder, soft_shape=described.logits.shape[1:])
    return StageTargets(examples, _headers(stage, corpus, described), header_pairs, len(corpus) - len(examples))


def _soft(soft: SoftLabels, stage: StageSpec) -> SoftLabels:
    return soft.mean() if stage.average and soft.teachers else soft


def _kept(labelled: np.ndarray, scores: np.ndarray, stage: StageSpec) -> Mask:
    """Mask of the pairs with the targets that the objective asks for, bool (pairs,).

    labelled bool (pairs,); scores bool (pairs, teachers): whether a pair has a label, and the teacher's score.
    """
    scored = scores.any(axis=1) if stage.gaps == "mask" and scores.shape[1] else scores.all(axis=1)
    return np.asarray(scored & labelled if stage.unlabelled == "drop" and stage.alpha < 1 else scored)


def _candidates(
    stage: StageSpec, corpus: Corpus, columns: tuple[TeacherColumn, ...], store: TokenStore
) -> Iterator[tuple[Probabilities, Mask]]:
    """Of each shard: the teachers' probabilities of the positive class, and the pairs that the stage could train on."""
    positive, start = corpus.labels.positive_index, 0
    for index, shard in enumerate(corpus.shards):
        soft = SoftLabels.of_shard(corpus, index, columns)
        kept = _kept(store.labels[start : start + shard.rows] >= 0, _soft(soft, stage).scored, stage)
        start += shard.rows
        yield np.stack([softmax(logits)[:, positive] for logits in soft.logits.swapaxes(0, 1)], axis=1), kept


def _mapped(store: TokenStore, pad_id: int, folder: Path, soft_shape: tuple[int, ...]) -> Examples:
    starts, lengths, labels = (map_array(folder, name, _FIELDS[name]) for name in ("starts", "lengths", "labels"))
    teachers = soft_shape[0] > 0
    soft = map_array(folder, "soft", _FIELDS["soft"], (-1, *soft_shape)) if teachers else None
    tokens = MappedTokens(store.tokens.flat_ids, store.tokens.flat_types, starts, lengths)
    return Examples(tokens, labels, pad_id, soft)


def _headers(stage: StageSpec, corpus: Corpus, soft: SoftLabels) -> tuple[Header, ...]:
    """The golden header first (when the stage trains it), then one per teacher."""
    task, teachers = corpus.labels.task, zip(soft.teachers, soft.digests, strict=True)
    gold = [Header(f"{task}/gold", None)] if stage.alpha < 1 else []
    return (*gold, *(Header(f"{task}/{name}", digest) for name, digest in teachers))


def _check(stage: StageSpec, header_pairs: dict[str, int], pairs: int, teachers: tuple[str, ...], title: str) -> None:
    if not pairs:
        labelled = "labelled " if stage.unlabelled == "drop" else ""
        by = f" scored by {'any' if stage.gaps == 'mask' else 'all'} of {', '.join(teachers)}" if teachers else ""
        raise TmkdError(f"{title}: the corpus has no {labelled}pair{by}")
    for name, count in header_pairs.items():
        if not count:
            raise TmkdError(f"{title}: no pair trains the header {name}, which Eq. 6 would average in; {_TAKE_OUT}")
