"""A bundle of random weights and an index of a few passages."""

from __future__ import annotations

from pathlib import Path

import pytest

import tiny
from tmkd.search.index import TantivyIndex
from tmkd.search.passage_store import Passage
from tmkd.serve.precompute import Answering
from tmkd.store import write_manifest


@pytest.fixture(scope="session")
def answering(made: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Answering:
    """Offline answers by a bundle of random weights, over an index of 40 passages on 20 topics."""
    index = tmp_path_factory.mktemp("serve") / "index"
    passages = [
        Passage(f"https://tiny.example/{topic} {good}", tiny.TOPICS[topic], tiny.passage(topic, good))
        for topic in range(20)
        for good in (True, False)
    ]
    TantivyIndex.build(index, passages)
    write_manifest(index, "index/web", {}, {}, {}, 0.0)
    return Answering(made[1], index, top=4, keep=3)
