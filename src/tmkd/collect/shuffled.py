"""Random order of all pairs found for a corpus, of which a smaller number is a part of a larger one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tmkd.data.pairs import SCHEMA, Shard
from tmkd.store import digest_bytes


def first_of_shuffled(folder: Path, shards: Sequence[Shard], seed: int, most: int) -> pa.Table:
    """Read the first `most` pairs of the shards of a folder, in a random order that seed and pairs decide.

    Only these pairs' texts are in memory, and 8 bytes for each pair there is.
    """
    keys = [_keys(folder / shard.name, seed) for shard in shards]
    order = np.argsort(np.concatenate([np.empty(0, np.uint64), *keys]), kind="stable")[:most]
    tables, start = [SCHEMA.empty_table()], 0
    for shard, of_shard in zip(shards, keys, strict=True):
        rows = np.sort(order[(order >= start) & (order < start + len(of_shard))]) - start
        tables.append(pq.read_table(folder / shard.name).take(pa.array(rows)))
        start += len(of_shard)
    # Row i of the joined tables is the pair with the i-th smallest number among the chosen ones.
    return pa.concat_tables(tables, promote_options="default").take(pa.array(np.searchsorted(np.sort(order), order)))


def _keys(path: Path, seed: int) -> np.ndarray:
    """Sort keys of a shard's pairs, uint64 (pairs,)."""
    ids = pq.read_table(path, columns=["id"])["id"].to_pylist()
    return np.array([int(digest_bytes(f"{seed} {one}".encode())[:16], 16) for one in ids], dtype=np.uint64)
