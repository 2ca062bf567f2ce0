"""Hand-labelled pairs of a training set: those whose labels no threshold made."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tmkd.data.pairs import Corpus
from tmkd.recipe.parts import SourceSpec


def weak_names(sources: Sequence[SourceSpec]) -> tuple[str, ...]:
    """Select the sources with a threshold, which makes weak labels; returns the names that their pairs have."""
    return tuple(one.source or Path(one.file).name for one in sources if one.threshold is not None)


def is_weak(table: pa.Table, names: Collection[str]) -> np.ndarray:
    """Mask of the pairs that come from these sources, bool (pairs,)."""
    return np.asarray(pc.is_in(table["source"], pa.array(list(names), pa.string())))


def hand_labelled(train: Corpus, sources: Sequence[SourceSpec]) -> pa.Table:
    """Select the labelled pairs of a training set that come from no source with a threshold.

    Where every label is weak, all labelled pairs. Sources that share a name count as one.
    """
    labelled = train.table()
    labelled = labelled.filter(labelled["label"].is_valid())
    by_hand = labelled.filter(~is_weak(labelled, weak_names(sources)))
    return by_hand if by_hand.num_rows else labelled
