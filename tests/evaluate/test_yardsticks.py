"""BM25 by hand, similarities of an encoder as it is, and their log-odds fitted to hand labels."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from network.test_embeddings import write_model, write_settings
from tmkd.data.labels import LabelSet
from tmkd.errors import TmkdError
from tmkd.evaluate.yardsticks import K1, B, Bm25, Cosine, Yardstick
from tmkd.metrics.calibration import fit_log_odds
from tmkd.train.hardware import Hardware

CPU = Hardware("cpu", "fp32")
LABELS = LabelSet("toy", ("no", "yes"), "yes")
PASSAGES = ["green tea", "black tea leaves dried", "rain clouds"]


def test_bm25_is_its_formula() -> None:
    bm25 = Bm25.of(PASSAGES)
    # tea is in two of three passages, leaves in one; the mean length is 8/3 terms, this passage has four.
    idf = {"tea": log(1 + 1.5 / 2.5), "leaves": log(1 + 2.5 / 1.5)}
    norm = K1 * (1 - B + B * 4 / (8 / 3))
    expected = sum(value * (K1 + 1) / (1 + norm) for value in idf.values())
    assert bm25.scores(["tea leaves"], ["black tea leaves dried"])[0] == pytest.approx(expected)


def test_a_term_counts_as_often_as_the_passage_has_it_and_once_for_the_question() -> None:
    bm25 = Bm25.of(PASSAGES)
    once, twice, asked_twice = bm25.scores(["tea", "tea", "tea tea"], ["tea rain", "tea tea", "tea rain"])
    assert once < twice < 2 * once
    assert asked_twice == once


def test_stop_words_and_foreign_words_score_nothing() -> None:
    assert Bm25.of(PASSAGES).scores(["what is the sun", ""], ["the sea is what it is", "tea"]).tolist() == [0, 0]


def test_a_passage_that_stands_twice_counts_once() -> None:
    assert Bm25.of([*PASSAGES, PASSAGES[0]]).passages == 3


def test_an_empty_collection_scores_all_the_same() -> None:
    assert np.isfinite(Bm25.of([]).scores(["tea"], ["tea"])).all()


class Fixed:
    """A score that is given."""

    name, parameters, bytes, precision = "fixed", 7, 70, "fp32"

    def __init__(self, *values: float) -> None:
        self.values = values

    def scores(self, questions: Sequence[str], passages: Sequence[str]) -> np.ndarray:
        return np.array(self.values[: len(questions)])

    def mean_tokens(self, questions: Sequence[str], passages: Sequence[str]) -> float:
        return 3.0


def _golden(*labels: int) -> pa.Table:
    texts = [str(n) for n in range(len(labels))]
    return pa.table({"question": texts, "passage": texts, "label": pa.array(labels, pa.int64())})


@pytest.mark.parametrize("positive", ["yes", "no"])
def test_its_probabilities_are_the_fitted_log_odds_of_the_positive_class(positive: str) -> None:
    labels = LabelSet("toy", ("no", "yes"), positive)
    yardstick = Yardstick.fitted(Fixed(0.1, 0.4, 0.3, 0.8), _golden(0, 1, 0, 1), labels)
    line = fit_log_odds([0.1, 0.4, 0.3, 0.8], [label == labels.positive_index for label in (0, 1, 0, 1)])
    found = yardstick.probabilities(["a", "b"], ["a", "b"])
    expected = [1 / (1 + np.exp(-(line.slope * score + line.offset))) for score in (0.1, 0.4)]
    assert found[:, labels.positive_index] == pytest.approx(expected)
    assert found.sum(axis=1) == pytest.approx([1, 1])
    assert (yardstick.name, yardstick.parameters, yardstick.bytes, yardstick.precision) == ("fixed", 7, 70, "fp32")
    assert yardstick.mean_tokens(["a"], ["a"]) == 3.0


@pytest.mark.parametrize(
    ("scores", "labels", "share"), [((0.5, 0.5, 0.5), (0, 1, 0), 2 / 5), ((0.1, 0.2), (1, 1), 3 / 4)]
)
def test_a_score_that_cannot_be_fitted_says_the_shares_of_the_classes(
    scores: tuple[float, ...], labels: tuple[int, ...], share: float
) -> None:
    yardstick = Yardstick.fitted(Fixed(*scores), _golden(*labels), LABELS)
    assert yardstick.probabilities(["a"], ["a"])[0, 1] == pytest.approx(share)


def test_an_encoder_that_does_not_say_how_it_pools_is_read_by_its_mean(tmp_path: Path) -> None:
    write_model(tmp_path)
    texts = (["what is tea", "what is rain"], ["tea is a drink", "tea"])
    plain = Cosine.of("cosine", tmp_path, CPU)
    write_settings(tmp_path, {"pooling_mode_mean_tokens": True})
    np.testing.assert_allclose(plain.scores(*texts), Cosine.of("cosine", tmp_path, CPU).scores(*texts))
    write_settings(tmp_path, {"pooling_mode_cls_token": True})
    assert np.abs(plain.scores(*texts) - Cosine.of("cosine", tmp_path, CPU).scores(*texts)).max() > 1e-3
    assert plain.parameters > 0
    assert (plain.precision, plain.mean_tokens(*texts)) == ("fp32", 4.5 + 5)


def test_an_encoder_whose_weights_are_damaged_is_an_error(tmp_path: Path) -> None:
    write_model(tmp_path)
    damaged = Cosine.of("cosine (toy)", tmp_path, CPU)
    with torch.no_grad():
        next(damaged.model.encoder.parameters()).fill_(float("nan"))
    with pytest.raises(TmkdError, match=r"cosine \(toy\): .* its weights are damaged"):
        damaged.scores(["a"], ["b"])
