"""The objective of Eq. 5 and its two parts, as pure functions of logits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

UNLABELLED = -1  # in place of a golden label


def golden_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the golden header with the golden label (Eq. 2); 0 for a pair without one.

    logits (pairs, classes) float, labels (pairs,) int64, −1 where there is none → loss (pairs,).
    """
    return functional.cross_entropy(logits, labels, reduction="none", ignore_index=UNLABELLED)


def soft_loss(student: Tensor, teacher: Tensor, masked: bool = False, vote: bool = False) -> Tensor:
    """Mean over headers of the squared error between a header's logits and its teacher's (Eq. 4).

    student, teacher (pairs, headers, classes) raw logits → loss (pairs,). With `masked` a teacher's NaN is a score that
    it does not have, and 1/N counts the teachers that scored the pair, at least one. With `vote` (two classes) a pair
    has the loss of the headers alone that `outvoted` leaves, and 1/N counts them.
    """
    if student.shape != teacher.shape:
        raise ValueError(
            f"student logits {tuple(student.shape)} and teacher logits {tuple(teacher.shape)} differ in shape"
        )
    if not masked and not vote:
        return (student - teacher).square().mean(dim=(1, 2))
    counted = ~teacher.isnan().any(dim=2)
    if vote:
        counted &= ~outvoted(student.detach(), teacher)
    # NaN goes before the subtraction: 0 times its gradient would be NaN.
    errors = (student - torch.where(counted[..., None], teacher, student.detach())).square().mean(dim=2)
    return errors.sum(dim=1) / counted.sum(dim=1)


def outvoted(student: Tensor, teacher: Tensor) -> Tensor:
    """Mask of the headers whose teacher pulls against the majority of a pair's teachers, bool (pairs, headers).

    student, teacher (pairs, headers, 2) raw logits, NaN where a teacher has no score. A teacher's direction is the sign
    of its log-odds minus those of its own header. It has none at equal log-odds or without a score, and votes for
    nothing then. Equal numbers in both directions outvote none. After the gradient orientation vote of GOVERN (Zhou et
    al. 2024).
    """
    pull = teacher - student
    direction = (pull[..., 1] - pull[..., 0]).sign().nan_to_num()
    return direction * direction.sum(dim=1, keepdim=True) < 0


def objective(
    golden_logits: Tensor | None,
    labels: Tensor | None,
    soft_logits: Tensor | None,
    teacher_logits: Tensor | None,
    alpha: float,
    masked: bool = False,
    vote: bool = False,
) -> Tensor:
    """(1 − α) × golden loss + α × soft loss (Eq. 5); a part that weighs nothing needs no header and no target.

    golden_logits (pairs, classes), labels (pairs,); soft_logits, teacher_logits (pairs, headers, classes) → (pairs,).
    A pair without a label (−1) has α × soft loss alone; `masked` and `vote` as in `soft_loss`.
    Raises: ValueError when a part that counts lacks its logits or its target.
    """
    parts: list[Tensor] = []
    if alpha < 1:
        if golden_logits is None or labels is None:
            raise ValueError(f"alpha {alpha} is below 1: Eq. 5 needs a golden header and labels")
        parts.append((1 - alpha) * golden_loss(golden_logits, labels))
    if alpha > 0:
        if soft_logits is None or teacher_logits is None:
            raise ValueError(f"alpha {alpha} is above 0: Eq. 5 needs soft headers and teachers' logits")
        parts.append(alpha * soft_loss(soft_logits, teacher_logits, masked, vote))
    return torch.stack(parts).sum(dim=0)
