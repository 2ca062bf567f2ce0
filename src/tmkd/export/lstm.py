"""Constants of a Bi-LSTM encoder in its graph (`tmkd.bundle.lstm_graph`)."""

from __future__ import annotations

import numpy as np
from torch import nn

from tmkd.bundle.graph import Constants
from tmkd.bundle.lstm_graph import TEXTS
from tmkd.export.onnx_graph import array, embedding_constants
from tmkd.network.bilstm import BiLSTM

_GATES = (0, 3, 1, 2)  # torch's order is input, forget, cell, output; ONNX's input, output, forget, cell


def lstm_constants(encoder: BiLSTM, int8: bool) -> Constants:
    """Constants of a Bi-LSTM's graph; with `int8` its word vectors are int8."""
    constants = embedding_constants("words", array(encoder.embeddings.weight), int8)
    for text, layers in zip(TEXTS, (encoder.question, encoder.passage), strict=True):
        for layer in range(layers.num_layers):
            constants |= {f"{text}.{layer}.{part}": value for part, value in _weights(layers, layer).items()}
    return constants


def _weights(layers: nn.LSTM, layer: int) -> Constants:
    """Weights of both directions: of inputs (2, 4 units, in), of states (2, 4 units, units), biases (2, 8 units)."""

    def gates(name: str) -> np.ndarray:
        both = [array(getattr(layers, f"{name}_l{layer}{direction}")) for direction in ("", "_reverse")]
        return np.stack([np.concatenate([np.split(one, 4)[gate] for gate in _GATES]) for one in both])

    biases = np.concatenate([gates("bias_ih"), gates("bias_hh")], axis=1)
    return {"inputs": gates("weight_ih"), "states": gates("weight_hh"), "bias": biases}
