"""Inputs of linear layers, seen while a network runs: statistics by which pruning and quantisation choose."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def layer_inputs(layers: Mapping[str, nn.Linear], add: Callable[[str, Tensor], object]) -> Iterator[None]:
    """Call `add(name, inputs)` before each run of one of these layers: inputs float64 (tokens, in).

    The tokens are those of all sequences of a batch, padding included. The hooks are removed at the end.
    """

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def before(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:  # a value would replace the inputs
            add(name, inputs[0].detach().flatten(0, -2).double())

        return before

    handles = [layer.register_forward_pre_hook(hook(name)) for name, layer in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
