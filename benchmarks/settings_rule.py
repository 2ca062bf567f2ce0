"""Rule by which a fit's settings are chosen on dev: one for every teacher and every row (docs/results.md).

One fit for each setting tried, with 4 epochs; while the best epoch is the last, another with twice as many, up to 32.
A fit's best epoch has the least cost on dev, cross-entropy or the share of wrong predictions, and the fit whose best is
least is chosen, once, on seed 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

EPOCHS = (4, 8, 16, 32)
Setting = Mapping[str, float]  # names of a fit's settings → values
Fit = Callable[[Setting, int], Sequence[float]]


@dataclass(frozen=True)
class Tried:
    """A fit that was tried: its setting, its epochs, the best of them (from 1), and the cost on dev there."""

    setting: Setting
    epochs: int
    best_epoch: int
    cost: float  # cross-entropy in nats, or the share of wrong predictions


def tries(fit: Fit, setting: Setting, epochs: Sequence[int] = EPOCHS) -> list[Tried]:
    """Fits with one setting, each with more epochs than the one before, until one's best epoch is not its last.

    `fit` trains with a setting for a number of epochs and gives the cost on dev after each of them.
    """
    made: list[Tried] = []
    for number in epochs:
        found = fit(setting, number)
        best = min(range(len(found)), key=found.__getitem__)
        made.append(Tried(setting, number, best + 1, float(found[best])))
        if best + 1 < number:
            break
    return made


def chosen(tried: Iterable[Tried]) -> Tried:
    """The fit with the least cost on dev, the first of equals."""
    return min(tried, key=lambda one: one.cost)
