from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import tiny
from tmkd.bundle.bert_graph import BertSettings, bert_vector
from tmkd.bundle.graph import INPUTS, Graph
from tmkd.errors import TmkdError
from tmkd.export.bert import bert_constants, bert_settings, int8_layers
from tmkd.export.onnx_graph import onnx_model
from tmkd.network.encoder import Pool, bottom_layers, represent

IDS = np.array([[2, 7, 3, 8, 3], [2, 9, 3, 3, 0]])
BATCH = {"input_ids": IDS, "attention_mask": (IDS != 0).astype(np.int64), "token_type_ids": IDS // 8}


@pytest.mark.parametrize("pool", ["pooler", "first"])
def test_the_vector_is_the_encoders(tmp_path: Path, pool: Pool) -> None:
    encoder = bottom_layers(tiny.write_encoder(tmp_path), 2, pool).eval()
    with torch.no_grad():
        for name, weight in encoder.named_parameters():
            if "bias" in name:
                weight.normal_(std=0.3)  # BERT's own are 0, and none would be missed
        expected = represent(encoder, pool, *(torch.from_numpy(BATCH[name]) for name in INPUTS))
    graph = Graph(bert_constants(encoder, pool, {}, int8=False))
    vector, width = bert_vector(graph, BertSettings.of(bert_settings(encoder)))
    model = onnx_model(graph, INPUTS, vector, width)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, BATCH)[0], expected.numpy(), atol=1e-5)


def test_of_the_last_layer_only_key_and_value_are_int8() -> None:
    assert int8_layers(1) == [f"encoder.layer.0.attention.self.{part}" for part in ("key", "value")]
    assert len(int8_layers(3)) == 2 * 6 + 2


def test_an_activation_without_an_operator_is_refused(tmp_path: Path) -> None:
    encoder = bottom_layers(tiny.write_encoder(tmp_path), 1, "first")
    encoder.config.hidden_act = "silu"
    with pytest.raises(TmkdError, match="whose activation is silu has no ONNX export; gelu, gelu_new"):
        bert_settings(encoder)
