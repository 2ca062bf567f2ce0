from __future__ import annotations

import pytest
import torch

from tmkd.train.objective import objective, outvoted, soft_loss


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


def log_odds(*values: float) -> torch.Tensor:
    """Logits of one pair whose log-odds these are, one per header: (1, headers, 2)."""
    return torch.tensor([[[0.0, value] for value in values]])


NAN = float("nan")


@pytest.mark.parametrize(
    ("student", "teacher", "masked"),
    [
        ((0, 0, 0), (1, 3, -2), [False, False, True]),  # pulls +1, +3 and −2: two against one
        ((0, 0, -5), (1, 3, -2), [False, False, False]),  # the third pulls its own header up: −2 − (−5) = +3
        ((2, 2, 2), (1, 3, -2), [False, True, False]),  # pulls −1, +1, −4
        ((0, 0, 0, 0), (1, 3, -2, -9), [False] * 4),  # as many in both directions: no majority
        ((0, 0, 0, 0), (1, 3, 2, -9), [False, False, False, True]),
        ((0, 0, 0), (1, -1, 0), [False] * 3),  # no direction is no vote, and not against any
        ((0, 0, 0), (1, 2, 0), [False] * 3),
        ((0, 0, 0, 0), (1, 2, -1, NAN), [False, False, True, False]),  # without a score, without a vote
        ((0, 0), (1, NAN), [False, False]),
    ],
)
def test_the_minority_of_a_pairs_teachers_is_outvoted(
    student: tuple[float, ...], teacher: tuple[float, ...], masked: list[bool]
) -> None:
    assert outvoted(log_odds(*student), log_odds(*teacher)).tolist() == [masked]
    swapped = outvoted(log_odds(*student).flip(2), log_odds(*teacher).flip(2))
    assert swapped.tolist() == [masked]  # whichever class is the positive one


def test_a_pair_has_the_loss_of_the_headers_that_are_not_outvoted() -> None:
    student, teacher = log_odds(0, 0, 0), log_odds(1, 3, -2)
    # (0² + 1²)/2 = .5, (0² + 3²)/2 = 4.5 and, outvoted, (0² + 2²)/2 = 2.
    assert soft_loss(student, teacher, vote=True).tolist() == pytest.approx([(0.5 + 4.5) / 2])
    assert soft_loss(student, teacher).tolist() == pytest.approx([(0.5 + 4.5 + 2) / 3])
    missing = log_odds(1, NAN, -2)
    assert soft_loss(student, missing, masked=True, vote=True).tolist() == pytest.approx([(0.5 + 2) / 2])


def test_teachers_of_one_mind_have_the_loss_of_before() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(5, 3, 2), torch.randn(5, 1, 2)
    moved = student + teacher  # every teacher of a pair pulls as the others
    torch.testing.assert_close(soft_loss(student, moved, vote=True), soft_loss(student, moved))


def test_an_outvoted_header_is_moved_by_no_pair_that_it_is_outvoted_on() -> None:
    student = log_odds(0, 0, 0).requires_grad_()
    loss = objective(torch.zeros(1, 2), torch.tensor([1]), student, log_odds(1, 3, -2), 0.5, vote=True)
    (gradient,) = torch.autograd.grad(loss.sum(), [student])
    # d/ds of 0.5 · (s − t)² / 2 classes / 2 headers
    assert gradient.tolist() == [[[0.0, -0.25], [0.0, -0.75], [0.0, 0.0]]]
