"""Inputs of a study in two small files: token ids of distinct texts, pairs of them, and start weights in bf16.

No text is in them. Written where the corpora lie (`benchmarks.gpu.pack`), read where the models are trained.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import safetensors.torch
import torch
from safetensors import safe_open

from tmkd.data.text import PairTokenizer
from tmkd.data.tokens import TextIds, TokenIds

PAIRS, WEIGHTS = "pairs.npz", "weights.npz"
BESIDE = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")  # of a model folder
_BODY = "model.safetensors"


@dataclass(frozen=True)
class PairSet:
    """A set of pairs: token ids, labels int64 (pairs,), −1 where there is none, and a number per question."""

    tokens: TokenIds
    labels: np.ndarray
    groups: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, most: int | None) -> PairSet:
        """The first `most` pairs; None: all."""
        kept = np.arange(len(self))[:most]
        return self if len(kept) == len(self) else PairSet(self.tokens.take(kept), self.labels[kept], self.groups[kept])


def write_pairs(sets: Mapping[str, pa.Table], tokenizer: PairTokenizer, folder: Path) -> np.ndarray:
    """Write the pairs of these sets, columns question, passage, label and group; returns the token ids in use."""
    sides = {name: [table[side].to_pylist() for side in ("question", "passage")] for name, table in sets.items()}
    rows: dict[str, int] = {}
    arrays: dict[str, np.ndarray] = {}
    for name, texts in sides.items():
        for side, column in zip(("questions", "passages"), texts, strict=True):
            arrays[f"{name}.{side}"] = np.array([rows.setdefault(text, len(rows)) for text in column], dtype=np.uint32)
        table = sets[name]
        arrays[f"{name}.labels"] = table["label"].fill_null(-1).to_numpy().astype(np.int8)
        if (arrays[f"{name}.labels"] >= 0).any():
            groups = pc.rank(table["group"].combine_chunks(), tiebreaker="dense").to_numpy() - 1
            arrays[f"{name}.groups"] = groups.astype(np.uint32)
    ids = tokenizer.tokenise(list(rows))
    arrays["ids"], arrays["lengths"] = ids.flat_ids.astype(np.uint16), ids.lengths.astype(np.uint16)
    if not np.array_equal(arrays["ids"], ids.flat_ids):
        raise ValueError("token ids above 65,535 do not fit in 16 bits")
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / PAIRS, **arrays)  # type: ignore[arg-type]
    pairs = [read_set(arrays, name, tokenizer).tokens.flat_ids for name in sets]
    return np.unique(np.concatenate(pairs))


def read_pairs(folder: Path, tokenizer: PairTokenizer) -> dict[str, PairSet]:
    """Read all sets of pairs, truncated as the tokenizer of a model does it."""
    with np.load(folder / PAIRS, allow_pickle=False) as file:
        arrays = dict(file)
    names = [name.removesuffix(".labels") for name in arrays if name.endswith(".labels")]
    return {name: read_set(arrays, name, tokenizer) for name in names}


def pair_counts(folder: Path) -> dict[str, int]:
    """Pairs of each set."""
    with np.load(folder / PAIRS, allow_pickle=False) as file:
        return {name.removesuffix(".labels"): len(file[name]) for name in file.files if name.endswith(".labels")}


def read_set(arrays: Mapping[str, np.ndarray], name: str, tokenizer: PairTokenizer) -> PairSet:
    """Join the texts of one set to pairs."""
    lengths = arrays["lengths"].astype(np.int64)
    texts = TextIds(arrays["ids"].astype(np.int32), np.cumsum(lengths) - lengths, lengths)
    tokens = tokenizer.pair(texts.take(arrays[f"{name}.questions"]), texts.take(arrays[f"{name}.passages"]))
    labels = arrays[f"{name}.labels"].astype(np.int64)
    return PairSet(tokens, labels, arrays.get(f"{name}.groups", np.zeros(len(labels), dtype=np.uint32)))


def write_start(model: Path, used: np.ndarray, folder: Path) -> None:
    """Write a model folder's weights in bf16, of its word pieces only those in use, and the files beside them."""
    arrays: dict[str, np.ndarray] = {"used": used}
    with safe_open(model / _BODY, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - no mapping
            tensor = file.get_tensor(name)
            if not tensor.is_floating_point():
                continue
            if name.endswith("word_embeddings.weight"):
                tensor = tensor[torch.from_numpy(used.astype(np.int64))]
            arrays[f"weight {name}"] = tensor.to(torch.bfloat16).view(torch.int16).numpy()
    np.savez_compressed(folder / WEIGHTS, **arrays)  # type: ignore[arg-type]
    for name in BESIDE:
        if (model / name).is_file():
            shutil.copyfile(model / name, folder / name)


def read_start(folder: Path, model: Path) -> Path:
    """Write the model folder again, float32; the vectors of word pieces that are not in use are 0."""
    model.mkdir(parents=True, exist_ok=True)
    for name in BESIDE:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, model / name)
    rows = int(json.loads((folder / "config.json").read_bytes())["vocab_size"])
    weights: dict[str, torch.Tensor] = {}
    with np.load(folder / WEIGHTS, allow_pickle=False) as file:
        used = torch.from_numpy(file["used"].astype(np.int64))
        for name in file.files:
            if name == "used":
                continue
            tensor = torch.from_numpy(file[name]).view(torch.bfloat16).float()
            if name.endswith("word_embeddings.weight"):
                tensor = torch.zeros(rows, tensor.shape[1]).index_copy_(0, used, tensor)
            weights[name.removeprefix("weight ")] = tensor
    safetensors.torch.save_file(weights, model / _BODY, metadata={"format": "pt"})
    return model
