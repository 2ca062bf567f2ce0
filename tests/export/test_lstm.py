from __future__ import annotations

import numpy as np
import onnxruntime
import torch

from tmkd.bundle.graph import INPUTS, Graph
from tmkd.bundle.lstm_graph import CLS_ID, SEP_ID, lstm_vector
from tmkd.export.lstm import lstm_constants
from tmkd.export.onnx_graph import onnx_model
from tmkd.network.bilstm import FIRST, SEPARATOR, SPECIALS, BiLSTM, BiLSTMConfig

# [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3; a pair, one whose question is longer, one without a question, an empty one.
IDS = np.array([[2, 5, 3, 6, 7, 3], [2, 8, 9, 4, 3, 3], [2, 3, 5, 3, 0, 0], [2, 3, 3, 0, 0, 0]])
TYPES = np.array([[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 1], [0, 0, 1, 1, 0, 0], [0, 0, 1, 0, 0, 0]])
BATCH = {"input_ids": IDS, "attention_mask": (IDS != 0).astype(np.int64), "token_type_ids": TYPES}


def test_the_vector_is_the_encoders_for_texts_of_any_length() -> None:
    torch.manual_seed(3)
    config = BiLSTMConfig(vocab_size=10, embedding_size=6, hidden_size=16, num_hidden_layers=2)
    encoder = BiLSTM(config).eval()
    with torch.no_grad():
        expected = encoder(*(torch.from_numpy(BATCH[name]) for name in INPUTS)).pooler_output
    graph = Graph(lstm_constants(encoder, int8=False))
    vector, width = lstm_vector(graph)
    model = onnx_model(graph, INPUTS, vector, width)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, BATCH)[0], expected.numpy(), atol=1e-5)


def test_special_tokens_have_the_networks_ids() -> None:
    assert (SPECIALS.index(FIRST), SPECIALS.index(SEPARATOR)) == (CLS_ID, SEP_ID)
