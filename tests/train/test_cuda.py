"""Training and scoring on a CUDA device, beside the same on the processor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tiny_fit import BOTH, SETTINGS, TOKENS, Killed, header_logits, killing_after, student, train
from tmkd.data.tokens import TokenIds
from tmkd.network.device import place, token_budget
from tmkd.network.scoring import batched_logits, network_logits
from tmkd.train.batches import Examples

# Warned of once in a process by the mode that makes an error of each wait.
PROTOTYPE = "ignore:Synchronization debug mode is a prototype feature:UserWarning"
pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
TEN_STEPS = SETTINGS.model_copy(update={"batch": 11, "epochs": 5, "dropout": 0.0})  # a mean loss for each


@pytest.fixture
def scarce_memory() -> Iterator[None]:
    """A device with 300 MB for this process."""
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(300e6 / torch.cuda.get_device_properties(0).total_memory)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def wasteful(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """Header logits, and 400 MB of memory beside for a batch as large as the token budget."""
    wide = int(100e6 / token_budget("cuda", 0))
    waste = batch["input_ids"].float().unsqueeze(-1).expand(-1, -1, wide).contiguous()
    return header_logits(model, batch) + 0 * waste.mean()


def long_pairs(count: int) -> Examples:
    ids = np.random.default_rng(0).integers(5, 40, size=16 * count).astype(np.int32)
    tokens = TokenIds(ids, np.zeros_like(ids), np.full(count, 16))
    return Examples(tokens, np.arange(count) % 2, 0)


def logits(device: str, precision: str, tokens: TokenIds = TOKENS) -> np.ndarray:
    model = student(3, layers=3).eval()
    place(model, device)

    return network_logits(model, header_logits, tokens, 0, device, precision)


def test_scores_are_those_of_the_processor() -> None:
    expected = logits("cpu", "fp32")
    assert np.abs(logits("cuda", "fp32") - expected).max() < 1e-5
    assert np.abs(logits("cuda", "bf16") - expected).max() < 2e-2 * np.ptp(expected)


def test_losses_are_those_of_the_processor(tmp_path: Path) -> None:
    on_cpu = train(student(3, layers=3), tmp_path / "cpu", BOTH, settings=TEN_STEPS)
    fp32 = train(student(3, layers=3), tmp_path / "fp32", BOTH, settings=TEN_STEPS, device="cuda")
    bf16 = train(student(3, layers=3), tmp_path / "bf16", BOTH, settings=TEN_STEPS, device="cuda", precision="bf16")
    assert fp32.losses == pytest.approx(on_cpu.losses, abs=1e-3)
    assert bf16.losses == pytest.approx(on_cpu.losses, abs=5e-2)


@pytest.mark.filterwarnings(PROTOTYPE)
def test_no_step_waits_for_the_device(tmp_path: Path) -> None:
    calls = iter(("default",) * 4 + ("error",) * 8 + ("default",) * 9)

    def forward(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        torch.cuda.set_sync_debug_mode(next(calls))
        return header_logits(model, batch)

    one_epoch = SETTINGS.model_copy(update={"batch": 1, "epochs": 1, "checkpoint_steps": 100})
    try:
        train(student(3, layers=2), tmp_path, BOTH, settings=one_epoch, device="cuda", forward=forward)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.filterwarnings(PROTOTYPE)
def test_no_batch_of_a_scoring_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tmkd.network.scoring.scoring_budget", lambda device, on_cpu: 16)
    model = student(1, layers=2).eval()
    place(model, "cuda")
    calls = iter(("default",) * 2 + ("error",) * 8 + ("default",) * 100)

    def forward(inputs: dict[str, Tensor]) -> Tensor:
        torch.cuda.set_sync_debug_mode(next(calls))
        return header_logits(model, inputs)

    try:
        batched_logits(forward, TOKENS, 0, "cuda", "bf16")
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_model_ends_on_the_device_with_fused_attention(tmp_path: Path) -> None:
    model = student(3, layers=3)
    train(model, tmp_path, BOTH, device="cuda")
    assert model.device.type == "cuda"
    assert model.encoder.config._attn_implementation == "sdpa"
    assert not torch.backends.cuda.cudnn_sdp_enabled()  # type: ignore[no-untyped-call]


def test_killed_and_called_again_it_ends_with_the_same_weights(tmp_path: Path) -> None:
    undisturbed, again = student(3), student(3)
    train(undisturbed, tmp_path / "undisturbed", BOTH, device="cuda")
    with pytest.raises(Killed):
        train(student(3), tmp_path / "killed", BOTH, device="cuda", forward=killing_after(8))
    assert list((tmp_path / "killed").glob("checkpoint-*"))
    torch.manual_seed(99)
    train(again, tmp_path / "killed", BOTH, device="cuda")
    for one, other in zip(again.parameters(), undisturbed.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


@pytest.mark.usefixtures("scarce_memory")
def test_out_of_memory_halves_the_micro_batches_of_a_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = long_pairs(token_budget("cuda", 0) // 16)
    one_step = TEN_STEPS.model_copy(update={"batch": len(examples), "epochs": 1})
    report = train(student(1), tmp_path, examples, settings=one_step, device="cuda", forward=wasteful)
    assert "token ids per micro-batch halved to" in capsys.readouterr().err
    assert np.isfinite(report.losses).all()


@pytest.mark.usefixtures("scarce_memory")
def test_out_of_memory_halves_the_batches_of_a_scoring(capsys: pytest.CaptureFixture[str]) -> None:
    pairs = long_pairs(token_budget("cuda", 0) // 16)
    tokens = pairs.tokens.take(range(len(pairs)))
    model = student(1).eval().to("cuda")
    found = batched_logits(lambda inputs: wasteful(model, inputs), tokens, 0, "cuda", "fp32")
    assert "are halved" in capsys.readouterr().err
    plain = batched_logits(lambda inputs: header_logits(model, inputs), tokens, 0, "cuda", "fp32")
    assert np.abs(found - plain).max() < 1e-5
