"""The paper's equations against numbers worked by hand, and what the method rests on."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tmkd.data.labels import LabelSet
from tmkd.network import Student, StudentConfig
from tmkd.network.encoder import encoder_config
from tmkd.network.headers import Header, Headers, aggregate
from tmkd.train.objective import golden_loss, objective, soft_loss

LABELS = LabelSet("qa", ("no", "yes"), "yes")
GOLD, T1, T2, T3 = (Header(f"qa/{name}", None if name == "gold" else name) for name in ("gold", "t1", "t2", "t3"))


def test_equations_1_and_3_are_the_softmax_of_a_linear_map_of_h1() -> None:
    headers = Headers([GOLD, T1], width=2, classes=2)
    with torch.no_grad():
        headers.linears[0].get_parameter("weight").copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        headers.linears[1].get_parameter("weight").copy_(torch.tensor([[2.0, 1.0], [1.0, 1.0]]))
    logits = headers(torch.tensor([[1.0, 2.0]]))
    # W_g h1 = (1, 2); W_s h1 = (2·1 + 2, 1 + 2) = (4, 3); softmax of a difference of 1: e/(1 + e) = 0.731059
    assert logits[0].tolist() == [[1.0, 2.0], [4.0, 3.0]]
    assert logits.softmax(-1)[0, 0].tolist() == pytest.approx([0.268941, 0.731059], abs=1e-6)
    assert logits.softmax(-1)[0, 1].tolist() == pytest.approx([0.731059, 0.268941], abs=1e-6)


def test_equation_2_is_the_cross_entropy_of_the_golden_header() -> None:
    loss = golden_loss(torch.tensor([[1.0, 2.0], [1.0, 2.0]]), torch.tensor([1, 0]))
    # −log 0.731059 = 0.313262; −log 0.268941 = 1.313262
    assert loss.tolist() == pytest.approx([0.313262, 1.313262], abs=1e-6)


def test_equation_4_is_the_mean_over_classes_then_over_headers() -> None:
    student = torch.tensor([[[1.0, 3.0], [0.0, 0.0]]])
    teacher = torch.tensor([[[0.0, 1.0], [1.0, -1.0]]])
    # header 1: (1² + 2²)/2 = 2.5; header 2: (1² + 1²)/2 = 1; mean: 1.75
    assert soft_loss(student, teacher).tolist() == [1.75]


def test_equation_5_weighs_the_two_losses() -> None:
    golden, labels = torch.tensor([[1.0, 2.0]]), torch.tensor([1])
    soft, teacher = torch.tensor([[[1.0, 3.0], [0.0, 0.0]]]), torch.tensor([[[0.0, 1.0], [1.0, -1.0]]])
    # 0.75 · 0.313262 + 0.25 · 1.75 = 0.672446
    assert objective(golden, labels, soft, teacher, 0.25).item() == pytest.approx(0.672446, abs=1e-6)


def test_a_pair_without_golden_label_has_alpha_times_the_soft_loss() -> None:
    golden, labels = torch.tensor([[1.0, 2.0], [1.0, 2.0]]), torch.tensor([1, -1])
    soft = torch.tensor([[[1.0, 3.0], [0.0, 0.0]]]).expand(2, 2, 2)
    teacher = torch.tensor([[[0.0, 1.0], [1.0, -1.0]]]).expand(2, 2, 2)
    # 0.75 · 0.313262 + 0.25 · 1.75 = 0.672446; without a label 0.25 · 1.75 = 0.4375, not 1.75
    assert objective(golden, labels, soft, teacher, 0.25).tolist() == pytest.approx([0.672446, 0.4375], abs=1e-6)


def test_masked_equation_4_averages_over_the_teachers_that_scored_the_pair() -> None:
    nan = float("nan")
    student = torch.tensor([[[1.0, 3.0], [0.0, 0.0]]]).expand(3, 2, 2)
    teacher = torch.tensor(
        [[[0.0, 1.0], [1.0, -1.0]], [[0.0, 1.0], [nan, nan]], [[nan, nan], [1.0, -1.0]]],
    )
    # both: (2.5 + 1)/2 = 1.75; the first alone: 2.5; the second alone: 1
    assert soft_loss(student, teacher, masked=True).tolist() == [1.75, 2.5, 1.0]


def test_at_alpha_0_and_1_the_other_part_is_not_asked_for() -> None:
    golden, labels = torch.tensor([[1.0, 2.0]]), torch.tensor([1])
    soft, teacher = torch.tensor([[[1.0, 3.0]]]), torch.tensor([[[0.0, 1.0]]])
    assert objective(golden, labels, None, None, 0.0).item() == pytest.approx(0.313262, abs=1e-6)
    assert objective(None, None, soft, teacher, 1.0).item() == 2.5


def test_equation_6_is_the_mean_of_the_probabilities_of_all_headers() -> None:
    # softmax (0, log 3) = (1/4, 3/4); (0, 0) → (1/2, 1/2); (log 4, 0) → (4/5, 1/5); mean (31/60, 29/60)
    logits = torch.tensor([[[0.0, 3.0], [1.0, 1.0], [4.0, 1.0]]])
    logits[0, 0, 1], logits[0, 2] = torch.tensor(3.0).log(), torch.tensor([4.0, 1.0]).log()
    assert aggregate(logits).exp()[0].tolist() == pytest.approx([31 / 60, 29 / 60])


def test_a_tie_of_logits_is_not_a_tie_of_probabilities() -> None:
    # Mean logits (2, 2) would say 1/2; the mean of probabilities (0.982014, 0.017986), (0.119203, 0.880797) does not.
    logits = torch.tensor([[[4.0, 0.0], [0.0, 2.0]]])
    assert aggregate(logits).exp()[0].tolist() == pytest.approx([0.550608, 0.449392], abs=1e-6)


class Body(nn.Module):
    """A body small enough to look at: pairs (pairs, 3) → h1 (pairs, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 4).double()

    def forward(self, pairs: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.linear(pairs))


def gradients(loss: torch.Tensor, *modules: nn.Module) -> list[torch.Tensor]:
    weights = [weight for module in modules for weight in module.parameters()]
    return list(torch.autograd.grad(loss, weights, retain_graph=True))


def test_one_header_shared_by_all_teachers_has_exactly_the_gradient_of_1avg_o_1() -> None:
    torch.manual_seed(0)
    body, header = Body(), nn.Linear(4, 2).double()
    pairs, teachers = torch.randn(6, 3).double(), torch.randn(6, 3, 2).double()
    one = header(body(pairs)).unsqueeze(1)
    many = soft_loss(one.expand(-1, 3, -1), teachers)
    average = soft_loss(one, teachers.mean(dim=1, keepdim=True))
    # mean_i (s − t_i)² = (s − mean t)² + variance of the t_i, which no weight can change
    assert torch.allclose(many - average, teachers.var(dim=1, correction=0).mean(dim=1))
    shared = gradients(many.mean(), body, header)
    averaged = gradients(average.mean(), body, header)
    assert all(torch.allclose(a, b, rtol=0, atol=1e-14) for a, b in zip(shared, averaged, strict=True))


def test_separate_headers_do_not() -> None:
    torch.manual_seed(0)
    body, headers = Body(), Headers([T1, T2, T3], 4, 2).double()
    pairs, teachers = torch.randn(6, 3).double(), torch.randn(6, 3, 2).double()
    own = headers(body(pairs))
    separate = gradients(soft_loss(own, teachers).mean(), body)
    # One header that starts as the mean of the three, on the mean of the teachers: the body is pulled elsewhere.
    averaged = gradients(soft_loss(own.mean(1, True), teachers.mean(1, True)).mean(), body)
    assert not any(torch.allclose(a, b) for a, b in zip(separate, averaged, strict=True))


def tiny(headers: list[Header]) -> Student:
    encoder = {
        "model_type": "bert",
        "vocab_size": 30,
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
        "max_position_embeddings": 16,
    }
    torch.manual_seed(0)
    return Student(StudentConfig.of(encoder, "pooler", LABELS, headers, 16))


def all_trained(headers: Headers) -> bool:
    """Gradients of every header's weight exist and are not 0."""
    gradients = [linear.get_parameter("weight").grad for linear in headers.linears]
    return all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)


def test_a_header_exists_only_if_its_stage_trains_it() -> None:
    ids, labels, teacher = torch.tensor([[1, 2, 3]]), torch.tensor([1]), torch.randn(1, 2, 2)
    first = tiny([T1, T2])  # stage 1, α = 1
    logits = first(ids).header_logits
    torch.autograd.backward(objective(None, None, logits, teacher, 1.0).mean())
    assert all_trained(first.headers)
    second = first.with_headers(LABELS, [GOLD, T2], seed=1)  # stage 2 listens to gold and to T2 alone
    logits = second(ids).header_logits
    torch.autograd.backward(objective(logits[:, 0], labels, logits[:, 1:], teacher[:, 1:], 0.5).mean())
    assert [header.name for header in second.headers.named] == ["qa/gold", "qa/t2"]
    assert all_trained(second.headers)
    answer = second.eval()(ids)
    assert torch.allclose(answer.logits.exp(), answer.header_logits.softmax(-1).mean(1))  # of two headers, not four


@pytest.mark.parametrize(("headers", "millions"), [([GOLD], 45.69), ([GOLD, T1, T2, T3], 45.70)])
def test_bert_3_has_as_many_parameters_as_the_paper_counts(headers: list[Header], millions: float) -> None:
    with torch.device("meta"):  # shapes alone
        shape = encoder_config(bert_base())
        student = Student(StudentConfig.of(shape | {"num_hidden_layers": 3}, "pooler", LABELS, headers, 128))
    assert round(sum(weight.numel() for weight in student.parameters()) / 1e6, 2) == millions


def bert_base() -> nn.Module:
    """bert-base-uncased's shape: the defaults of transformers' BertConfig."""
    from transformers import BertConfig, BertModel

    return BertModel(BertConfig())
