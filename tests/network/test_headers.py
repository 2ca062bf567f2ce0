from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tmkd.network.headers import Header, Headers, aggregate

GOLD, ANN, BOB = Header("web/gold", None), Header("web/ann", "aa"), Header("web/bob", "bb")


def test_each_header_gives_its_own_logits_in_the_named_order() -> None:
    headers = Headers([GOLD, ANN, BOB], width=4, classes=2)
    vector = torch.randn(5, 4)
    logits = headers(vector)
    assert logits.shape == (5, 3, 2)
    assert torch.equal(logits[:, 1], headers.linears[1](vector))


def test_fresh_headers_are_small_and_have_no_bias_yet() -> None:
    headers = Headers([GOLD], width=4000, classes=2)
    assert headers.linears[0].get_parameter("weight").std().item() == pytest.approx(0.02, rel=0.05)
    assert not headers.linears[0].get_parameter("bias").any()


def test_a_header_carries_only_with_name_digest_and_class_count() -> None:
    old, new = Headers([ANN, BOB], 4, 2), Headers([GOLD, ANN, Header("web/bob", "other")], 4, 2)
    before = new.linears[2].get_parameter("weight").clone()
    new.carry(old)
    assert torch.equal(new.linears[1].get_parameter("weight"), old.linears[0].get_parameter("weight"))
    assert torch.equal(new.linears[2].get_parameter("weight"), before)
    wider = Headers([ANN], 4, 3)
    wider.carry(old)
    assert wider.linears[0].get_parameter("weight").shape == (3, 4)


def test_no_header_and_the_same_header_twice_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one header"):
        Headers([], 4, 2)
    with pytest.raises(ValueError, match="named once"):
        Headers([ANN, Header("web/ann", "cc")], 4, 2)


@given(st.lists(st.lists(st.floats(-500, 500), min_size=3, max_size=3), min_size=1, max_size=4))
def test_the_aggregate_is_a_log_distribution_however_large_the_logits(logits: list[list[float]]) -> None:
    answer = aggregate(torch.tensor([logits], dtype=torch.float64))
    assert torch.isfinite(answer).all()
    assert answer.exp().sum().item() == pytest.approx(1)
    assert torch.allclose(answer.softmax(-1), answer.exp())
