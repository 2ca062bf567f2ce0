from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tiny_bundle
from tmkd.bundle import Ranker
from tmkd.data.text import PairTokenizer
from tmkd.evaluate.bundle_scorer import BundleScorer


def test_a_bundle_is_scored_by_the_engine_that_serves_it(made: tuple[Path, Path]) -> None:
    student, bundle = made
    scorer, ranker = BundleScorer.open("toy, bundle", bundle, 1234), Ranker(bundle)
    questions, passages = zip(*tiny_bundle.PAIRS, strict=True)
    found = scorer.probabilities(questions, passages)
    assert found.dtype == np.float64
    assert found == pytest.approx(ranker.predict_proba(tiny_bundle.PAIRS), abs=1e-6)
    assert (scorer.name, scorer.parameters, scorer.precision) == ("toy, bundle", 1234, ranker.engine_words)
    graph = {"int8": "model.int8.onnx", "fp32": "model.onnx"}[ranker.precision]
    names = ("bundle.json", graph, "tokenizer.json")
    assert scorer.bytes == sum((bundle / name).stat().st_size for name in names)
    tokens = PairTokenizer.load(student, ranker.bundle.text.max_length).encode(questions, passages)
    assert scorer.mean_tokens(questions, passages) == tokens.lengths.mean()
