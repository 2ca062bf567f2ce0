"""`tmkd bench`: the models, the calls, the table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

import tiny
from tiny import Call
from tmkd.bundle import Ranker
from tmkd.errors import TmkdError, UsageError
from tmkd.evaluate.bench import bench, measure, synthetic_pairs


def test_every_cell_of_bundle_and_rivals_is_measured(made: tuple[Path, Path], tmkd: Call, tmp_path: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    from tmkd.network.encoder import quiet

    teacher = tmp_path / "teacher"
    teacher.mkdir()
    config = BertConfig(
        vocab_size=len(tiny.WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64,
    )  # fmt: skip
    with quiet():
        BertForSequenceClassification(config).save_pretrained(teacher)
    tiny.write_tokenizer(teacher)
    words = ["--batch", 1, "--batch", 4, "--length", 16, "--threads", 1, "--calls", 2, "--json"]
    said = tmkd("bench", made[1], "--against", made[0], "--against", teacher, *words)
    assert said.code == 0, said.err
    told = json.loads(said.out)
    cells = [(one["name"], one["precision"], one["batch"], one["length"]) for one in told["points"]]
    rivals = [("bundle", "int8"), ("bundle", "fp32"), ("student", "fp32"), ("teacher", "fp32")]
    assert cells == [(*rival, batch, 16) for batch in (1, 4) for rival in rivals]
    assert all(one["pairs_per_second"] > 0 and one["p50_ms"] <= one["p99_ms"] for one in told["points"])
    assert "cores" in told["machine"]
    assert told["kernel"].startswith("kernel ")


def test_synthetic_pairs_have_the_length_asked_for_or_the_most_that_fits(made: tuple[Path, Path]) -> None:
    ranker = Ranker(made[1])
    tokenizer = Tokenizer.from_file(str(made[1] / "tokenizer.json"))
    for length, expected in ((16, 16), (4, 5), (500, 32)):
        texts = synthetic_pairs(tokenizer, ranker.tokenizer, length, 5, seed=1)
        assert set(ranker.tokenizer.encode(*texts).lengths.tolist()) == {expected}
    one, other = (synthetic_pairs(tokenizer, ranker.tokenizer, 16, 5, seed=1) for _ in range(2))
    assert one == other


def test_calls_end_with_their_number_or_their_time_and_get_successive_batches() -> None:
    seen: list[list[str]] = []
    texts = [str(number) for number in range(4)], ["p"] * 4
    took = measure(lambda questions, passages: seen.append(list(questions)), texts, 3, 5, 60.0)
    assert len(took) == 5
    timed = [["0", "1", "2"], ["3", "0", "1"], ["2", "3", "0"], ["1", "2", "3"], ["0", "1", "2"]]
    assert seen == [*timed[:3], *timed]  # three calls warm up
    assert len(measure(lambda questions, passages: None, texts, 1, 10**9, 1e-9)) == 1
    assert (took >= 0).all()
    assert isinstance(took, np.ndarray)


def test_a_folder_without_a_model_and_a_number_below_1_are_errors(made: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match="neither a bundle nor a model"):
        list(bench(made[1], [tmp_path], [1], [16], [1], 1, 1.0))
    with pytest.raises(UsageError, match="must be above 0"):
        list(bench(made[1], [], [0], [16], [1], 1, 1.0))
