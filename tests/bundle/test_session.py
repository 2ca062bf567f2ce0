from __future__ import annotations

import numpy as np
import pytest

from tmkd.bundle.fair_queue import FairQueue
from tmkd.bundle.graph import INPUTS, Graph
from tmkd.bundle.session import TOKEN_BUDGET, Session
from tmkd.data.tokens import TokenIds
from tmkd.errors import TmkdError
from tmkd.export.onnx_graph import onnx_model

RNG = np.random.default_rng(0)
IDS = [RNG.integers(1, 9, length) for length in (3, 400, 1, 60, 300, 400, 5)]
TOKENS = TokenIds.of(IDS, [np.zeros_like(ids) for ids in IDS])


def sums(scale: float = 1.0) -> bytes:
    """A graph whose one logit is a pair's sum of ids, times `scale`."""
    graph = Graph({})
    ids = graph.node("Cast", INPUTS[0], to=1)
    total = graph.node("ReduceSum", ids, graph.constant(np.array([1])), keepdims=1)
    output = graph.node("Mul", total, graph.constant(np.float32(scale)))
    return onnx_model(graph, INPUTS, output, 1).SerializeToString()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_logits_come_in_the_order_of_the_pairs_whatever_the_threads(threads: int) -> None:
    assert sum(map(len, IDS)) > TOKEN_BUDGET  # several batches on one thread too
    logits = FairQueue(Session(sums(), "s", 0), threads).logits(TOKENS)
    assert logits[:, 0].tolist() == [ids.sum() for ids in IDS]


def test_no_pairs_have_no_logits() -> None:
    assert FairQueue(Session(sums(), "s", 0), 2).logits(TOKENS.take([])).shape == (0, 1)


def test_a_logit_that_is_not_finite_is_an_error_with_the_name() -> None:
    with pytest.raises(TmkdError, match="mine: a logit is not finite; export the bundle again"):
        Session(sums(float("inf")), "mine", 0).logits(TOKENS)


def test_bytes_that_are_no_graph_are_an_error_with_the_name() -> None:
    with pytest.raises(TmkdError, match="mine: onnxruntime cannot open the graph: "):
        Session(b"torn", "mine", 0)
