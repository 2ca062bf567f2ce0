"""Agreement of two scorings of the same pairs, whatever the labels: Kendall's τ and the same first choice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Groups = Sequence[str] | npt.NDArray[np.str_]


def kendall_tau(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Kendall's τ-b: 1 when both order all pairs alike, −1 when one is the reverse of the other; ties are allowed for.

    a, b: (pairs,) float. NaN when one of them puts nothing in any order (all equal, or fewer than two pairs). Takes
    n log² n time.
    Not scipy.stats.kendalltau: it gives 0.9999999999999999 for two equal orders with ties, and training needs scipy for
    nothing else.
    Raises: ValueError on differing lengths or NaN.
    """
    first, second = _scores(a, b)
    ranks = [np.unique(values, return_inverse=True)[1].astype(np.int64) for values in (first, second)]
    couples = _couples(len(first))
    tied_first, tied_second = (sum(map(_couples, np.bincount(rank).tolist())) for rank in ranks)
    tied_both = sum(map(_couples, np.unique(np.stack(ranks), axis=1, return_counts=True)[1].tolist()))
    if couples in (tied_first, tied_second):
        return float("nan")
    # Sorted by the first scores, and where these are equal by the second, only true reversals are inversions.
    reversed_couples = _inversions(ranks[1][np.lexsort((ranks[1], ranks[0]))])
    difference = couples - tied_first - tied_second + tied_both - 2 * reversed_couples
    return float(difference / (float(couples - tied_first) * float(couples - tied_second)) ** 0.5)


def kendall_tau_in_groups(a: npt.ArrayLike, b: npt.ArrayLike, groups: Groups) -> float:
    """The mean over groups of τ-b within each; groups in which it is not known are left out, NaN when it is in none.

    a, b: (pairs,) float; groups: (pairs,) question ids.
    Raises: ValueError on differing lengths or NaN.
    """
    known = kendall_taus_of_groups(a, b, groups)
    return float(known.mean()) if len(known) else float("nan")


def kendall_taus_of_groups(a: npt.ArrayLike, b: npt.ArrayLike, groups: Groups) -> npt.NDArray[np.float64]:
    """τ-b within each group, float64 (groups,), without the groups in which it is not known.

    a, b: (pairs,) float; groups: (pairs,) question ids.
    Raises: ValueError on differing lengths or NaN.
    """
    first, second = _scores(a, b)
    members = _members(groups, len(first))
    taus = np.array([kendall_tau(first[pairs], second[pairs]) for pairs in members], dtype=np.float64)
    known: npt.NDArray[np.float64] = taus[~np.isnan(taus)]
    return known


def top_1_agreement(a: npt.ArrayLike, b: npt.ArrayLike, groups: Groups) -> float:
    """Share of groups whose best pair is the same by both scores; groups of one pair are left out, NaN when all are.

    a, b: (pairs,) float; groups: (pairs,) question ids. Of equal scores the pair that comes first is the best, as in
    `Student.rank`.
    Raises: ValueError on differing lengths or NaN.
    """
    first, second = _scores(a, b)
    same = [first[pairs].argmax() == second[pairs].argmax() for pairs in _members(groups, len(first)) if len(pairs) > 1]
    return float(np.mean(same)) if same else float("nan")


def _scores(a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"scores of shape {first.shape} do not go with scores of shape {second.shape}")
    if np.isnan(first).any() or np.isnan(second).any():
        raise ValueError("a score is NaN")
    return first, second


def _members(groups: Groups, pairs: int) -> list[npt.NDArray[np.int64]]:
    """The places of each group's pairs, in their order."""
    if len(groups) != pairs:
        raise ValueError(f"{len(groups)} groups do not go with {pairs} scores")
    if not pairs:
        return []
    _, group = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    return np.split(np.argsort(group, kind="stable"), np.bincount(group).cumsum()[:-1])


def _couples(items: int) -> int:
    """Number of couples among so many items."""
    return items * (items - 1) // 2


def _inversions(ranks: npt.NDArray[np.int64]) -> int:
    """Number of couples in falling order.

    From the highest bit down: of two ranks that first differ in a bit, the greater has it set. What shares all higher
    bits lies side by side, in the order given; there each unset bit is passed by the set ones before it.
    """
    found = 0
    for bit in reversed(range(int(ranks.max(initial=0)).bit_length())):
        above, bits = ranks >> (bit + 1), (ranks >> bit) & 1
        set_before = bits.cumsum() - bits
        set_in_block = set_before - set_before[np.searchsorted(above, above)]
        found += int(set_in_block[bits == 0].sum())
        ranks = ranks[np.argsort(ranks >> bit, kind="stable")]
    return found
