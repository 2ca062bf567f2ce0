"""The rule by which settings are chosen on dev."""

from __future__ import annotations

from benchmarks.settings_rule import Setting, Tried, chosen, tries


def test_epochs_are_doubled_while_the_best_is_the_last() -> None:
    costs = {4: [0.9, 0.8, 0.7, 0.6], 8: [0.9, 0.8, 0.7, 0.6, 0.5, 0.45, 0.4, 0.35], 16: [0.5, 0.3, *[0.4] * 14]}
    asked: list[int] = []

    def fit(setting: Setting, epochs: int) -> list[float]:
        asked.append(epochs)
        return costs[epochs]

    made = tries(fit, {"learning_rate": 1e-4})
    assert asked == [4, 8, 16]
    assert [(one.epochs, one.best_epoch, one.cost) for one in made] == [
        (4, 4, 0.6),
        (8, 8, 0.35),
        (16, 2, 0.3),
    ]


def test_epochs_are_never_more_than_the_last_number() -> None:
    made = tries(lambda setting, epochs: [1.0 - epoch / 100 for epoch in range(epochs)], {}, (2, 4))
    assert [one.epochs for one in made] == [2, 4]


def test_an_equal_later_epoch_is_not_better() -> None:
    assert [one.best_epoch for one in tries(lambda setting, epochs: [0.5] * epochs, {})] == [1]


def test_the_fit_with_the_least_cost_is_chosen_though_a_longer_one_was_made() -> None:
    short, long = Tried({"learning_rate": 1e-4}, 4, 4, 0.5), Tried({"learning_rate": 1e-4}, 8, 8, 0.6)
    other = Tried({"learning_rate": 2e-4}, 4, 2, 0.5)
    assert chosen([long, short, other]) is short
