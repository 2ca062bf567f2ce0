"""Ranks: the processes that torchrun begins. Rank 0 runs the command, and all of them train.

Rank 0 alone plans, locks, writes and prints. The others wait until it names a step that trains, make it with it, and
wait again. They wait at torchrun's key-value store and without a limit, so hours of work on rank 0 run into no timeout;
in the process group, through which the gradients go, no rank waits longer than for an optimiser step.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from itertools import count as natural_numbers
from typing import TYPE_CHECKING, Any, TypeVar

from tmkd.errors import TmkdError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed.distributed_c10d import Store

Value = TypeVar("Value")

GONE = (
    "another process of torchrun ended (often: out of memory), or torchrun was stopped; the same command goes on from "
    "here"
)
_FAILED = "failed"  # key in the store: how many ranks have failed
_END = "end"  # message of rank 0
_EVERY = 0.1  # seconds between two looks at the store
_CLOSED = ("Connection closed", "Connection reset", "Broken pipe", "Socket closed")  # in gloo's messages
_numbers = natural_numbers()  # of the messages, the same on every rank: their keys


def launched() -> bool:
    """True in a process that torchrun began."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def rank() -> int:
    """Number of this process among all of torchrun's; 0 without torchrun."""
    return int(os.environ["RANK"]) if launched() else 0


def count() -> int:
    """Number of torchrun's processes, on all machines; 1 without torchrun."""
    return int(os.environ["WORLD_SIZE"]) if launched() else 1


def is_first() -> bool:
    """True on the rank that plans, writes and prints; true without torchrun."""
    return rank() == 0


def from_first(make: Callable[[], Value]) -> Value:
    """Call a function on rank 0 alone; returns its result, values of JSON, on every rank, once it is there."""
    if not is_first():
        heard: Value = receive()
        return heard
    value = make()
    send(value)
    return value


def send(message: object) -> None:
    """Send a message, values of JSON, from rank 0 to each other rank."""
    if launched():
        _store().set(str(next(_numbers)), json.dumps(message))


def messages() -> Iterator[Any]:
    """Iterate over the messages of rank 0 until its command ends: what the other ranks do."""
    while (message := receive()) != _END:
        yield message


def receive() -> Any:
    """Wait for rank 0's next message, on another rank; where a rank fails, this process ends."""
    key, store = str(next(_numbers)), _store()
    while not store.check([key]):
        if store.check([_FAILED]):
            sys.exit(1)
        time.sleep(_EVERY)
    return json.loads(store.get(key))


@cache
def _store() -> Store:
    """Key-value store of torchrun, which also the process group begins with."""
    from torch.distributed.rendezvous import rendezvous

    store: Store = next(rendezvous("env://"))[0]
    return store


def join(device: str, precision: str) -> None:
    """Join the process group of the gradients: nccl on this rank's own CUDA device, gloo on a CPU.

    Raises: TmkdError when this rank works on other hardware than rank 0, or has no device of its own.
    """
    if not launched():
        return
    import torch
    from torch import distributed

    first = from_first(lambda: [device, precision])
    if first != [device, precision]:
        raise TmkdError(
            f"it works on {device} in {precision}, rank 0 on {first[0]} in {first[1]}; set device and precision in the "
            "recipe"
        )
    if device == "cuda":
        own, devices = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if own >= devices:
            raise TmkdError(
                f"torchrun has {os.environ['LOCAL_WORLD_SIZE']} processes here for {devices} CUDA devices; give "
                f"--nproc-per-node {devices}, or set device: cpu"
            )
        torch.cuda.set_device(own)
    # Where it is not set, accelerate gives torch other threads than this process has.
    os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))
    if not distributed.is_initialized():
        backend = "nccl" if device == "cuda" else "gloo"
        distributed.init_process_group(backend, store=_store(), rank=rank(), world_size=count())


def mean(value: Tensor) -> Tensor:
    """Mean of a tensor over the ranks, in place."""
    if launched():
        from torch import distributed

        distributed.all_reduce(value)
        value /= count()
    return value


def barrier() -> None:
    """Wait until every rank is here."""
    if launched():
        from torch import distributed

        distributed.barrier()


def is_gone(error: BaseException) -> bool:
    """True for the error of a rank that waited for one whose process has ended."""
    if not launched():
        return False
    from torch.distributed import DistError

    return isinstance(error, DistError) or any(words in str(error) for words in _CLOSED)


def is_first_failure() -> bool:
    """True for a failure that is to be printed: of several ranks' the first one; without torchrun each."""
    if not launched():
        return True
    with suppress(RuntimeError):  # the store is gone with the machine of rank 0
        return _store().add(_FAILED, 1) == 1
    return True


@contextmanager
def command() -> Iterator[None]:
    """Command of this rank, in a `with` block: all end when rank 0's does; if one fails, all do, and one prints why."""
    if not launched():
        yield
        return
    signal.signal(signal.SIGTERM, _stopped)
    # Else torch warns where it looked for unused weights and found none. Read when torch is imported.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    code: object = 1
    try:
        yield
        code = 0
    except SystemExit as end:
        code = end.code
        raise
    except KeyboardInterrupt:  # rank 0 has printed it
        sys.exit(1)
    except Exception:
        if not is_first_failure():
            sys.exit(1)
        raise
    finally:
        with suppress(RuntimeError):
            _leave(failed=bool(code))


def _leave(failed: bool) -> None:
    from torch import distributed

    if failed:
        _store().add(_FAILED, 1)
        return
    if is_first():
        send(_END)
    if distributed.is_initialized():
        distributed.destroy_process_group()


def _stopped(*_: object) -> None:
    """End this process on a signal of torchrun, which sends it when another one has ended."""
    if is_first_failure():
        print(f"error: {GONE}", file=sys.stderr, flush=True)
    os._exit(1)
