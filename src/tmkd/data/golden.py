"""Hand-labelled pairs of a training set: those whose labels no threshold made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from tmkd.data.pairs import Corpus
from tmkd.recipe.parts import SourceSpec


def hand_labelled(train: Corpus, sources: Sequence[SourceSpec]) -> pa.Table:
    """Select the labelled pairs of a training set that come from no source with a threshold.

    Where every label is weak, all labelled pairs. Sources that share a name count as one.
    """
    labelled = train.table()
    labelled = labelled.filter(labelled["label"].is_valid())
    weak = [one.source or Path(one.file).name for one in sources if one.threshold is not None]
    by_hand = labelled.filter(pc.invert(pc.is_in(labelled["source"], pa.array(weak, pa.string()))))
    return by_hand if by_hand.num_rows else labelled
