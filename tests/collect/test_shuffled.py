from __future__ import annotations

from pathlib import Path

import pytest

from tmkd.collect.shuffled import first_of_shuffled
from tmkd.data.pairs import Shard, pair_table, write_shard


@pytest.fixture
def shards(tmp_path: Path) -> list[Shard]:
    """60 pairs in three shards."""
    parts = (range(25), range(25, 30), range(30, 60))
    tables = [pair_table([f"q{number}" for number in part], ["p"] * len(part)) for part in parts]
    return [write_shard(tmp_path, f"{place}.parquet", table) for place, table in enumerate(tables)]


def first(folder: Path, shards: list[Shard], most: int, seed: int = 1) -> list[str]:
    found: list[str] = first_of_shuffled(folder, shards, seed, most)["question"].to_pylist()
    return found


def test_a_smaller_number_is_a_part_of_a_larger_one(tmp_path: Path, shards: list[Shard]) -> None:
    whole = first(tmp_path, shards, 1000)
    assert sorted(whole) == sorted(f"q{number}" for number in range(60))
    for most in (0, 1, 17, 59, 60):
        assert first(tmp_path, shards, most) == whole[:most]


def test_the_order_is_the_seeds_and_mixes_the_shards(tmp_path: Path, shards: list[Shard]) -> None:
    orders = [first(tmp_path, shards, 60, seed) for seed in (1, 2)]
    assert orders[0] != orders[1]
    for order in orders:
        assert order != sorted(order, key=lambda name: int(name[1:]))
        assert {int(name[1:]) // 30 for name in order[:20]} == {0, 1}
    assert first(tmp_path, list(reversed(shards)), 60) == orders[0]


def test_without_shards_there_is_no_pair(tmp_path: Path) -> None:
    assert first(tmp_path, [], 5) == []
