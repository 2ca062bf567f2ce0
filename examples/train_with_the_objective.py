"""Train headers on made-up vectors with Eq. 5 alone: python examples/train_with_the_objective.py"""

import torch

from tmkd.train.objective import objective

torch.manual_seed(1)
vectors = torch.randn(256, 16)  # what a student's body gives: (pairs, width)
teachers = torch.randn(16, 2, 2)  # two teachers of two classes
teacher_logits = torch.einsum("pw,wtc->ptc", vectors, teachers)  # (pairs, teachers, classes)
labels = teacher_logits.mean(dim=1).argmax(dim=1)  # int64 (pairs,)

gold, soft = torch.nn.Linear(16, 2), torch.nn.Linear(16, 4)  # a header for the labels, one per teacher
optimizer = torch.optim.AdamW([*gold.parameters(), *soft.parameters()], lr=0.05)
for step in range(201):
    soft_logits = soft(vectors).view(-1, 2, 2)
    loss = objective(gold(vectors), labels, soft_logits, teacher_logits, alpha=0.9).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 50 == 0:
        print(f"step {step}: loss {loss.item():.4f}")
