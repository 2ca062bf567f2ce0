"""Precomputed answers above a threshold → a new version of the look-up store."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq

from tmkd.errors import TmkdError
from tmkd.progress import Report
from tmkd.serve.answer_shards import SHARDS, read_scores, shard_origin
from tmkd.serve.answer_value import encode, most_bytes
from tmkd.serve.lookup_writer import write_version
from tmkd.serve.question_key import question_key
from tmkd.serve.sorted_entries import EntrySorter
from tmkd.serve.store_origin import ScoredBy, StoreOrigin
from tmkd.store import by_number


def shards_scored_by(answers: Path) -> ScoredBy:
    """Origin that all shards of a folder have.  Raises: TmkdError when there is none or they differ."""
    found = {path: shard_origin(path) for path in by_number(answers.glob(SHARDS))}
    origins = {path: origin.scored_by for path, origin in found.items() if origin is not None}
    if not found or len(origins) < len(found):
        damaged = next((path for path in found if path not in origins), answers)
        raise TmkdError(f"{damaged}: no answers that can be read; run precompute again")
    first, *others = origins.values()
    if any(other != first for other in others):
        raise TmkdError(f"{answers}: its shards are of several bundles, engines or settings; remove it and run again")
    return first


def store_answers(answers: Path, threshold: float, folder: Path, work: Path, report: Report) -> dict[str, int]:
    """Write the answers of a folder of shards into a new version of the store in `folder`; return counts.

    A question without an answer of at least `threshold` is stored without one. `work` is a folder for the sort.
    Raises: TmkdError when shards differ in origin, or the store cannot be written; OSError when the disk is full.
    """
    scored_by = shards_scored_by(answers)
    paths = by_number(answers.glob(SHARDS))
    rows = sum(pq.read_metadata(path).num_rows for path in paths)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    sorter = EntrySorter(work, rows, most_bytes(scored_by.keep))
    stored = answered = 0
    for number, path in enumerate(paths, 1):
        for question, found in read_scores(path):
            kept = [one for one in found if one.score >= threshold]
            key = question_key(question)
            sorter.add(key, encode(key, kept))
            stored += 1
            answered += bool(kept)
        report(number, len(paths))
    sorter.flush()
    write_version(folder, StoreOrigin(scored_by, threshold), sorter.entries())
    shutil.rmtree(work)
    return {"stored_questions": stored, "answered_questions": answered}
