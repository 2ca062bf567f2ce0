from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from tiny_fit import (
    BOTH,
    IDS,
    LABELS,
    PAIRS,
    SETTINGS,
    SOFT,
    STEPS,
    TOKENS,
    Killed,
    header_logits,
    killing_after,
    same,
    student,
    train,
)
from tmkd.data.tokens import TokenIds
from tmkd.errors import TmkdError
from tmkd.network import Student
from tmkd.train.batches import Examples
from tmkd.train.hardware import Hardware
from tmkd.train.loop import FitReport, _arguments
from tmkd.train.trainer import Training


def wobbly_dev(model: Student) -> Callable[[], float]:
    """A dev score that depends on the weights, and draws random numbers while it is at it."""

    def dev() -> float:
        torch.rand(3)
        return float(model.headers.linears[0].get_parameter("weight").sum().detach())

    return dev


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Student, FitReport]:
    model = student(3)
    return model, train(model, tmp_path_factory.mktemp("work"), BOTH, dev=wobbly_dev(model))


# An epoch has about ten micro-batches; checkpoints are due after steps 3, 6, 9.
@pytest.mark.parametrize("calls", [1, 9, 15, 20, 26])
def test_killed_and_called_again_it_ends_with_the_same_weights(
    undisturbed: tuple[Student, FitReport], tmp_path: Path, calls: int
) -> None:
    model = student(3)
    with pytest.raises(Killed):
        train(model, tmp_path, BOTH, dev=wobbly_dev(model), forward=killing_after(calls))
    again = student(3)
    torch.manual_seed(99)  # another process, another random state
    report = train(again, tmp_path, BOTH, dev=wobbly_dev(again))
    assert same(again, undisturbed[0])
    assert (report.dev, report.best_epoch) == (undisturbed[1].dev, undisturbed[1].best_epoch)
    assert report.steps == STEPS


def test_killed_twice_it_goes_on_from_the_last_checkpoint(
    undisturbed: tuple[Student, FitReport], tmp_path: Path
) -> None:
    for calls in (13, 13):
        model = student(3)
        with pytest.raises(Killed):
            train(model, tmp_path, BOTH, dev=wobbly_dev(model), forward=killing_after(calls))
    steps = sorted(int(path.name.partition("-")[2]) for path in tmp_path.glob("checkpoint-*"))
    assert len(steps) == 2
    assert steps[0] >= 3
    again = student(3)
    train(again, tmp_path, BOTH, dev=wobbly_dev(again))
    assert same(again, undisturbed[0])


def test_a_torn_checkpoint_is_not_trusted(undisturbed: tuple[Student, FitReport], tmp_path: Path) -> None:
    model = student(3)
    with pytest.raises(Killed):
        train(model, tmp_path, BOTH, dev=wobbly_dev(model), forward=killing_after(25))
    last = max(tmp_path.glob("checkpoint-*"), key=lambda path: int(path.name.partition("-")[2]))
    (last / "optimizer.pt").write_bytes((last / "optimizer.pt").read_bytes()[:-20])
    again = student(3)
    train(again, tmp_path, BOTH, dev=wobbly_dev(again))
    assert same(again, undisturbed[0])


def test_what_a_fit_with_other_settings_left_behind_is_not_taken_up(tmp_path: Path) -> None:
    other = SETTINGS.model_copy(update={"learning_rate": 1e-3})
    with pytest.raises(Killed):
        train(student(1), tmp_path, settings=other, forward=killing_after(15))
    assert list(tmp_path.glob("checkpoint-*"))
    taken, fresh = student(1), student(1)
    train(taken, tmp_path)
    train(fresh, tmp_path / "fresh")
    assert same(taken, fresh)


def test_the_token_budget_only_cuts_a_step(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"dropout": 0.0, "clip": 1e9})
    models = [student(3), student(3)]
    for model, budget in zip(models, (12, 10_000), strict=True):
        train(model, tmp_path / str(budget), BOTH, settings=settings.model_copy(update={"token_budget": budget}))
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-4)
    assert not same(models[0], student(3))


def test_the_gradient_of_a_step_is_that_of_its_mean_loss(tmp_path: Path) -> None:
    seen: list[Tensor] = []
    model = student(3, dropout=0.0)
    bias = model.headers.linears[0].get_parameter("bias")
    bias.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.clone()))  # type: ignore[no-untyped-call]
    one_step = SETTINGS.model_copy(update={"batch": PAIRS, "epochs": 1, "token_budget": 20})
    train(model, tmp_path, BOTH, settings=one_step)
    assert len(seen) > 5  # micro-batches, which added up
    whole = student(3, dropout=0.0)
    batch = {name: torch.from_numpy(array) for name, array in TOKENS.pad(range(PAIRS), 0).items()}
    logits = whole(**batch).header_logits
    golden = torch.nn.functional.cross_entropy(logits[:, 0], torch.from_numpy(LABELS))
    soft = torch.nn.functional.mse_loss(logits[:, 1:], torch.from_numpy(SOFT))
    torch.autograd.backward(0.5 * golden + 0.5 * soft)
    expected = whole.headers.linears[0].get_parameter("bias").grad
    assert expected is not None
    assert torch.allclose(seen[-1], expected, atol=1e-6)


def test_the_gradient_of_a_step_with_gaps_is_that_of_the_mean_over_its_pairs(tmp_path: Path) -> None:
    seen: dict[int, Tensor] = {}
    model = student(3, dropout=0.0)
    for place, header in enumerate(model.headers.linears):
        header.get_parameter("bias").register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
            lambda bias, place=place: seen.update({place: bias.grad.clone()})
        )
    labels, soft = LABELS.copy(), SOFT.copy()
    labels[::3], soft[::2, 0], soft[1::4, 1] = -1, np.nan, np.nan
    one_step = SETTINGS.model_copy(update={"batch": PAIRS, "epochs": 1, "token_budget": 20})
    gaps = Examples(TOKENS, labels, 0, soft)
    train(model, tmp_path, gaps, settings=one_step, soft_only=True, masked=True)
    whole = student(3, dropout=0.0)
    batch = {name: torch.from_numpy(array) for name, array in TOKENS.pad(range(PAIRS), 0).items()}
    logits = whole(**batch).header_logits
    losses = []
    for pair in range(PAIRS):  # Eq. 5 pair by pair, over the targets that the pair has
        have = [teacher for teacher in range(2) if not np.isnan(soft[pair, teacher]).any()]
        errors = [(logits[pair, 1 + one] - torch.from_numpy(soft[pair, one])).square().mean() for one in have]
        losses.append(0.5 * torch.stack(errors).sum() / len(have))
        if labels[pair] >= 0:
            losses[-1] = losses[-1] - 0.5 * logits[pair, 0].log_softmax(-1)[int(labels[pair])]
    torch.autograd.backward(torch.stack(losses).sum() / PAIRS)
    for place, header in enumerate(whole.headers.linears):
        torch.testing.assert_close(seen[place], header.get_parameter("bias").grad, atol=1e-6, rtol=1e-4)


def test_a_pair_that_no_teacher_scored_is_named_under_a_mask_too(tmp_path: Path) -> None:
    soft = SOFT.copy()
    soft[6] = np.nan
    with pytest.raises(TmkdError, match="a teacher has no finite logit for pair 7"):
        train(student(3), tmp_path, Examples(TOKENS, LABELS, 0, soft), masked=True)


@contextmanager
def optimiser_steps() -> Iterator[list[tuple[float, float]]]:
    """Learning rate and norm of the gradient at each step, as the optimiser takes them."""
    taken: list[tuple[float, float]] = []

    def look(optimiser: torch.optim.Optimizer, *_: Any) -> None:
        gradients = [weight.grad for group in optimiser.param_groups for weight in group["params"]]
        norms = [gradient.norm() for gradient in gradients if gradient is not None]
        taken.append((optimiser.param_groups[0]["lr"], float(torch.stack(norms).norm())))

    hook = register_optimizer_step_pre_hook(look)
    try:
        yield taken
    finally:
        hook.remove()


@pytest.mark.parametrize(
    ("warmup", "rates"),
    [
        (0.0, [step / 12 for step in range(12, 0, -1)]),
        (0.1, [0, 1 / 2, 1, 9 / 10, 8 / 10, 7 / 10, 6 / 10, 5 / 10, 4 / 10, 3 / 10, 2 / 10, 1 / 10]),  # 1.2 → 2 steps
        (0.25, [0, 1 / 3, 2 / 3, 1, 8 / 9, 7 / 9, 6 / 9, 5 / 9, 4 / 9, 3 / 9, 2 / 9, 1 / 9]),
    ],
)
def test_the_learning_rate_rises_in_the_warm_up_and_falls_to_nought(
    tmp_path: Path, warmup: float, rates: list[float]
) -> None:
    with optimiser_steps() as taken:
        train(student(1), tmp_path, settings=SETTINGS.model_copy(update={"warmup": warmup}))
    assert [rate for rate, _ in taken] == pytest.approx([SETTINGS.learning_rate * rate for rate in rates])


def test_a_gradient_longer_than_the_limit_is_cut_to_it(tmp_path: Path) -> None:
    with optimiser_steps() as free:
        train(student(1), tmp_path / "free", settings=SETTINGS.model_copy(update={"clip": 1e9}))
    limit = free[0][1] / 2
    with optimiser_steps() as cut:
        train(student(1), tmp_path / "cut", settings=SETTINGS.model_copy(update={"clip": limit}))
    assert cut[0][1] == pytest.approx(limit, rel=1e-4)
    assert max(norm for _, norm in cut) <= limit * 1.0001
    assert max(norm for _, norm in free) > limit


def test_the_seed_determines_dropout(tmp_path: Path) -> None:
    def weights(seed: int, dropout: float) -> Tensor:
        model = student(1, dropout)
        whole = SETTINGS.model_copy(update={"batch": PAIRS, "dropout": dropout})  # so that the order is no difference
        train(model, tmp_path / f"{seed} {dropout}", settings=whole, seed=seed)
        return model.headers.linears[0].get_parameter("weight").detach()

    torch.testing.assert_close(weights(3, 0.0), weights(4, 0.0), atol=1e-4, rtol=0)
    assert (weights(3, 0.5) - weights(4, 0.5)).abs().max() > 1e-3


@pytest.mark.parametrize(("precision", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_precision_is_that_of_the_forward_pass(tmp_path: Path, precision: str, kind: torch.dtype) -> None:
    seen: set[torch.dtype] = set()

    def forward(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        seen.add(torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32)
        return header_logits(model, batch)

    train(student(1), tmp_path, forward=forward, precision=precision)
    assert seen == {kind}


def test_everything_that_decides_a_fit_changes_its_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claimed: list[str] = []

    def claim(work: Path, fingerprint: str) -> None:
        claimed.append(fingerprint)
        raise Killed

    monkeypatch.setattr("tmkd.train.loop.claim_workdir", claim)

    def fingerprint(examples: Examples = BOTH, model: Student | None = None, **changes: Any) -> str:
        with pytest.raises(Killed):
            train(model or student(3), tmp_path, examples, **changes)
        return claimed[-1]

    moved = student(3)
    with torch.no_grad():
        next(moved.parameters()).add_(1e-3)
    ids = [one.copy() for one in IDS]
    ids[-1][-1] += 1
    cut_elsewhere = [IDS[0][:-1], np.concatenate([IDS[0][-1:], IDS[1]]), *IDS[2:]]
    others = [
        fingerprint(seed=4),
        fingerprint(alpha=0.4),
        fingerprint(vote=True),
        fingerprint(settings=SETTINGS.model_copy(update={"average_last": 0.2})),
        fingerprint(precision="bf16"),
        fingerprint(settings=SETTINGS.model_copy(update={"epochs": 4})),
        fingerprint(replace(BOTH, labels=1 - LABELS)),
        fingerprint(replace(BOTH, soft=SOFT + 1)),
        *(
            fingerprint(replace(BOTH, tokens=TokenIds.of(other, [np.zeros_like(one) for one in other])))
            for other in (ids, cut_elsewhere)
        ),
        fingerprint(model=moved),
    ]
    assert len({fingerprint(), *others}) == 1 + len(others)
    saved_more_often = SETTINGS.model_copy(update={"checkpoint_steps": 1, "tensorboard": True})
    assert fingerprint() == fingerprint(settings=saved_more_often)


def test_the_time_before_a_kill_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tmkd.train.loop.newest", lambda work: (None, 1000.0))
    assert 1000 < train(student(1), tmp_path).seconds < 1900


def test_the_epoch_best_on_dev_is_kept(tmp_path: Path) -> None:
    model = student(1)
    scores = iter([0.2, 0.9, 0.5])
    then: list[Tensor] = []

    def dev() -> float:
        assert not model.training
        then.append(model.headers.linears[0].get_parameter("weight").clone())
        return next(scores)

    report = train(model, tmp_path, dev=dev)
    assert report.dev == [0.2, 0.9, 0.5]
    assert report.best_epoch == 2
    assert torch.equal(model.headers.linears[0].get_parameter("weight"), then[1])
    assert not model.training


def test_a_number_of_steps_is_taken_whatever_the_epochs_are(tmp_path: Path) -> None:
    model, scores = student(3), iter([0.5, 0.75])
    report = train(model, tmp_path / "cut", BOTH, steps=6, dev=lambda: next(scores))  # 4 steps an epoch
    assert (report.steps, report.dev, report.best_epoch) == (6, [0.5, 0.75], 2)
    assert train(student(3), tmp_path / "last", BOTH, steps=13).best_epoch == 4  # the last one, without dev
    killed = student(3)
    with pytest.raises(Killed):
        train(killed, tmp_path / "killed", BOTH, steps=6, forward=killing_after(12))
    scores = iter([0.5, 0.75])
    again = student(3)
    train(again, tmp_path / "killed", BOTH, steps=6, dev=lambda: next(scores))
    assert same(model, again)


def test_measuring_dev_does_not_move_the_training(tmp_path: Path) -> None:
    measured, unmeasured = student(1), student(1)
    rising = iter([1.0, 2.0, 3.0])

    def dev() -> float:
        torch.rand(5)
        return next(rising)

    train(measured, tmp_path / "a", dev=dev)
    report = train(unmeasured, tmp_path / "b")
    assert same(measured, unmeasured)
    assert (report.best_epoch, report.dev) == (3, [])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_learns(tmp_path: Path, precision: str) -> None:
    model = student(1)
    settings = SETTINGS.model_copy(update={"epochs": 25, "dropout": 0.0, "checkpoint_steps": 1000})
    train(model, tmp_path, settings=settings, precision=precision)
    batch = {name: torch.from_numpy(array) for name, array in TOKENS.pad(range(PAIRS), 0).items()}
    assert (model(**batch).logits.argmax(-1).numpy() == LABELS).mean() > 0.9
    assert next(model.parameters()).dtype == torch.float32


def test_stage_1_learns_teachers_logits_without_a_single_label(tmp_path: Path) -> None:
    model = student(2)
    unlabelled = Examples(TOKENS, np.full(PAIRS, -1), 0, SOFT)
    settings = SETTINGS.model_copy(update={"epochs": 25, "dropout": 0.0, "checkpoint_steps": 1000})
    train(model, tmp_path, unlabelled, alpha=1.0, settings=settings)
    batch = {name: torch.from_numpy(array) for name, array in TOKENS.pad(range(PAIRS), 0).items()}
    error = (model(**batch).header_logits.detach().numpy() - SOFT) ** 2
    assert error.mean() < 0.5 * ((SOFT - SOFT.mean(axis=0)) ** 2).mean()


def test_dropout_is_replaced_while_it_trains_and_then_as_before(tmp_path: Path) -> None:
    model = student(1)
    seen: set[float] = set()

    def forward(network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        seen.update(module.p for module in network.modules() if isinstance(module, nn.Dropout))
        return header_logits(network, batch)

    train(model, tmp_path, settings=SETTINGS.model_copy(update={"dropout": 0.25}), forward=forward)
    assert seen == {0.25}
    assert {module.p for module in model.modules() if isinstance(module, nn.Dropout)} == {0.1}


def test_weights_decay_but_biases_and_norms_do_not(tmp_path: Path) -> None:
    def still(network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return header_logits(network, batch) * 0.0  # every gradient is nought: decay alone moves weights

    settings = SETTINGS.model_copy(update={"weight_decay": 0.5})
    model = student(1)
    for bias in (weight for name, weight in model.named_parameters() if name.endswith("bias")):
        nn.init.ones_(bias)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    train(model, tmp_path, settings=settings, forward=still)
    for name, weight in model.named_parameters():
        kept = name.endswith("bias") or "LayerNorm" in name
        assert torch.equal(weight, before[name]) is kept, name


def test_progress_goes_to_stderr_and_nothing_to_stdout(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train(student(1), tmp_path)
    told = capfd.readouterr()
    assert told.out == ""
    assert told.err.startswith("web: step 12/12, ")
    assert "pairs/s, loss 0." in told.err


def test_the_work_folder_holds_at_most_two_checkpoints_and_none_of_the_last_step(tmp_path: Path) -> None:
    train(student(1), tmp_path)
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-6", "checkpoint-9"]
    sealed = json.loads((tmp_path / "checkpoint-9" / "sealed.json").read_bytes())
    assert {"model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"} <= sealed["files"].keys()


def test_an_unlabelled_pair_under_the_golden_loss_is_named(tmp_path: Path) -> None:
    labels = LABELS.copy()
    labels[[4, 9]] = -1
    with pytest.raises(TmkdError, match="web: pair 5 has no label"):
        train(student(1), tmp_path, Examples(TOKENS, labels, 0))


def test_a_teachers_logit_that_is_not_finite_is_named(tmp_path: Path) -> None:
    soft = SOFT.copy()
    soft[6, 1, 0] = np.inf
    with pytest.raises(TmkdError, match="pair 7"):
        train(student(3), tmp_path, Examples(TOKENS, LABELS, 0, soft))


def test_no_pair_is_an_error(tmp_path: Path) -> None:
    nothing = Examples(TokenIds.of([], []), np.empty(0, dtype=np.int64), 0)
    with pytest.raises(TmkdError, match="no pair to train on"):
        train(student(1), tmp_path, nothing)


def test_a_loss_that_diverges_stops_the_fit(tmp_path: Path) -> None:
    with pytest.raises(TmkdError, match="the loss is nan at step 1; lower the learning rate"):
        train(student(1), tmp_path, forward=lambda network, batch: header_logits(network, batch) * torch.nan)


def test_a_full_disk_is_an_error_of_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_model", full)
    with pytest.raises(TmkdError, match="No space left on device"):
        train(student(1), tmp_path)


@pytest.mark.parametrize(
    ("message", "kind"),
    [("PytorchStreamWriter failed writing file", TmkdError), ("shapes cannot be multiplied", RuntimeError)],
)
def test_only_torchs_failed_writes_become_an_error_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str, kind: type[Exception]
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError(message)

    monkeypatch.setattr(safetensors.torch, "save_model", fail)
    with pytest.raises(kind, match=message) as found:
        train(student(1), tmp_path)
    assert ("a checkpoint cannot be written" in str(found.value)) is (kind is TmkdError)


def test_tensorboard_curves_lie_beside_the_work_folder(
    optional: Callable[[str, str], ModuleType], tmp_path: Path
) -> None:
    optional("tensorboard", "tensorboard")
    train(student(1), tmp_path / "work", settings=SETTINGS.model_copy(update={"tensorboard": True}))
    assert list((tmp_path / ".tensorboard").glob("events*"))


@pytest.mark.parametrize(("device", "on_cpu"), [("cpu", True), ("cuda", False)])
def test_the_trainer_works_on_one_device_of_the_kind_that_the_hardware_names(
    tmp_path: Path, device: str, on_cpu: bool
) -> None:
    arguments = _arguments(Training(SETTINGS, alpha=0.5, seed=1, hardware=Hardware(device, "fp32")), 3, tmp_path)
    assert arguments.use_cpu is on_cpu
    assert arguments.n_gpu <= 1


def test_of_several_devices_one_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tmkd.train.loop.TrainingArguments", lambda **given: SimpleNamespace(n_gpu=2, **given))
    training = Training(SETTINGS, alpha=0.5, seed=1, hardware=Hardware("cuda", "fp32"))
    assert _arguments(training, 3, tmp_path)._n_gpu == 1


def test_teachers_that_vote_train_another_student(tmp_path: Path) -> None:
    models = [student(4), student(4)]
    soft = np.concatenate([SOFT, SOFT[:, :1] * np.float32(-1)], axis=1)  # the third teacher contradicts the first
    losses = [
        train(model, tmp_path / str(vote), replace(BOTH, soft=soft), vote=vote).losses
        for model, vote in zip(models, (False, True), strict=True)
    ]
    assert losses[0] != losses[1]
    assert not same(*models)
