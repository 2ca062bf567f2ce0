"""The script that times BERT's shapes, at tiny sizes; the sizes of its own shapes."""

from __future__ import annotations

import pytest
import torch
from benchmarks.shapes import SHAPES, measure
from transformers import BertConfig, BertForSequenceClassification

from tmkd.report.paper_tables import SHAPES as PAPER

TINY = {
    name: BertConfig(
        vocab_size=50, hidden_size=8, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=16
    )
    for name, layers in (("BERT-base", 1), ("BERT-large", 2))
}


def test_every_shape_has_a_speed_of_its_own() -> None:
    found = measure(TINY, length=6, batch=4, repeats=1, device="cpu")
    base, large = found.shapes
    assert [base.name, large.name] == ["BERT-base", "BERT-large"]
    assert large.parameters - base.parameters == 4 * (8 * 8 + 8) + (8 * 16 + 16) + (16 * 8 + 8) + 4 * 8  # a layer
    assert min(base.pairs_per_second, base.alone_ms, large.pairs_per_second, large.alone_ms) > 0
    assert (found.length, found.batch, found.repeats, found.precision) == (6, 4, 1, "fp32")


@pytest.mark.parametrize(("name", "parameters"), [("BERT-base", 109_483_778), ("BERT-large", 333_581_314)])
def test_the_shapes_are_the_papers(name: str, parameters: int) -> None:
    assert [shape.name for shape in PAPER] == list(SHAPES)
    with torch.device("meta"):
        model = BertForSequenceClassification(SHAPES[name])
    assert sum(weight.numel() for weight in model.parameters()) == parameters
