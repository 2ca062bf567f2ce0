"""Fragment of a teacher's logits for whole corpora, float16 by pair digest: another machine imports them as a teacher.

FOLDER/teachers/NAME.npz    its logits, a corpus an array, in the order of the pairs' digests
FOLDER/pairs/DIGEST.npz     the digests of a corpus's pairs, once for all of its teachers
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tmkd.data.fragment import read_fragment, write_fragment
from tmkd.data.labels import LabelSet
from tmkd.errors import TmkdError
from tmkd.recipe.agreement import FRAGMENT
from tmkd.store import digest_bytes

TEACHERS, PAIRS = "teachers", "pairs"  # folders
_KIND, _KEYS = "teacher", "keys"
_DIGITS = 16  # hexadecimal, of a pair's id


def logits_path(folder: Path, teacher: str) -> Path:
    """Path of a teacher's fragment in the folder of a run's results."""
    return folder / TEACHERS / f"{teacher}{FRAGMENT}"


def write_logits(
    folder: Path,
    teacher: str,
    labels: LabelSet,
    corpora: Mapping[str, tuple[np.ndarray, np.ndarray]],
    facts: Mapping[str, Any],
) -> Path:
    """Write a teacher's logits of some corpora, each pair ids uint64 (pairs, 2) and logits (pairs, classes).

    A pair that is not scored is NaN in every class. `facts` are told beside them. Returns the file's path.
    """
    arrays, keys_of = {}, {}
    for name, (ids, logits) in corpora.items():
        keys, first = np.unique(ids[:, 0], return_index=True)
        keys_of[name] = _write_keys(folder, keys)
        ordered = logits[first]
        beyond = (np.abs(ordered) > np.finfo(np.float16).max).any()
        arrays[name] = ordered.astype(np.float32 if beyond else np.float16)
    path = logits_path(folder, teacher)
    own = {"kind": _KIND, "teacher": teacher, "classes": list(labels.names), "keys": keys_of}
    write_fragment(path, {**facts, **own}, arrays)
    return path


def _write_keys(folder: Path, keys: np.ndarray) -> str:
    """Write the ascending keys of a corpus, unless they are there; returns their digest."""
    digest = digest_bytes(keys.astype("<u8").tobytes())
    path = _keys_path(folder, digest)
    if not path.is_file():
        # The upper bytes of differences are 0: planes of bytes are a quarter smaller than the keys in the file.
        planes = np.diff(keys, prepend=np.uint64(0)).astype("<u8").view(np.uint8).reshape(-1, 8).T
        write_fragment(path, {"kind": _KEYS}, {_KEYS: np.ascontiguousarray(planes)})
    return digest


def _keys_path(folder: Path, digest: str) -> Path:
    return folder / PAIRS / f"{digest[:16]}{FRAGMENT}"


def read_logits(path: Path, labels: LabelSet) -> tuple[list[str], np.ndarray]:
    """Read a teacher's logits of all its corpora: the pairs' ids, cut to 16 digits, and float32 (pairs, classes).

    Pairs that are not scored are left out.
    Raises: TmkdError when a file is missing or damaged, or the classes are others.
    """
    facts, arrays = read_fragment(path)
    if facts.get("kind") != _KIND:
        raise TmkdError(f"{path}: not the fragment of a teacher; name a file of the folder {TEACHERS}")
    if facts.get("classes") != list(labels.names):
        raise TmkdError(f"{path}: holds logits of the classes {facts.get('classes')}, not {list(labels.names)}")
    every_key, every_row = [], []
    for name, logits in arrays.items():
        keys = _read_keys(path.parent.parent, str(facts.get("keys", {}).get(name)))
        if logits.shape != (len(keys), len(labels.names)) or logits.dtype.kind != "f":
            raise TmkdError(f"{path}: {name} has logits of shape {logits.shape} for {len(keys)} pairs")
        scored = np.isfinite(logits).all(axis=1)
        every_key.append(keys[scored])
        every_row.append(logits[scored].astype(np.float32))
    if not sum(map(len, every_key)):
        raise TmkdError(f"{path}: holds no pair's logits")
    distinct, first = np.unique(np.concatenate(every_key), return_index=True)
    return [f"{key:0{_DIGITS}x}" for key in distinct.tolist()], np.concatenate(every_row)[first]


def _read_keys(folder: Path, digest: str) -> np.ndarray:
    path = _keys_path(folder, digest)
    _, arrays = read_fragment(path)
    planes = arrays.get(_KEYS, np.empty((8, 0), np.uint8))
    if planes.ndim != 2 or len(planes) != 8 or planes.dtype != np.uint8:
        raise TmkdError(f"{path}: not the digests of pairs")
    keys = np.cumsum(np.ascontiguousarray(planes.T).view("<u8").ravel(), dtype=np.uint64)
    if digest_bytes(keys.astype("<u8").tobytes()) != digest:
        raise TmkdError(f"{path}: not the digests of pairs that the teachers' logits go with")
    return keys
