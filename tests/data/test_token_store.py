"""Token ids of a corpus on disk: the same as in memory, gone on with after a kill, never whole after a full disk."""

from __future__ import annotations

import errno
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import tiny
from tmkd.data.labels import LabelSet
from tmkd.data.pairs import Corpus, pair_table, write_corpus
from tmkd.data.text import PairTokenizer
from tmkd.data.token_store import AppendedFiles, map_array, open_tokens, write_tokens
from tmkd.errors import TmkdError

LABELS = LabelSet("toy", ("no", "yes"), "yes")
ROWS = tiny.pairs(range(5))


def quiet(done: int, total: int) -> None:
    """No report."""


@pytest.fixture
def tokenizer(tmp_path: Path) -> PairTokenizer:
    (tmp_path / "model").mkdir()
    tiny.write_tokenizer(tmp_path / "model")
    return PairTokenizer.load(tmp_path / "model", 16)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Ten pairs in four shards, every third without a label."""
    labels = [None if place % 3 == 0 else LABELS.names.index(label) for place, (*_, label) in enumerate(ROWS)]
    table = pair_table([row[0] for row in ROWS], [row[1] for row in ROWS], labels, "rows.tsv")
    return write_corpus(tmp_path / "corpus", LABELS, [table], shard_rows=3)


def written(corpus: Corpus, tokenizer: PairTokenizer, folder: Path) -> dict[str, bytes]:
    folder.mkdir(exist_ok=True)
    write_tokens(corpus, tokenizer, folder, quiet)
    return {path.name: path.read_bytes() for path in folder.glob("*.bin")}


def test_mapped_tokens_are_those_in_memory(corpus: Corpus, tokenizer: PairTokenizer, tmp_path: Path) -> None:
    table = corpus.table()
    expected = tokenizer.encode(table["question"].to_pylist(), table["passage"].to_pylist())
    reports: list[tuple[int, int]] = []
    (tmp_path / "t").mkdir()
    facts = write_tokens(corpus, tokenizer, tmp_path / "t", lambda done, total: reports.append((done, total)))
    assert facts == {"pairs": 10, "token_ids": len(expected.flat_ids)}
    assert reports == [(3, 10), (6, 10), (9, 10), (10, 10)]
    store = open_tokens(tmp_path / "t", corpus)
    assert store.labels.tolist() == corpus.label_array().tolist()
    for rows in ([7, 0, 3], [9], list(range(10))):
        found, wanted = store.tokens.take(rows), expected.take(rows)
        for name in ("flat_ids", "flat_types", "lengths"):
            assert np.array_equal(getattr(found, name), getattr(wanted, name))
            assert getattr(found, name).dtype == getattr(wanted, name).dtype


class Killed(BaseException):
    """As if the process were gone."""


@pytest.mark.parametrize("shards", [0, 1, 3])
def test_killed_and_called_again_it_goes_on_with_the_next_shard(
    corpus: Corpus, tokenizer: PairTokenizer, tmp_path: Path, shards: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = written(corpus, tokenizer, tmp_path / "whole")
    left = iter(range(shards))
    flush = AppendedFiles.flush

    def kill(files: AppendedFiles) -> None:
        flush(files)  # the shard's bytes are on the disk, but are not counted yet
        if next(left, None) is None:
            raise Killed

    (tmp_path / "t").mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(AppendedFiles, "flush", kill)
        with pytest.raises(Killed):
            write_tokens(corpus, tokenizer, tmp_path / "t", quiet)
    read: list[int] = []
    shard = Corpus.shard

    def counted(corpus: Corpus, index: int) -> pa.Table:
        read.append(index)
        return shard(corpus, index)

    monkeypatch.setattr(Corpus, "shard", counted)
    assert written(corpus, tokenizer, tmp_path / "t") == undisturbed
    assert read == list(range(shards, 4))


def test_files_that_are_shorter_than_they_were_are_made_again(
    corpus: Corpus, tokenizer: PairTokenizer, tmp_path: Path
) -> None:
    whole = written(corpus, tokenizer, tmp_path / "t")
    path = tmp_path / "t" / "ids.bin"
    path.write_bytes(path.read_bytes()[:-4])
    assert written(corpus, tokenizer, tmp_path / "t") == whole


class FullDisk(io.FileIO):
    """A file on a disk that has room for some bytes."""

    room = 0

    def write(self, data: Any) -> int:
        FullDisk.room -= len(memoryview(data).cast("B"))
        if FullDisk.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


@pytest.mark.parametrize("room", [0, 60, 400])
def test_a_disk_that_fills_is_an_error_of_one_line_and_leaves_nothing_that_looks_whole(
    corpus: Corpus, tokenizer: PairTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    opened = Path.open

    def full(path: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        return FullDisk(path, mode) if path.suffix == ".bin" else opened(path, mode, *rest, **options)

    (tmp_path / "t").mkdir()
    monkeypatch.setattr(FullDisk, "room", room)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", full)
        with pytest.raises(TmkdError) as failure:
            write_tokens(corpus, tokenizer, tmp_path / "t", quiet)
    assert "token ids of 10 pairs cannot be written: No space left on device, after 0 MB" in str(failure.value)
    assert "\n" not in str(failure.value)
    with pytest.raises(TmkdError, match="not the tokens of the 10 pairs"):
        open_tokens(tmp_path / "t", corpus)
    assert written(corpus, tokenizer, tmp_path / "t") == written(corpus, tokenizer, tmp_path / "whole")


def test_tokens_of_another_corpus_are_refused(corpus: Corpus, tokenizer: PairTokenizer, tmp_path: Path) -> None:
    written(corpus, tokenizer, tmp_path / "t")
    other = write_corpus(tmp_path / "other", LABELS, [corpus.table().slice(0, 9)])
    with pytest.raises(TmkdError, match=r"t: not the tokens of the 9 pairs of .*other; remove it"):
        open_tokens(tmp_path / "t", other)


def test_a_corpus_without_pairs_has_no_tokens(tokenizer: PairTokenizer, tmp_path: Path) -> None:
    nothing = write_corpus(tmp_path / "nothing", LABELS, [])
    written(nothing, tokenizer, tmp_path / "t")
    store = open_tokens(tmp_path / "t", nothing)
    assert len(store.labels) == len(store.tokens.take([]).lengths) == 0


def test_appended_numbers_come_back_in_their_shape_and_type(tmp_path: Path) -> None:
    with AppendedFiles(tmp_path, {"a": np.float32}, {}, "numbers") as files:
        files.append(a=np.arange(6).reshape(3, 2))
        files.append(a=np.arange(6, 10).reshape(2, 2))
        assert files.sizes == {"a": 40}
    found = map_array(tmp_path, "a", np.float32, (-1, 2))
    assert found.tolist() == np.arange(10).reshape(5, 2).tolist()
    assert not found.flags.writeable
    with pytest.raises(TmkdError, match=r"a\.bin: cannot be read"):
        map_array(tmp_path, "a", np.float32, (-1, 3))
    with pytest.raises(TmkdError, match=r"b\.bin: cannot be read: .*No such file"):
        map_array(tmp_path, "b", np.float32)
