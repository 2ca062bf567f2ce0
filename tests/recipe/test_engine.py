from __future__ import annotations

import pytest
from pydantic import ValidationError

from tmkd.engines.local import LocalEngine
from tmkd.recipe.engine import EngineSpec


def test_this_machine_is_the_default() -> None:
    assert EngineSpec().build() == LocalEngine()
    assert EngineSpec(workers=2).build() == LocalEngine(2)


def test_a_cluster_is_not_asked_before_there_is_work() -> None:
    from tmkd.engines.ray import RayEngine

    assert EngineSpec(kind="ray", address="10.0.0.1:6379", workers=8).build() == RayEngine("10.0.0.1:6379", 8)


@pytest.mark.parametrize(
    "wrong", [{"address": "ray://head:10001"}, {"address": "head"}, {"workers": 0}, {"kind": "dask"}]
)
def test_what_is_no_engine_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        EngineSpec.model_validate({"kind": "ray", **wrong})
