"""A tiny BERT as an ONNX file, exported as the packages' own were."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

import tiny

Export = Callable[..., tuple[bytes, BertModel]]


class _Wrapped(nn.Module):
    """A BERT under another module's name, as sentence-transformers has it."""

    def __init__(self, bert: BertModel, pooling: str) -> None:
        super().__init__()
        self.auto_model = bert
        self.pooling = pooling

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        states: Tensor = self.auto_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        if self.pooling == "none":
            return states
        if self.pooling == "first":
            return states[:, 0]
        mask = attention_mask.unsqueeze(2).float()
        return (states * mask).sum(dim=1) / mask.sum(dim=1)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """(pooling) → the ONNX file of a BERT of random weights for the tiny tokenizer, and the BERT."""

    def export(pooling: str = "none") -> tuple[bytes, BertModel]:
        torch.manual_seed(4)
        config = BertConfig(
            vocab_size=len(tiny.WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=4,
            intermediate_size=24, max_position_embeddings=20, initializer_range=0.4, attn_implementation="eager",
        )  # fmt: skip
        bert = BertModel(config, add_pooling_layer=False)
        for weight in bert.parameters():
            nn.init.normal_(weight, std=0.4)
        ids, file = torch.zeros(2, 5, dtype=torch.long), tmp_path_factory.mktemp("onnx") / "bert.onnx"
        names, axes = ["input_ids", "attention_mask"], {0: "pairs", 1: "longest"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch about its own exporter
            torch.onnx.export(
                _Wrapped(bert, pooling).eval(), (ids, torch.ones_like(ids)), file, dynamo=False, opset_version=17,
                input_names=names, output_names=["output"], dynamic_axes=dict.fromkeys(names, axes),
            )  # fmt: skip
        return file.read_bytes(), bert

    return export
