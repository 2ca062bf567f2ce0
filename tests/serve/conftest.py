"""A bundle of random weights, and indexes of the tiny world's passages; offline answers, and a client of the server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import tiny
from serving import Client, opened, write_index
from tmkd.search.index import TantivyIndex
from tmkd.search.passage_store import Passage
from tmkd.serve.precompute import Answering
from tmkd.serve.served import Served
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


@pytest.fixture(scope="session")
def index_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sealed index: not to be changed."""
    return write_index(tmp_path_factory.mktemp("served") / "index")


@pytest.fixture
def served(made: tuple[Path, Path], index_folder: Path) -> Iterator[Served]:
    """Bundle and index, without a look-up store."""
    one = opened(made[1], index_folder)
    yield one
    one.close()


@pytest.fixture
def client(served: Served) -> Client:
    """Client of the application over these."""
    return Client(served)
