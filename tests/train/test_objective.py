from __future__ import annotations

import pytest
import torch

from tmkd.train.objective import objective, soft_loss


def test_a_part_that_counts_and_has_no_target_is_an_error() -> None:
    logits, labels = torch.zeros(2, 2), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="golden header and labels"):
        objective(None, labels, torch.zeros(2, 1, 2), torch.zeros(2, 1, 2), 0.5)
    with pytest.raises(ValueError, match="soft headers"):
        objective(logits, labels, None, None, 0.5)


def test_logits_of_other_shapes_are_never_broadcast() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        soft_loss(torch.zeros(2, 1, 2), torch.zeros(2, 3, 2))


def test_the_loss_of_a_pair_does_not_depend_on_the_others() -> None:
    torch.manual_seed(0)
    golden, labels = torch.randn(5, 2), torch.tensor([0, 1, 1, 0, 1])
    soft, teacher = torch.randn(5, 3, 2), torch.randn(5, 3, 2)
    together = objective(golden, labels, soft, teacher, 0.3)
    alone = [objective(golden[[i]], labels[[i]], soft[[i]], teacher[[i]], 0.3).item() for i in range(5)]
    assert together.tolist() == pytest.approx(alone)
