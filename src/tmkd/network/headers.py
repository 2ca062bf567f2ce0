"""Named headers on the student's body, and the aggregation that turns them into one answer (§3.2.3, Eq. 1, 3, 6)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

INITIAL_DEVIATION = 0.02  # BERT's own


@dataclass(frozen=True, slots=True)
class Header:
    """Name of a header, `task/gold` or `task/teacher`, and the digest of its teacher."""

    name: str
    digest: str | None


class Headers(nn.Module):
    """One linear layer with bias per header: representation → raw logits (W_g · h1 of Eq. 1, W_si · h1 of Eq. 3)."""

    def __init__(self, named: Sequence[Header], width: int, classes: int) -> None:
        super().__init__()
        names = [header.name for header in named]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"a student needs at least one header, each named once; not {names}")
        self.named = tuple(named)
        linears = [nn.Linear(width, classes) for _ in named]
        for linear in linears:
            nn.init.normal_(linear.weight, std=INITIAL_DEVIATION)
            nn.init.zeros_(linear.bias)
        self.linears = nn.ModuleList(linears)

    def forward(self, representation: Tensor) -> Tensor:
        """representation (pairs, width) → raw logits (pairs, headers, classes)."""
        return torch.stack([linear(representation) for linear in self.linears], dim=1)

    def carry(self, other: Headers) -> None:
        """Take over the other's weights for each header with the same name, teacher digest and class count."""
        theirs = dict(zip(other.named, other.linears, strict=True))
        for header, linear in zip(self.named, self.linears, strict=True):
            old = theirs.get(header)
            if old is not None and old.weight.shape == linear.weight.shape:
                linear.load_state_dict(old.state_dict())


def aggregate(header_logits: Tensor) -> Tensor:
    """The log of the mean over headers of their class probabilities (Eq. 6), without ever leaving logarithms.

    header_logits (pairs, headers, classes) → log-probabilities (pairs, classes); their softmax is Eq. 6 itself.
    """
    headers = header_logits.shape[1]
    return torch.logsumexp(header_logits.log_softmax(dim=-1), dim=1) - math.log(headers)
