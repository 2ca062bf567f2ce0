"""Fragment of a run's results: facts and arrays in one small file, checked by a digest; no text of a pair is in it."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tmkd.errors import TmkdError, first_line
from tmkd.store import digest_bytes, digest_json, write_atomic

MOST_BYTES = 1 << 31  # of a fragment's content, unpacked
_FACTS = "facts"


def write_fragment(path: Path, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write facts (JSON) and arrays as a compressed .npz file, atomically; equal content gives equal bytes.

    Raises: TmkdError when it cannot be written.
    """
    sealed = {"digest": _digest(facts, arrays), "facts": facts}
    text = np.frombuffer(json.dumps(sealed, sort_keys=True, allow_nan=False).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{_FACTS: text}, **arrays)  # type: ignore[arg-type]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TmkdError(f"{path.parent}: cannot be made: {error.strerror}") from error
    write_atomic(path, buffer.getvalue())


def read_fragment(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a fragment: its facts and its arrays.

    Raises: TmkdError when it is missing, no fragment, too large, or its content differs from its digest.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MOST_BYTES:
            raise TmkdError(f"{path}: {size} bytes unpacked are too many for a fragment")
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        sealed = json.loads(arrays.pop(_FACTS).tobytes())
        digest, facts = sealed["digest"], dict(sealed["facts"])
        known = _digest(facts, arrays)
    except FileNotFoundError:
        raise TmkdError(f"{path}: no such fragment") from None
    except (
        *(OSError, EOFError, ValueError, KeyError, TypeError, IndexError, NotImplementedError),
        *(MemoryError, RecursionError, OverflowError, zipfile.BadZipFile, zlib.error),
    ) as error:
        raise TmkdError(f"{path}: not a fragment ({first_line(error)}); fetch it again") from None
    if known != digest:
        raise TmkdError(f"{path}: its content differs from its digest; fetch it again")
    return facts, arrays


def _digest(facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """Digest of a fragment's facts, and of type, shape and bytes of its arrays."""
    content = {
        name: [array.dtype.str, list(array.shape), digest_bytes(np.ascontiguousarray(array).tobytes())]
        for name, array in arrays.items()
    }
    return digest_json([facts, content])
