from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import tiny
from tmkd.data.labels import LabelSet
from tmkd.data.pairs import Corpus, require_golden
from tmkd.errors import TmkdError
from tmkd.recipe import schema
from tmkd.recipe.fit import FitSpec
from tmkd.teachers.finetune import finetune
from tmkd.teachers.network import load
from tmkd.train.hardware import Hardware

Make = Callable[..., Path]
LABELS = LabelSet("toy", ("no", "yes"), "yes")
FIT = {**tiny.FIT, "learning_rate": 3.0e-3, "epochs": 6}


def teach(
    folder: Path,
    base: Path,
    train: Corpus,
    dev: Corpus,
    fresh_pooler: bool = False,
    unlabelled: Literal["error", "drop"] = "error",
    **fit: Any,
) -> dict[str, Any]:
    settings = FitSpec(**{**FIT, **fit})
    teacher = schema.TeacherSpec(
        task="toy", base="it", max_length=32, fresh_pooler=fresh_pooler, unlabelled=unlabelled, fit=settings
    )
    folder.mkdir(exist_ok=True)
    return finetune("t", teacher, base, train, dev, folder, Hardware("cpu", "fp32"))


@pytest.mark.parametrize("family", ["bert", "roberta", "mpnet", "gpt2"])
def test_every_family_learns_and_can_be_opened_again(
    ready_made: Make, corpus: Callable[..., Corpus], tmp_path: Path, family: str
) -> None:
    train, dev = corpus(tiny.pairs(range(18))), corpus(tiny.pairs(range(18, 24)), name="dev")
    facts = teach(tmp_path / "t", ready_made(family), train, dev)
    assert facts["pairs"] == 36
    assert facts["steps"] == 5 * 6
    assert max(facts["dev"]) > 0.8
    assert facts["best_epoch"] == int(np.argmax(facts["dev"])) + 1
    teacher = load(tmp_path / "t", LABELS, {}, 32, Hardware("cpu", "fp32"), "t")
    table = dev.table()
    logits = teacher.logits(table["question"].to_pylist(), table["passage"].to_pylist())
    assert (logits.argmax(axis=1) == dev.label_array()).mean() == max(facts["dev"])  # the best weights were kept
    assert not list((tmp_path / "t").glob("*.bin"))


def test_equal_seeds_give_equal_weights(ready_made: Make, corpus: Callable[..., Corpus], tmp_path: Path) -> None:
    train, dev = corpus(tiny.pairs(range(6))), corpus(tiny.pairs(range(18, 20)), name="dev")
    for name in ("a", "b"):
        teach(tmp_path / name, ready_made("bert"), train, dev, epochs=1, dropout=0.1)
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()


def test_a_base_with_another_tasks_head_gets_a_fresh_one(
    ready_made: Make, corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    base = ready_made("bert", ["entailment", "neutral", "contradiction"])
    train, dev = corpus(tiny.pairs(range(6))), corpus(tiny.pairs(range(18, 20)), name="dev")
    teach(tmp_path / "t", base, train, dev, epochs=1)
    assert load(tmp_path / "t", LABELS, {}, 32, Hardware("cpu", "fp32"), "t").order == (0, 1)


def test_a_pair_without_label_is_named(corpus: Callable[..., Corpus]) -> None:
    rows = [("a", "b", "yes"), ("why does it rain", "c", None)]
    with pytest.raises(TmkdError, match=r"rows\.tsv: pair 2 of 2 \('why does it rain'\) has no golden label"):
        require_golden(corpus(rows).table())


def test_unlabelled_pairs_may_be_left_out(ready_made: Make, corpus: Callable[..., Corpus], tmp_path: Path) -> None:
    rows = tiny.pairs(range(6))
    gaps: list[tuple[str, str, str | None]] = [(*row[:2], None) if place % 3 else row for place, row in enumerate(rows)]
    train, dev = corpus(gaps), corpus(tiny.pairs(range(18, 20)), name="dev")
    with pytest.raises(TmkdError, match="has no golden label"):
        teach(tmp_path / "t", ready_made("bert"), train, dev, epochs=1)
    assert teach(tmp_path / "t", ready_made("bert"), train, dev, epochs=1, unlabelled="drop")["pairs"] == 4
    nothing = corpus([(*row[:2], None) for row in rows], name="nothing")
    with pytest.raises(TmkdError, match="there is no pair to train on"):
        teach(tmp_path / "n", ready_made("bert"), nothing, dev, epochs=1, unlabelled="drop")


def test_a_fresh_pooler_is_where_training_starts(
    ready_made: Make, corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    train, dev = corpus(tiny.pairs(range(2))), corpus(tiny.pairs(range(18, 20)), name="dev")
    teach(tmp_path / "t", ready_made("bert"), train, dev, fresh_pooler=True, epochs=1, learning_rate=1e-12)
    drawn = torch.nn.init.xavier_uniform_(torch.empty(16, 16), generator=torch.Generator().manual_seed(1))
    pretrained, taught = (load_file(folder / "model.safetensors") for folder in (ready_made("bert"), tmp_path / "t"))
    pooler = taught.pop("bert.pooler.dense.weight")
    torch.testing.assert_close(pooler, drawn)
    for name, weight in taught.items():
        if name.startswith("bert."):
            torch.testing.assert_close(weight, pretrained[name])


def test_a_fresh_pooler_of_a_model_that_has_none_is_refused(
    ready_made: Make, corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    pairs = corpus(tiny.pairs(range(2)))
    with pytest.raises(TmkdError, match="fresh_pooler: true, but the encoder has no pooler"):
        teach(tmp_path / "t", ready_made("gpt2"), pairs, pairs, fresh_pooler=True)
