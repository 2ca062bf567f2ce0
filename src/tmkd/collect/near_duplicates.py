"""Texts that say nearly the same as an earlier one: MinHash (Broder 1997) over runs of three words."""

from __future__ import annotations

import re
import zlib
from typing import Any

import numpy as np

from tmkd.errors import TmkdError

_WORD = re.compile(r"\w+")
_RUN = 3  # words
# Two texts are compared when a band of their signatures is equal, which happens with probability 1 − (1 − s^9)^12 for
# similarity s: 0.96 at 0.85, 0.998 at 0.9; 0.42 at 0.7, where the comparison then finds them different.
_BANDS, _ROWS = 12, 9
_SEED = 1
_AT_ONCE = 10_000  # runs that are hashed at once: 108 numbers for each
_BYTE = 1 / 256  # share of the signature's bytes that are equal by chance


class NearDuplicates:
    """The texts seen so far; two are near-duplicates when they share `threshold` of all runs of three words either has.

    The share (Jaccard index) is estimated from 108 numbers: with a standard error of 0.035 at 0.85. The same in every
    process and on every machine. Memory: about 1.1 KB for each text remembered (measured), whatever its length.
    Raises: TmkdError when datasketch is not installed.
    """

    def __init__(self, threshold: float = 0.85) -> None:
        self._threshold = threshold
        self._empty = _minhash()
        self._signatures = bytearray()  # the lowest byte of each number: enough to compare (b-bit MinHash)
        self._first: dict[int, int] = {}  # band of a signature → the first text that has it

    def seen(self, text: str) -> bool:
        """Whether a near-duplicate came before; otherwise the text is remembered. One without words never was."""
        runs = _runs(text)
        if not runs:
            return False
        minhash = self._empty.copy()
        for start in range(0, len(runs), _AT_ONCE):
            minhash.update_batch(runs[start : start + _AT_ONCE])
        values = minhash.hashvalues
        signature = values.astype(np.uint8)
        bands = [zlib.crc32(band.tobytes()) << 8 | place for place, band in enumerate(values.reshape(_BANDS, _ROWS))]
        for other in {self._first[band] for band in bands if band in self._first}:
            if self._alike(signature, other) >= self._threshold:
                return True
        number = len(self._signatures) // len(signature)
        for band in bands:
            self._first.setdefault(band, number)
        self._signatures += signature.tobytes()
        return False

    def _alike(self, signature: np.ndarray, other: int) -> float:
        """The estimated similarity of a signature (uint8) and a remembered one."""
        size = len(signature)
        remembered = np.frombuffer(self._signatures, np.uint8, size, other * size)
        return (float(np.mean(signature == remembered)) - _BYTE) / (1 - _BYTE)


def _minhash() -> Any:
    try:
        from datasketch import MinHash
    except ImportError as error:
        raise TmkdError("finding near-duplicates needs datasketch: pip install 'tmkd[collect]'") from error
    return MinHash(num_perm=_BANDS * _ROWS, seed=_SEED, hashfunc=zlib.crc32, scheme="affine32")


def _runs(text: str) -> list[bytes]:
    """Every run of three words; fewer words make one run."""
    words = _WORD.findall(text.lower())
    last = max(len(words) - _RUN, 0) + 1 if words else 0
    return list({" ".join(words[start : start + _RUN]).encode("utf-8", "replace") for start in range(last)})
