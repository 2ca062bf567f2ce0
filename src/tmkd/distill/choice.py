"""Choice of a stage's training pairs by its teachers' scores."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from tmkd.recipe.rows import ChooseSpec

TENTHS = 10  # of [0, 1]; tenths of the pairs would be as even as any sample
_LEAST = 1e-6  # standard deviation that a pair is drawn by where its teachers agree exactly

Probabilities = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def choose(spec: ChooseSpec, shards: Iterable[tuple[Probabilities, Mask]]) -> Mask:
    """Choose pairs, bool (pairs,), from shards of (probabilities of the positive class, pairs that may be chosen).

    probabilities: (pairs, teachers), NaN for a missing score; a pair that may be chosen has one at least. Without
    replacement; of a pair 9 bytes are in memory. A random number is drawn for each pair in order, so the choice does
    not depend on where shards begin. Of n pairs drawn with weights, each is among the n smallest exponential / weight
    (Efraimidis & Spirakis 2006).
    """
    rng = np.random.default_rng(spec.seed)
    keys, tenths = [np.empty(0)], [np.empty(0, np.int8)]
    for probabilities, possible in shards:
        key, tenth = rng.standard_exponential(len(possible)), np.full(len(possible), -1, np.int8)
        scores = probabilities[possible]
        if spec.by != "score":
            key[possible] /= np.maximum(np.nanstd(scores, axis=1), _LEAST)
        even = spec.by != "disagreement"
        tenth[possible] = np.minimum(np.nanmean(scores, axis=1) * TENTHS, TENTHS - 1).astype(np.int8) if even else 0
        keys.append(key)
        tenths.append(tenth)
    key, tenth = np.concatenate(keys), np.concatenate(tenths)
    groups = [np.flatnonzero(tenth == number) for number in range(TENTHS)]
    chosen = np.zeros(len(key), dtype=bool)
    for rows, share in zip(groups, even_shares([len(rows) for rows in groups], spec.pairs), strict=True):
        chosen[rows[np.argsort(key[rows], kind="stable")[:share]]] = True
    return chosen


def even_shares(counts: list[int], total: int) -> list[int]:
    """Shares of a total, as even as counts allow: none is above its count, and the others take what it cannot give."""
    shares = [0] * len(counts)
    for place, index in enumerate(np.argsort(counts, kind="stable").tolist()):
        shares[index] = min(counts[index], (total - sum(shares)) // (len(counts) - place))
    return shares
