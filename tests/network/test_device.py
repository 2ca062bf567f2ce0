from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

import tiny_fit
from tmkd.network.bilstm import BiLSTM, BiLSTMConfig
from tmkd.network.device import fuse_attention, length_multiple, on_device, place, scoring_budget, token_budget


def test_attention_is_fused_in_each_network_that_has_a_fused_one() -> None:
    student = tiny_fit.student(1)
    config = BertConfig(vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    teacher = BertForSequenceClassification._from_config(config, attn_implementation="eager")
    for model, body in ((student, student.encoder), (teacher, teacher.bert)):
        assert body.config._attn_implementation == "eager"
        fuse_attention(model)
        assert body.config._attn_implementation == "sdpa"
    fuse_attention(BiLSTM(BiLSTMConfig(vocab_size=40, embedding_size=8, hidden_size=8)))


def test_on_a_cpu_the_attention_stays() -> None:
    student = tiny_fit.student(1)
    place(student, "cpu")
    assert student.encoder.config._attn_implementation == "eager"


def test_a_cuda_device_takes_a_token_id_per_mebibyte_and_a_cpu_what_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=81_000 << 20))
    assert token_budget("cuda", 2048) == 81_000
    assert token_budget("cpu", 2048) == 2048


def test_a_scoring_on_cuda_takes_more_as_far_as_that_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    for gibibytes, ids in ((80, 262_144), (8, 131_072)):
        memory = SimpleNamespace(total_memory=gibibytes << 30)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device, memory=memory: memory)
        assert scoring_budget("cuda", 2048) == ids
    assert scoring_budget("cpu", 2048) == 2048


def test_lengths_are_rounded_on_cuda_alone() -> None:
    assert (length_multiple("cuda"), length_multiple("cpu")) == (8, 1)


def test_on_a_cpu_an_array_is_not_copied() -> None:
    array = np.arange(3)
    assert on_device(array, "cpu").data_ptr() == array.ctypes.data
