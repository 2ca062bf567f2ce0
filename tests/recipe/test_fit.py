"""Settings of a training."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tmkd.recipe.fit import FitSpec


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0.0},
        {"learning_rate": 1.0},
        {"learning_rate": float("nan")},
        {"batch": 0},
        {"epochs": 0},
        {"epochs": 1.5},
        {"warmup": 1.5},
        {"clip": 0.0},
        {"dropout": -0.1},
        {"token_budget": 0},
        {"checkpoint_steps": 0},
    ],
)
def test_a_setting_of_a_fit_outside_its_bounds_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FitSpec(**wrong)
