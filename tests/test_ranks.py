"""Messages between ranks, and how their commands end together; the store is a dictionary, the processes one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
import torch

from tmkd import process, ranks
from tmkd.errors import TmkdError


class Store:
    """torchrun's store, for one process."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def set(self, key: str, value: str) -> None:
        self.values[key] = value

    def get(self, key: str) -> str:
        return str(self.values[key])

    def check(self, keys: list[str]) -> bool:
        return all(key in self.values for key in keys)

    def add(self, key: str, number: int) -> int:
        self.values[key] = self.values.get(key, 0) + number
        return int(self.values[key])


Become = Callable[[int], None]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    store = Store()
    monkeypatch.setattr(ranks, "_store", lambda: store)
    return store


@pytest.fixture
def become(store: Store, monkeypatch: pytest.MonkeyPatch) -> Become:
    """Make this process a rank of two, from its first message on."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def one(rank: int) -> None:
        for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "RANK": str(rank)}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(ranks, "_numbers", count())

    return one


def test_without_torchrun_a_process_is_the_only_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "_store", lambda: pytest.fail("asks for a store"))
    assert (ranks.launched(), ranks.rank(), ranks.count(), ranks.is_first()) == (False, 0, 1, True)
    assert ranks.from_first(lambda: (1, "a")) == (1, "a")
    ranks.send("nothing")
    ranks.join("cpu", "fp32")
    ranks.barrier()
    assert float(ranks.mean(torch.tensor(3.0))) == 3.0
    assert ranks.is_first_failure()
    assert not ranks.is_gone(RuntimeError("Connection closed by peer"))
    with pytest.raises(ValueError, match="own"), ranks.command():
        raise ValueError("own")


def test_the_first_rank_alone_calls_the_function_and_all_have_its_result(become: Become) -> None:
    become(0)
    assert ranks.from_first(lambda: [3, None]) == [3, None]
    become(1)
    assert ranks.from_first(lambda: pytest.fail("called on another rank")) == [3, None]


def test_the_other_ranks_receive_all_messages_in_order_until_the_command_ends(become: Become) -> None:
    become(0)
    with ranks.command():
        ranks.send({"make": "a"})
        ranks.send({"make": "b"})
    become(1)
    with ranks.command():
        assert list(ranks.messages()) == [{"make": "a"}, {"make": "b"}]


def test_a_rank_that_waits_ends_where_another_one_has_failed(
    become: Become, capsys: pytest.CaptureFixture[str]
) -> None:
    become(0)
    with pytest.raises(SystemExit), ranks.command():
        raise SystemExit(2)
    become(1)
    with pytest.raises(SystemExit) as ended, ranks.command():
        ranks.receive()
    assert ended.value.code == 1
    assert capsys.readouterr() == ("", "")


def test_the_first_failure_alone_is_raised(become: Become) -> None:
    become(1)
    with pytest.raises(ValueError, match="first"), ranks.command():
        raise ValueError("first")
    become(0)
    with pytest.raises(SystemExit) as ended, ranks.command():
        raise ValueError("second")
    assert ended.value.code == 1


def test_a_store_that_is_gone_hides_no_failure(become: Become, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    become(1)
    monkeypatch.setattr(store, "add", lambda *_: (_ for _ in ()).throw(torch.distributed.DistNetworkError("gone")))
    with pytest.raises(ValueError, match="own"), ranks.command():
        raise ValueError("own")


@pytest.mark.parametrize("printed", [True, False])
def test_a_stopped_process_prints_why_where_no_other_failure_did(
    become: Become, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], printed: bool
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    become(0)
    if printed:
        ranks.is_first_failure()
    ranks._stopped()
    assert codes == [1]
    assert capsys.readouterr().err == ("" if printed else f"error: {ranks.GONE}\n")


def test_ranks_on_different_hardware_are_refused(become: Become) -> None:
    become(0)
    ranks.send(["cuda", "bf16"])
    become(1)
    with pytest.raises(TmkdError, match="it works on cpu in fp32, rank 0 on cuda in bf16; set device and precision"):
        ranks.join("cpu", "fp32")


def test_a_rank_without_a_cuda_device_of_its_own_is_refused(become: Become, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    become(0)
    ranks.send(["cuda", "bf16"])
    become(1)
    with pytest.raises(TmkdError, match="2 processes here for 1 CUDA devices; give --nproc-per-node 1, or set device"):
        ranks.join("cuda", "bf16")


@pytest.mark.parametrize(
    ("error", "gone"),
    [
        (RuntimeError("[pair.cc:547] Connection closed by peer [127.0.0.1]:4711"), True),
        (torch.distributed.DistBackendError("NCCL error"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_the_end_of_another_rank_differs_from_other_errors(become: Become, error: RuntimeError, gone: bool) -> None:
    become(0)
    assert ranks.is_gone(error) == gone


def test_a_rank_is_not_replaced_by_a_fresh_process(become: Become, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced: list[object] = []
    monkeypatch.setattr(os, "execve", lambda *command: replaced.append(command))
    monkeypatch.setattr(process, "_AGED", -1.0)
    monkeypatch.setattr(process, "_is_command", lambda: True)
    process.restart_if_old(1)
    assert len(replaced) == 1
    become(0)
    process.restart_if_old(1)
    assert len(replaced) == 1
