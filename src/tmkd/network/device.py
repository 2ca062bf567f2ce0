"""Choices that follow the device: attention, token ids per batch, lengths that batches are padded to."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

CUDA = "cuda"
# On CUDA one padded token id per MiB of its memory: a training in bf16 keeps about 0.5 MiB per id of a 12-layer
# encoder of width 768 until its backward pass.
_BYTES_PER_ID = 2**20
# Scoring keeps the states of one layer alone, below 64 KiB per id. On an H100 a network of width 384 scored 79,000
# pairs/s with 32,768 ids a batch, 102,000 with 81,000 and 119,000 with 262,144: more is not worth its memory.
_BYTES_PER_SCORED_ID = 2**16
_SCORED_IDS = 262_144
# Fused attention on CUDA reads its mask, a number per token id, 16 bytes at a time.
_CUDA_MULTIPLE = 8


def place(model: nn.Module, device: str) -> None:
    """Move a model to a device; on CUDA its attention becomes transformers' `sdpa`, one fused kernel.

    That kernel is then never cuDNN's, in the whole process: cuDNN plans each new shape of batches, for longer than the
    batch itself takes. On a CPU the attention stays as it was opened: fused attention has a slow backward pass there.
    """
    if device == CUDA:
        torch.backends.cuda.enable_cudnn_sdp(False)
        fuse_attention(model)
    model.to(device)


def fuse_attention(model: nn.Module) -> None:
    """Set the attention of each network of transformers within a model to `sdpa` where its family has it."""
    for part in model.modules():
        if isinstance(part, PreTrainedModel) and part._supports_sdpa:
            part.set_attn_implementation("sdpa")


def token_budget(device: str, on_cpu: int) -> int:
    """Token ids per micro-batch, padding included: `on_cpu` there, on CUDA as many as the memory is sure to hold."""
    if device == CUDA:
        return int(torch.cuda.get_device_properties(device).total_memory) // _BYTES_PER_ID
    return on_cpu


def scoring_budget(device: str, on_cpu: int) -> int:
    """Token ids per batch that is scored, padding included: `on_cpu` there, on CUDA as many as make it faster."""
    if device == CUDA:
        memory = int(torch.cuda.get_device_properties(device).total_memory)
        return min(memory // _BYTES_PER_SCORED_ID, _SCORED_IDS)
    return on_cpu


def length_multiple(device: str) -> int:
    """Number of token ids of which a batch's padded length is a multiple."""
    return _CUDA_MULTIPLE if device == CUDA else 1


def on_device(array: np.ndarray, device: str) -> Tensor:
    """Copy an array to a device; the call does not wait for the copy, nor for the work before it."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device == CUDA else tensor
