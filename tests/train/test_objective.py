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


@pytest.mark.parametrize("masked", [False, True])
def test_logits_of_other_shapes_are_never_broadcast(masked: bool) -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        soft_loss(torch.zeros(2, 1, 2), torch.zeros(2, 3, 2), masked)


def test_a_mask_over_complete_scores_changes_nothing() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(5, 3, 2), torch.randn(5, 3, 2)
    torch.testing.assert_close(soft_loss(student, teacher, masked=True), soft_loss(student, teacher))


def test_a_missing_score_or_label_moves_no_header() -> None:
    golden, soft = torch.randn(1, 2, requires_grad=True), torch.randn(1, 2, 2, requires_grad=True)
    teacher = torch.tensor([[[1.0, 2.0], [float("nan"), float("nan")]]])
    loss = objective(golden, torch.tensor([-1]), soft, teacher, 0.5, masked=True)
    golden_gradient, soft_gradient = torch.autograd.grad(loss.sum(), [golden, soft])
    assert golden_gradient.tolist() == [[0.0, 0.0]]
    assert soft_gradient[0, 1].tolist() == [0.0, 0.0]
    # d/ds of 0.5 · (s − t)²/2 over two classes
    torch.testing.assert_close(soft_gradient[0, 0], 0.5 * (soft[0, 0] - teacher[0, 0]).detach())


def test_the_loss_of_a_pair_does_not_depend_on_the_others() -> None:
    torch.manual_seed(0)
    golden, labels = torch.randn(5, 2), torch.tensor([0, 1, 1, 0, 1])
    soft, teacher = torch.randn(5, 3, 2), torch.randn(5, 3, 2)
    together = objective(golden, labels, soft, teacher, 0.3)
    alone = [objective(golden[[i]], labels[[i]], soft[[i]], teacher[[i]], 0.3).item() for i in range(5)]
    assert together.tolist() == pytest.approx(alone)
