"""Token ids of a corpus on disk: tokenised once per corpus and tokenizer, mapped into memory when they are read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tmkd.data.pairs import Corpus
from tmkd.data.text import PairTokenizer
from tmkd.data.tokens import TokenIds, ragged_arange
from tmkd.errors import TmkdError
from tmkd.store import WORK, json_bytes, write_atomic

_SIZES = "sizes.json"  # scratch: shards that are written, and the bytes of each file up to there
_PAIR_FIELDS = {"starts": np.int64, "lengths": np.int32, "labels": np.int8}  # one number a pair
_ID_FIELDS = {"ids": np.int32, "types": np.int8}  # one number a token id


@dataclass(frozen=True, eq=False)
class MappedTokens:
    """Token ids of pairs, as `TokenIds`, in arrays that may be mapped from disk; pairs may lie anywhere in them.

    flat_ids int32, flat_types int8 (ids,); starts int64, lengths int32 (pairs,) are the place and the number of a
    pair's ids.
    """

    flat_ids: np.ndarray
    flat_types: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    def take(self, indices: Sequence[int] | np.ndarray) -> TokenIds:
        """Read pairs by index, in this order."""
        chosen = np.asarray(indices, dtype=np.int64)
        lengths = self.lengths[chosen].astype(np.int64)
        places = ragged_arange(self.starts[chosen], lengths)
        return TokenIds(self.flat_ids[places], self.flat_types[places].astype(np.int32), lengths)


@dataclass(frozen=True, eq=False)
class TokenStore:
    """Tokens and labels of all pairs of a corpus, in order, mapped from disk; labels int8 (pairs,), −1 for none."""

    tokens: MappedTokens
    labels: np.ndarray


def write_tokens(
    corpus: Corpus, tokenizer: PairTokenizer, folder: Path, report: Callable[[int, int], None]
) -> dict[str, int]:
    """Tokenise a corpus into `folder`, shard by shard; called again after a kill, it goes on with the next shard.

    `report` is called with the pairs done and the pairs in all. Returns the numbers of pairs and of token ids.
    Raises: TmkdError when a file cannot be written, naming what was to be written in all.
    """
    (folder / WORK).mkdir(exist_ok=True)
    done, sizes = _written(folder)
    pairs, all_pairs = sum(shard.rows for shard in corpus.shards[:done]), len(corpus)
    with AppendedFiles(folder, {**_ID_FIELDS, **_PAIR_FIELDS}, sizes, f"token ids of {all_pairs} pairs") as files:
        for index in range(done, len(corpus.shards)):
            table = corpus.shard(index)
            tokens = tokenizer.encode(table["question"].to_pylist(), table["passage"].to_pylist())
            files.append(
                ids=tokens.flat_ids,
                types=tokens.flat_types,
                starts=tokens.starts + files.sizes["ids"] // np.dtype(_ID_FIELDS["ids"]).itemsize,
                lengths=tokens.lengths,
                labels=table["label"].fill_null(-1).to_numpy(),
            )
            files.flush()
            write_atomic(folder / WORK / _SIZES, json_bytes({"shards": index + 1, "sizes": files.sizes}))
            pairs += table.num_rows
            report(pairs, all_pairs)
        ids = files.sizes["ids"] // np.dtype(_ID_FIELDS["ids"]).itemsize
    return {"pairs": pairs, "token_ids": ids}


def _written(folder: Path) -> tuple[int, dict[str, int]]:
    """Shards that an interrupted call has written whole, and the bytes of each file up to there."""
    try:
        value = json.loads((folder / WORK / _SIZES).read_bytes())
        sizes = {name: int(value["sizes"][name]) for name in (*_ID_FIELDS, *_PAIR_FIELDS)}
        if all(_path(folder, name).stat().st_size >= size for name, size in sizes.items()):
            return int(value["shards"]), sizes
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return 0, {}


def open_tokens(folder: Path, corpus: Corpus) -> TokenStore:
    """Map the tokens of a corpus that `write_tokens` has written. Raises: TmkdError when they are not of its pairs."""
    arrays = {name: map_array(folder, name, kind) for name, kind in {**_ID_FIELDS, **_PAIR_FIELDS}.items()}
    if {len(arrays[name]) for name in _PAIR_FIELDS} != {len(corpus)} or len(arrays["ids"]) != len(arrays["types"]):
        raise TmkdError(f"{folder}: not the tokens of the {len(corpus)} pairs of {corpus.folder}; remove it")
    tokens = MappedTokens(arrays["ids"], arrays["types"], arrays["starts"], arrays["lengths"])
    return TokenStore(tokens, arrays["labels"])


class AppendedFiles:
    """Files of numbers without headers, `NAME.bin`, that grow together; `sizes` are their bytes.

    They are written, not mapped, while they grow: a full disk is then an error and not the end of the process. Each
    begins with its first `sizes` bytes as they are there, by default none. `kinds` are the numbers' dtypes.
    """

    def __init__(self, folder: Path, kinds: Mapping[str, Any], sizes: Mapping[str, int], what: str) -> None:
        self._folder, self._kinds, self._what = folder, kinds, what
        self.sizes = {name: sizes.get(name, 0) for name in kinds}
        self._stack = ExitStack()

    def __enter__(self) -> AppendedFiles:
        try:
            paths = {name: _path(self._folder, name) for name in self._kinds}
            for path in paths.values():
                path.touch()
            self._files = {name: self._stack.enter_context(path.open("r+b")) for name, path in paths.items()}
            for name, file in self._files.items():
                file.truncate(self.sizes[name])
                file.seek(self.sizes[name])
        except OSError as error:
            raise self._failure(error) from error
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._stack.close()
        except OSError as error:
            raise self._failure(error) from error

    def append(self, **arrays: np.ndarray) -> None:
        """Append an array to each file, as numbers of its dtype. Raises: TmkdError when the disk is full."""
        try:
            for name, array in arrays.items():
                numbers = np.ascontiguousarray(array, dtype=self._kinds[name])
                self._files[name].write(numbers.data)
                self.sizes[name] += numbers.nbytes
        except OSError as error:
            raise self._failure(error) from error

    def flush(self) -> None:
        """Write all that was appended to the disk itself. Raises: TmkdError when it is full."""
        try:
            for file in self._files.values():
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> TmkdError:
        written = sum(self.sizes.values()) / 1e6
        return TmkdError(
            f"{self._folder}: {self._what} cannot be written: {error.strerror}, after {written:.0f} MB; free some of "
            "the disk and run the same command again"
        )


def map_array(folder: Path, name: str, kind: Any, shape: tuple[int, ...] = (-1,)) -> np.ndarray:
    """Map a file of `AppendedFiles` read-only. Raises: TmkdError when it is missing or its size does not fit."""
    path = _path(folder, name)
    try:
        if not path.stat().st_size:
            return np.empty(0, dtype=kind).reshape(0, *shape[1:])
        return np.asarray(np.memmap(path, dtype=kind, mode="r")).reshape(shape)
    except (OSError, ValueError) as error:
        raise TmkdError(f"{path}: cannot be read: {error}; remove {folder} and run again") from error


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.bin"
